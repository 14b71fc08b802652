"""Degradations have the documented strength and are reproducible."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sequences import make_sequence

from skdpipe.config import Degradation, EstimatorNoise
from skdpipe.degradation import (
    bursts,
    degrade,
    drop_block,
    drop_random_frames,
    generator_for,
    jitter,
    limbs,
    occlude,
    occlude_limbs,
    sample_frames,
    simulate_pose_errors,
)
from skdpipe.errors import DataError
from skdpipe.skeleton import COCO_17, PENN_13, PoseSequence


def numbered_frames(frames: int = 20, people: int = 2) -> PoseSequence:
    """All joints are seen and x is the number of the frame."""
    keypoints = np.ones((frames, people, 13, 3), np.float32)
    keypoints[..., 0] = np.arange(frames)[:, None, None]
    return make_sequence(keypoints, PENN_13, fps=30.0)


@given(st.integers(1, 40), st.integers(1, 12))
def test_sampled_rows_have_the_index_of_their_frame(frames: int, every: int) -> None:
    sampled = sample_frames(numbered_frames(frames), every)
    np.testing.assert_array_equal(sampled.frame_index, range(0, frames, every))
    np.testing.assert_array_equal(sampled.keypoints[:, 0, 0, 0], sampled.frame_index)
    assert (sampled.video_frames, sampled.fps) == (frames, 30.0)


def test_rows_of_a_varying_rate_are_sampled_by_time() -> None:
    times = np.array([0, 1, 2, 3, *np.arange(3.1, 5, 0.1)])
    sequence = replace(numbered_frames(len(times)), times=times)
    sampled = sample_frames(sequence, 3)
    pause = 2.5 * 5 / len(times)  # periods of the mean rate
    assert sampled.frame_index[:4].tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(sampled.times, times[sampled.frame_index])
    assert (np.diff(sampled.times) >= pause - 0.1).all()
    assert (np.diff(sampled.times)[3:] < pause + 0.2).all()
    assert sample_frames(sequence.select_rows(np.array([4])), 3).frame_index.tolist() == [4]


@given(st.integers(1, 60), st.integers(1, 6), st.integers(1, 6))
def test_sampling_twice_is_sampling_by_the_product(frames: int, first: int, second: int) -> None:
    twice = sample_frames(sample_frames(numbered_frames(frames), first), second)
    once = sample_frames(numbered_frames(frames), first * second)
    np.testing.assert_array_equal(twice.frame_index, once.frame_index)
    np.testing.assert_array_equal(twice.keypoints, once.keypoints)


def test_occlusion_hides_whole_joints_and_does_not_change_the_others() -> None:
    sequence = numbered_frames()
    degraded = occlude(sequence, 0.5, generator_for(0, "a"))
    hidden = ~degraded.seen
    assert 0 < hidden.sum() < hidden.size
    assert np.isnan(degraded.keypoints[hidden][:, :2]).all()
    np.testing.assert_array_equal(degraded.keypoints[~hidden], sequence.keypoints[~hidden])
    assert sequence.seen.all()


@pytest.mark.parametrize("probability", [0.3, 0.6])
def test_joints_frames_and_people_are_occluded_with_the_probability(probability: float) -> None:
    hidden = ~occlude(numbered_frames(4000), probability, generator_for(0, "a")).seen
    # 104,000 draws: five standard deviations are under 0.008; 8,000 for each joint, under 0.028
    assert hidden.mean() == pytest.approx(probability, abs=0.008)
    assert hidden.mean(axis=(0, 1)) == pytest.approx(np.full(13, probability), abs=0.028)
    together = (hidden[1:] & hidden[:-1]).mean()
    assert together == pytest.approx(probability**2, abs=0.012)  # frames are independent


@pytest.mark.parametrize(("probability", "left"), [(0.0, 1.0), (1.0, 0.0)])
def test_probability_0_hides_nothing_and_1_everything(probability: float, left: float) -> None:
    assert occlude(numbered_frames(), probability, generator_for(0, "a")).seen.mean() == left


def test_a_higher_probability_hides_all_joints_that_a_lower_one_hides() -> None:
    mild, severe = (occlude(numbered_frames(), p, generator_for(3, "a")).seen for p in (0.3, 0.6))
    assert not (severe & ~mild).any()


def test_a_video_is_always_degraded_in_the_same_way_and_differently_from_others() -> None:
    def pattern(seed: int, key: str) -> bytes:
        return occlude(numbered_frames(), 0.5, generator_for(seed, key)).seen.tobytes()

    assert pattern(1, "ab") == pattern(1, "ab")
    assert len({pattern(1, "ab"), pattern(2, "ab"), pattern(1, "ac"), pattern(11, "b")}) == 4


@pytest.mark.parametrize("every", [0, -1])
def test_sampling_needs_a_positive_step(every: int) -> None:
    with pytest.raises(DataError, match=f"every {every} frames; expected 1"):
        sample_frames(numbered_frames(), every)


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_a_probability_lies_between_0_and_1(probability: float) -> None:
    with pytest.raises(DataError, match="expected a number from 0 to 1"):
        occlude(numbered_frames(), probability, generator_for(0, "a"))


@given(frames=st.integers(1, 50), share=st.floats(0, 1), seed=st.integers(0, 9))
@pytest.mark.parametrize("drop", [drop_random_frames, drop_block])
def test_a_share_of_the_frames_is_dropped_but_never_all(drop, frames: int, share: float, seed: int) -> None:  # type: ignore[no-untyped-def]
    left = drop(numbered_frames(frames), share, np.random.default_rng(seed))
    assert len(left.frame_index) == max(1, round((1 - share) * frames))
    assert (np.diff(left.frame_index) > 0).all()
    np.testing.assert_array_equal(left.keypoints[:, 0, 0, 0], left.frame_index)
    assert left.video_frames == frames


def test_dropped_blocks_are_contiguous_and_start_at_all_positions() -> None:
    starts = set()
    for seed in range(60):
        left = drop_block(numbered_frames(10), 0.3, np.random.default_rng(seed)).frame_index.tolist()
        gone = sorted(set(range(10)) - set(left))
        assert gone == list(range(gone[0], gone[0] + 3))
        starts.add(gone[0])
    assert starts == set(range(8))


@pytest.mark.parametrize("drop", [drop_random_frames, drop_block])
def test_a_share_lies_between_0_and_1(drop) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=r"share of lost frames 1\.5; expected"):
        drop(numbered_frames(), 1.5, np.random.default_rng(0))


def test_limbs_are_arms_from_the_elbow_and_legs_from_the_knee() -> None:
    names = [[PENN_13.joints[joint] for joint in each] for each in limbs(PENN_13)]
    assert names == [
        ["left_elbow", "left_wrist"],
        ["left_knee", "left_ankle"],
        ["right_elbow", "right_wrist"],
        ["right_knee", "right_ankle"],
    ]
    assert [len(each) for each in limbs(COCO_17)] == [2, 2, 2, 2]


def test_whole_limbs_are_hidden_for_the_whole_clip() -> None:
    hidden = ~occlude_limbs(numbered_frames(50, 400), 0.3, 0, np.random.default_rng(0)).seen
    assert (hidden == hidden[:1]).all()
    assert not hidden[:, :, [PENN_13.index("head"), PENN_13.index("left_hip")]].any()
    for joints in limbs(PENN_13):
        assert (hidden[0, :, joints[0]] == hidden[0, :, joints[1]]).all()
    # 1,600 limbs: five standard deviations are under 0.06
    assert hidden[0][:, [each[0] for each in limbs(PENN_13)]].mean() == pytest.approx(0.3, abs=0.06)


def test_limbs_are_hidden_for_the_stated_mean_number_of_frames() -> None:
    sampled = sample_frames(numbered_frames(4000), 2)
    hidden = ~occlude_limbs(sampled, 0.4, 20, np.random.default_rng(1)).seen[:, 0]
    wrist = hidden[:, PENN_13.index("left_wrist")]
    ends = int((wrist[:-1] & ~wrist[1:]).sum())
    assert wrist.sum() / ends == pytest.approx(20 / 2, rel=0.35)  # every other frame of the video is sampled


@given(share=st.floats(0, 1), frames=st.floats(1, 30))
@settings(max_examples=25)
def test_bursts_have_the_stated_share_and_mean_length(share: float, frames: float) -> None:
    state = bursts(share, frames, (1500, 40), np.random.default_rng(0))
    frames = max(frames, share / max(1 - share, 1e-9))
    # Neighbouring frames are correlated: there are about 60,000 / (2 frames) independent draws.
    assert state.mean() == pytest.approx(
        share, abs=5 * np.sqrt(share * (1 - share) * 2 * frames / 60_000) + 1e-9
    )
    ends = (state[:-1] & ~state[1:]).sum()
    if ends > 500:
        assert state[:-1].sum() / ends == pytest.approx(frames, rel=5 / np.sqrt(ends))


def motionless_body(frames: int = 400, people: int = 2) -> PoseSequence:
    """A motionless body of 30 by 40 pixels, whose joints are on the diagonal; its size is 50 pixels."""
    line = np.linspace(0, 1, 13)
    keypoints = np.ones((frames, people, 13, 3), np.float32)
    keypoints[..., 0], keypoints[..., 1] = 100 + 30 * line, 50 + 40 * line
    return make_sequence(keypoints, PENN_13)


def test_jitter_is_a_share_of_the_body_size() -> None:
    offset = (
        jitter(motionless_body(), 0.06, np.random.default_rng(0)).keypoints - motionless_body().keypoints
    )[..., :2]
    assert offset.std() == pytest.approx(0.06 * 50, rel=0.03)  # 20,800 draws
    assert jitter(motionless_body(), 0.06, np.random.default_rng(0)).seen.all()
    with pytest.raises(DataError, match="expected 0 or more"):
        jitter(motionless_body(), -1, np.random.default_rng(0))


def test_without_errors_only_the_confidence_changes() -> None:
    body = occlude(motionless_body(), 0.2, np.random.default_rng(0))
    degraded = simulate_pose_errors(body, EstimatorNoise(confidence=0.7), np.random.default_rng(0))
    np.testing.assert_array_equal(degraded.keypoints[..., :2], body.keypoints[..., :2])
    np.testing.assert_array_equal(degraded.seen, body.seen)
    assert degraded.keypoints[..., 2][degraded.seen] == pytest.approx(0.7, abs=0.02)


def test_swaps_exchange_left_and_right_of_the_whole_person() -> None:
    body = motionless_body(3000, 1)
    degraded = simulate_pose_errors(body, EstimatorNoise(swaps=0.2, swap_frames=4), np.random.default_rng(0))
    swapped = (degraded.keypoints[..., :2] != body.keypoints[..., :2]).any(axis=(1, 2, 3))
    assert swapped.mean() == pytest.approx(0.2, abs=0.06)
    np.testing.assert_array_equal(
        degraded.keypoints[swapped][..., :2], body.keypoints[swapped][:, :, list(PENN_13.mirror)][..., :2]
    )


def test_noise_with_joints_of_another_layout_is_refused() -> None:
    with pytest.raises(DataError, match="the noise contains nose, which layout penn-13 does not have"):
        simulate_pose_errors(
            motionless_body(3), EstimatorNoise(jitter={"nose": 0.1}), np.random.default_rng(0)
        )


def test_degradations_are_independent_of_each_other() -> None:
    one = degrade(motionless_body(), Degradation(occlusion=0.3), seed=1)
    other = degrade(motionless_body(), Degradation(occlusion=0.3, limbs=0.5), seed=1)
    assert not (other.seen & ~one.seen).any()
    next_draw = degrade(motionless_body(), Degradation(occlusion=0.3), seed=1, draw=1)
    assert (next_draw.seen != one.seen).any()
