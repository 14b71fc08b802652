"""Seen joints stay seen, unseen joints are NaN, and each transform has its identity."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sequences import make_sequence

from skdpipe.errors import DataError
from skdpipe.skeleton import PENN_13, UNSEEN, Keypoints, PoseSequence, is_seen, transforms

lengths = st.integers(1, 12)
odd = st.sampled_from([1, 3, 5, 9])


@st.composite
def clips(draw: st.DrawFn, frames: st.SearchStrategy[int] = lengths) -> Keypoints:
    """Keypoints of up to two people, with any pattern of unseen joints."""
    shape = (draw(frames), draw(st.integers(0, 2)), 13)
    coordinates = st.floats(-1000, 1000, width=32)
    keypoints = np.empty((*shape, 3), np.float32)
    keypoints[..., :2] = draw(arrays.arrays(np.float32, (*shape, 2), elements=coordinates))
    keypoints[..., 2] = draw(arrays.arrays(np.float32, shape, elements=st.floats(0.125, 1, width=32)))
    keypoints[draw(arrays.arrays(bool, shape))] = UNSEEN
    return keypoints


def one_joint(*rows: tuple[float, float, float]) -> Keypoints:
    """A clip of one person with one joint; one row for each frame."""
    return np.array(rows, np.float32)[:, None, None]


def penn_sequence(keypoints: Keypoints, frame_index: list[int], video_frames: int) -> PoseSequence:
    return make_sequence(keypoints, PENN_13, frame_index=frame_index, video_frames=video_frames)


def body(rows: Keypoints) -> Keypoints:
    """The rows of one joint, repeated for all thirteen joints."""
    return np.repeat(rows, 13, axis=2)


in_space: list[Callable[[Keypoints], Keypoints]] = [
    transforms.centre,
    transforms.normalise_by_body,
    lambda k: transforms.normalise_by_image(k, (640, 480)),
    lambda k: transforms.scale(k, 1.5),
]


@pytest.mark.parametrize("transform", in_space)
@given(keypoints=clips())
def test_transforms_in_space_keep_seen_and_unseen_joints(transform, keypoints: Keypoints) -> None:
    before = keypoints.copy()
    result = transform(keypoints)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result[..., 2], keypoints[..., 2])
    np.testing.assert_array_equal(np.isnan(result[..., :2]).any(-1), ~is_seen(keypoints))
    np.testing.assert_array_equal(keypoints, before)


@given(clips(), st.integers(1, 20), odd)
def test_exactly_the_unseen_joints_are_nan_after_transforms_along_time(keypoints, length, window) -> None:
    for result in (
        transforms.smooth(keypoints, window),
        transforms.resample(keypoints, length),
        transforms.replay(keypoints, length),
    ):
        assert result.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(result).any(-1), ~is_seen(result))


# Smoothing


@given(clips(), odd)
def test_smoothing_never_loses_a_joint(keypoints: Keypoints, window: int) -> None:
    assert is_seen(transforms.smooth(keypoints, window))[is_seen(keypoints)].all()


@given(clips())
def test_smoothing_over_one_frame_changes_nothing(keypoints: Keypoints) -> None:
    np.testing.assert_array_equal(transforms.smooth(keypoints, 1), keypoints)


@given(clips(), odd)
def test_smoothing_a_motionless_body_only_fills(keypoints: Keypoints, window: int) -> None:
    still = np.where(is_seen(keypoints)[..., None], np.float32([12.3, -4.5, 0.7]), UNSEEN)
    smoothed = transforms.smooth(still, window)
    assert (smoothed[is_seen(smoothed)] == np.float32([12.3, -4.5, 0.7])).all()


@given(clips(), odd)
def test_smoothing_is_the_mean_over_the_detections_in_the_window(keypoints: Keypoints, window: int) -> None:
    expected = np.full_like(keypoints, np.nan)
    expected[..., 2] = 0
    for frame, person, joint in np.ndindex(keypoints.shape[:3]):
        near = keypoints[max(0, frame - window // 2) : frame + window // 2 + 1, person, joint]
        if (is_seen(near)).any():
            expected[frame, person, joint] = near[is_seen(near)].astype(float).mean(axis=0)
    np.testing.assert_allclose(transforms.smooth(keypoints, window), expected, rtol=1e-5, atol=1e-4)


def test_smoothing_by_hand() -> None:
    clip = one_joint((0, 0, 1), UNSEEN, (6, 3, 0.5), UNSEEN, UNSEEN, UNSEEN)
    expected = one_joint((0, 0, 1), (3, 1.5, 0.75), (6, 3, 0.5), (6, 3, 0.5), UNSEEN, UNSEEN)
    np.testing.assert_array_equal(transforms.smooth(clip), expected)


@pytest.mark.parametrize("window", [0, 2, -3])
def test_smoothing_needs_an_odd_window(window: int) -> None:
    with pytest.raises(DataError, match=f"window of {window} frames; expected an odd number"):
        transforms.smooth(one_joint((0, 0, 1)), window)


def test_smoothing_no_frames_gives_no_frames() -> None:
    assert transforms.smooth(np.zeros((0, 2, 13, 3), np.float32), 5).shape == (0, 2, 13, 3)


# Length


@given(clips())
def test_resampling_to_the_same_length_changes_nothing(keypoints: Keypoints) -> None:
    np.testing.assert_array_equal(transforms.resample(keypoints, len(keypoints)), keypoints)


@given(st.integers(2, 30), st.integers(2, 30))
def test_resampling_keeps_uniform_motion_uniform(frames: int, length: int) -> None:
    clip = one_joint(*((10 + 3 * t, 5 - t, 1) for t in np.linspace(0, 1, frames)))
    expected = one_joint(*((10 + 3 * t, 5 - t, 1) for t in np.linspace(0, 1, length)))
    np.testing.assert_allclose(transforms.resample(clip, length), expected, rtol=1e-5)


def test_the_nearer_frame_is_used_if_the_joint_is_unseen_in_the_other() -> None:
    clip = one_joint((0, 0, 1), UNSEEN)
    expected = one_joint((0, 0, 1), (0, 0, 1), UNSEEN, UNSEEN)  # at rows 0, 1/3, 2/3, 1
    np.testing.assert_array_equal(transforms.resample(clip, 4), expected)
    midpoint = transforms.resample(clip, 3)[1]
    np.testing.assert_array_equal(midpoint, clip[0])


@given(clips(), st.integers(1, 40))
def test_replay_is_periodic(keypoints: Keypoints, length: int) -> None:
    played = transforms.replay(keypoints, length)
    assert len(played) == length
    for frame in range(length):
        np.testing.assert_array_equal(played[frame], keypoints[frame % len(keypoints)])


@pytest.mark.parametrize("change_length", [transforms.resample, transforms.replay])
def test_clips_and_lengths_of_0_frames_are_refused(change_length) -> None:
    with pytest.raises(DataError, match="cannot make 5 frames of a clip with 0"):
        change_length(np.zeros((0, 1, 13, 3), np.float32), 5)
    with pytest.raises(DataError, match="cannot make 0 frames"):
        change_length(one_joint((0, 0, 1)), 0)


# From sampled frames to every frame


def test_interpolating_frames_by_hand() -> None:
    sampled = penn_sequence(body(one_joint((0, 0, 1), (4, 8, 0.5))), [1, 3], video_frames=6)
    first, last, between = (0, 0, 1), (4, 8, 0.5), (2, 4, 0.75)
    result = transforms.interpolate_frames(sampled)
    np.testing.assert_array_equal(result.keypoints, body(one_joint(first, first, between, last, last, last)))
    np.testing.assert_array_equal(result.frame_index, np.arange(6))


@given(keypoints=clips(), every=st.integers(1, 10), tail=st.integers(0, 10))
def test_sampled_frames_do_not_change(keypoints: Keypoints, every: int, tail: int) -> None:
    index = list(range(0, len(keypoints) * every, every))
    result = transforms.interpolate_frames(penn_sequence(keypoints, index, index[-1] + 1 + tail))
    assert len(result.keypoints) == index[-1] + 1 + tail
    np.testing.assert_array_equal(result.keypoints[index], keypoints)


# In space


@given(clips(), st.floats(-500, 500), st.floats(-500, 500), st.floats(0.25, 4))
def test_normalising_by_the_body_removes_position_and_size(
    keypoints: Keypoints, dx: float, dy: float, factor
) -> None:
    grid = np.round(keypoints)  # coinciding joints still coincide after the rounding of the shift
    grid[..., 2] = keypoints[..., 2]
    grid[0, :1, :2] = [(0, 0, 1), (30, 40, 1)]  # a body with an extent
    elsewhere = transforms.scale(grid + np.float32([dx, dy, 0]), factor)
    np.testing.assert_allclose(
        transforms.normalise_by_body(elsewhere), transforms.normalise_by_body(grid), rtol=1e-3, atol=3e-3
    )


def test_normalising_by_the_body_by_hand() -> None:
    clip = np.full((3, 2, 13, 3), UNSEEN, np.float32)
    clip[:, 1, 0] = (10, 20, 1)  # person 0 is unseen, so person 1 is the first with a seen joint
    clip[:, 1, 1] = (13, 24, 0.5)  # 3 right and 4 down: a diagonal of 5
    result = transforms.normalise_by_body(clip)
    np.testing.assert_allclose(result[0, 1, 0], (-0.3, -0.4, 1), rtol=1e-6)
    np.testing.assert_allclose(result[0, 1, 1], (0.3, 0.4, 0.5), rtol=1e-6)


def test_one_outlier_frame_does_not_change_the_body_size() -> None:
    clip = np.full((5, 1, 13, 3), UNSEEN, np.float32)
    clip[:, 0, 0], clip[:, 0, 1] = (0, 0, 1), (0, 10, 1)
    clip[2, 0, 1] = (900, 900, 1)
    result = transforms.normalise_by_body(clip)
    assert np.ptp(result[0, 0, :2, 1]) == pytest.approx(1)


@given(clips())
def test_centring_moves_all_people_by_the_same_offset(keypoints: Keypoints) -> None:
    moved = transforms.centre(keypoints) - keypoints
    shifts = moved[is_seen(keypoints)]
    if len(shifts):
        np.testing.assert_allclose(shifts, np.broadcast_to(shifts[0], shifts.shape), atol=1e-3)


def test_a_person_without_extent_is_only_centred() -> None:
    clip = one_joint((7, 8, 1), (7, 8, 1))
    np.testing.assert_array_equal(transforms.normalise_by_body(clip), one_joint((0, 0, 1), (0, 0, 1)))


def test_normalising_by_the_image_maps_its_corners_to_a_half() -> None:
    clip = one_joint((0, 0, 1), (640, 480, 1), (320, 240, 0.3))
    expected = one_joint((-0.5, -0.5, 1), (0.5, 0.5, 1), (0, 0, 0.3))
    np.testing.assert_allclose(transforms.normalise_by_image(clip, (640, 480)), expected, atol=1e-7)


# Network input


@given(clips())
def test_unseen_joints_become_0_in_the_network_input_and_nothing_else_changes(keypoints: Keypoints) -> None:
    tensor = transforms.to_network(keypoints)
    frames, people, joints, _ = keypoints.shape
    assert tensor.shape == (people, 3, frames, joints)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    back = tensor.transpose(2, 0, 3, 1)
    np.testing.assert_array_equal(back[is_seen(keypoints)], keypoints[is_seen(keypoints)])
    assert (back[~is_seen(keypoints)] == 0).all()


# Missing joints


def test_missing_joints_are_interpolated_between_detections() -> None:
    keypoints = np.full((6, 1, 3, 3), UNSEEN, np.float32)
    keypoints[1, 0, 0] = 0, 10, 0.9
    keypoints[4, 0, 0] = 3, 40, 0.5
    keypoints[2:4, 0, 1] = 7, 8, 1
    filled = transforms.interpolate_missing(keypoints)
    np.testing.assert_allclose(filled[1:5, 0, 0], [[0, 10, 0.9], [1, 20, 0.1], [2, 30, 0.1], [3, 40, 0.5]])
    np.testing.assert_allclose(filled[1:5, 0, 1], [[7, 8, 0.1], [7, 8, 1], [7, 8, 1], [7, 8, 0.1]])
    assert not is_seen(filled[[0, 5]]).any()  # before and after the person
    assert not is_seen(filled[:, :, 2]).any()  # a joint that is never seen


@given(st.integers(0, 999))
def test_interpolation_keeps_what_is_seen_and_is_idempotent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(1, 9, (7, 2, 4, 3)).astype(np.float32)
    keypoints[rng.random((7, 2, 4)) < rng.random()] = UNSEEN
    before = keypoints.copy()
    filled = transforms.interpolate_missing(keypoints)
    np.testing.assert_array_equal(keypoints, before)
    seen = is_seen(keypoints)
    np.testing.assert_array_equal(filled[seen], keypoints[seen])
    np.testing.assert_array_equal(transforms.interpolate_missing(filled), filled)
    for person in range(2):
        present = seen[:, person].any(axis=1)
        if present.any():
            ever = seen[:, person].any(axis=0)
            first, last = np.flatnonzero(present)[[0, -1]]
            assert is_seen(filled[first : last + 1, person][:, ever]).all()
