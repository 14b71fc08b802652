"""What a pose sequence can be."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sequences import make_sequence

from skdpipe.cache import PoseCache
from skdpipe.errors import DataError
from skdpipe.skeleton import COCO_17, UNSEEN, PoseSequence
from skdpipe.skeleton.plausible import require_plausible


def with_joint(x: float, y: float, confidence: float) -> PoseSequence:
    """Three frames of a person in a picture of 640 x 480 pixels; row 1, joint 5 is as given."""
    keypoints = np.full((3, 1, 17, 3), 0.5, np.float32)
    keypoints[0, 0, 0] = UNSEEN
    keypoints[1, 0, 5] = x, y, confidence
    return make_sequence(keypoints)


@pytest.mark.parametrize("joint", [(0, 0, 1), (-6400, 6400, 0.001), (np.nan, np.nan, 0)])
def test_joints_within_the_bounds_are_accepted(joint: tuple[float, float, float]) -> None:
    require_plausible(with_joint(*joint))


@pytest.mark.parametrize(
    ("joint", "message"),
    [
        ((1e30, 1, 1), "a joint at 1e\\+30, 1"),
        ((6401, 1, 1), "a joint at 6401, 1 .*at most 10 times the picture's longer side"),
        ((1, -6401, 1), "a joint at 1, -6401"),
        ((np.nan, 1, 1), "a joint at nan, 1"),
        ((1, np.inf, 0.1), "a joint at 1, inf"),
        ((1, 1, 1.5), "a confidence of 1.5"),
        ((1, 1, -1), "a confidence of -1"),
        ((1, 1, np.nan), "a confidence of nan"),
        ((1, 1, np.inf), "a confidence of inf"),
        ((1, 1, 0), "coordinates of a joint with confidence 0"),
        ((np.inf, np.nan, 0), "coordinates of a joint with confidence 0"),
    ],
)
def test_joints_beyond_the_bounds_are_refused(joint: tuple[float, float, float], message: str) -> None:
    with pytest.raises(DataError, match=f"^{message}.*") as caught:
        require_plausible(with_joint(*joint))
    assert "(row 1, person 0, joint 5)" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": np.nan}, "nan frames per second"),
        ({"fps": np.inf}, "inf frames per second"),
        ({"fps": 0}, "0 frames per second"),
        ({"fps": 0.0009}, "0.0009 frames per second"),
        ({"fps": 10_001.0}, "10001.0 frames per second"),
        ({"size": (640, 0)}, "a picture of 640 x 0 pixels"),
        ({"size": (10**12, 480)}, "a picture of 1000000000000 x 480 pixels"),
        ({"video_frames": 10**12}, "a video of 1000000000000 frames"),
        ({"video_frames": 2}, "frames 0 to 2 of a video of 2 frames"),
        ({"frame_index": np.array([-1, 0, 1], np.int32)}, "frames -1 to 1"),
        ({"frame_index": np.array([0, 2, 1], np.int32)}, "frame_index of int32"),
        ({"frame_index": np.array([0, 1, 1], np.int32)}, "frame_index of int32"),
        ({"frame_index": np.array([0, 1, 2.0])}, "frame_index of float64"),
        ({"times": np.array([0, 1, np.nan])}, "times that do not rise"),
        ({"times": np.array([0, 1, 1.0])}, "times that do not rise"),
        ({"times": np.array([0, 1, np.inf])}, "times that do not rise"),
    ],
)
def test_frames_times_and_sizes_beyond_the_bounds_are_refused(change: dict, message: str) -> None:
    with pytest.raises(DataError, match=f"^{message}"):
        require_plausible(replace(with_joint(1, 1, 1), **change))


def test_three_coordinates_have_bounds_and_no_picture() -> None:
    keypoints = np.ones((2, 1, 17, 4), np.float32)
    sequence = replace(
        make_sequence(np.ones((2, 1, 17, 3))), keypoints=keypoints, size=(0, 0), layout=COCO_17
    )
    require_plausible(sequence)
    keypoints[1, 0, 3, 2] = 2e6
    with pytest.raises(DataError, match=r"a joint at 1, 1, 2e\+06 \(row 1, person 0, joint 3\)"):
        require_plausible(sequence)


@given(st.integers(0, 4), st.integers(0, 3))
def test_no_frames_and_no_people_are_accepted(frames: int, people: int) -> None:
    require_plausible(make_sequence(np.ones((frames, people, 17, 3))))


def test_the_cache_saves_no_implausible_sequence(tmp_path) -> None:
    sequence = with_joint(1e30, 1, 1)
    with pytest.raises(DataError, match="a joint at"):
        PoseCache(tmp_path).save(replace(sequence, origin=replace(sequence.origin, key="aa")), "high", "hand")
    assert not list(tmp_path.rglob("*.safetensors"))
