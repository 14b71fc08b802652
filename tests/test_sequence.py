"""Pose sequences check their shapes and report which joints are seen."""

from __future__ import annotations

import numpy as np
import pytest
from sequences import make_sequence

from skdpipe.errors import DataError
from skdpipe.skeleton import COCO_17, UNSEEN, PoseSequence, is_seen


@pytest.mark.parametrize("shape", [(4, 1, 13, 3), (4, 1, 17, 2), (4, 17, 3), (5, 1, 17, 3), (4, 1, 17, 3, 1)])
def test_the_error_for_a_wrong_shape_contains_the_expected_shape(shape: tuple[int, ...]) -> None:
    expected = r"4 frame indices; expected \(frame, person, 17, 3 or 4\) for layout coco-17$"
    with pytest.raises(DataError, match=expected):
        PoseSequence(np.zeros(shape, np.float32), np.arange(4, dtype=np.int32), 4, COCO_17, 25.0, (640, 480))


def test_a_sequence_is_empty_until_a_joint_is_seen() -> None:
    keypoints = np.tile(UNSEEN, (2, 3, 17, 1))
    assert make_sequence(keypoints).is_empty
    keypoints[1, 2, 5] = (1, 2, 0.1)
    sequence = make_sequence(keypoints)
    assert not sequence.is_empty
    assert np.argwhere(sequence.seen).tolist() == [[1, 2, 5]]
    assert sequence.people == 3
    assert make_sequence(np.zeros((1, 0, 17, 3))).is_empty


def test_a_joint_is_seen_if_its_confidence_is_above_0() -> None:
    joints = np.array([UNSEEN, (0, 0, 0.01), (5, 5, 0), (0, 0, 1)], np.float32)
    assert is_seen(joints).tolist() == [False, True, False, True]
