"""Low quality comes about as stated, and in the same way every time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skdpipe.degrade import generator_for, occlude, sample_frames
from skdpipe.errors import DataError
from skdpipe.skeleton import PENN_13, PoseSequence

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


def a_sequence(frames: int = 20, people: int = 2) -> PoseSequence:
    keypoints = np.ones((frames, people, 13, 3), np.float32)
    keypoints[..., 0] = np.arange(frames)[:, None, None]
    return PoseSequence(keypoints, np.arange(frames, dtype=np.int32), frames, PENN_13, 30.0, (640, 480))


@given(st.integers(1, 40), st.integers(1, 12))
def test_sampled_rows_know_their_frames(frames: int, every: int) -> None:
    sampled = sample_frames(a_sequence(frames), every)
    np.testing.assert_array_equal(sampled.frame_index, range(0, frames, every))
    np.testing.assert_array_equal(sampled.keypoints[:, 0, 0, 0], sampled.frame_index)
    assert (sampled.video_frames, sampled.fps) == (frames, 30.0)


@given(st.integers(1, 60), st.integers(1, 6), st.integers(1, 6))
def test_sampling_twice_is_sampling_by_the_product(frames: int, first: int, second: int) -> None:
    twice = sample_frames(sample_frames(a_sequence(frames), first), second)
    once = sample_frames(a_sequence(frames), first * second)
    np.testing.assert_array_equal(twice.frame_index, once.frame_index)
    np.testing.assert_array_equal(twice.keypoints, once.keypoints)


def test_occlusion_hides_whole_joints_and_leaves_the_others() -> None:
    sequence = a_sequence()
    spoilt = occlude(sequence, 0.5, generator_for(0, "a"))
    hidden = ~spoilt.seen
    assert 0 < hidden.sum() < hidden.size
    assert np.isnan(spoilt.keypoints[hidden][:, :2]).all()
    np.testing.assert_array_equal(spoilt.keypoints[~hidden], sequence.keypoints[~hidden])
    assert sequence.seen.all()


@pytest.mark.parametrize("probability", [0.3, 0.6])
def test_joints_frames_and_people_are_occluded_with_the_probability(probability: float) -> None:
    hidden = ~occlude(a_sequence(4000), probability, generator_for(0, "a")).seen
    # 104,000 draws: five standard deviations are under 0.008; 8,000 for each joint, under 0.028
    assert hidden.mean() == pytest.approx(probability, abs=0.008)
    assert hidden.mean(axis=(0, 1)) == pytest.approx(np.full(13, probability), abs=0.028)
    together = (hidden[1:] & hidden[:-1]).mean()
    assert together == pytest.approx(probability**2, abs=0.012)  # frames are independent


@pytest.mark.parametrize(("probability", "left"), [(0.0, 1.0), (1.0, 0.0)])
def test_the_ends_are_all_and_nothing(probability: float, left: float) -> None:
    assert occlude(a_sequence(), probability, generator_for(0, "a")).seen.mean() == left


def test_more_occlusion_hides_all_that_less_hides() -> None:
    mild, severe = (occlude(a_sequence(), p, generator_for(3, "a")).seen for p in (0.3, 0.6))
    assert not (severe & ~mild).any()


def test_a_video_is_always_spoilt_alike_and_unlike_others() -> None:
    def pattern(seed: int, key: str) -> bytes:
        return occlude(a_sequence(), 0.5, generator_for(seed, key)).seen.tobytes()

    assert pattern(1, "ab") == pattern(1, "ab")
    assert len({pattern(1, "ab"), pattern(2, "ab"), pattern(1, "ac"), pattern(11, "b")}) == 4


@pytest.mark.parametrize("every", [0, -1])
def test_sampling_needs_a_positive_step(every: int) -> None:
    with pytest.raises(DataError, match=f"every {every} frames; expected 1"):
        sample_frames(a_sequence(), every)


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_a_probability_lies_between_0_and_1(probability: float) -> None:
    with pytest.raises(DataError, match="expected a number from 0 to 1"):
        occlude(a_sequence(), probability, generator_for(0, "a"))
