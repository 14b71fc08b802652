"""Pose accuracy of people whose figures can be derived by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skdpipe.pose.accuracy import PoseAccuracy, pose_accuracy
from skdpipe.skeleton import COCO_17, UNSEEN, Keypoints
from skdpipe.skeleton.people import body_area

HEIGHT = 100.0  # of every person here, between the highest and the lowest joint


def person(x: float = 50.0, y: float = 20.0) -> Keypoints:
    """Joints evenly down two columns, a tenth of the height apart: the box is 10 by 100."""
    joints = np.ones((17, 3), np.float32)
    joints[:, 0] = x + 10.0 * (np.arange(17) % 2)
    joints[:, 1] = y + HEIGHT * np.arange(17) / 16
    return joints


def people(*each: Keypoints) -> Keypoints:
    return np.stack(each) if each else np.empty((0, 17, 3), np.float32)


def shifted(joints: Keypoints, by: float) -> Keypoints:
    """Every joint moved sideways by a share of the height."""
    return joints + np.array([by * HEIGHT, 0, 0], np.float32)


def without(joints: Keypoints, *indices: int) -> Keypoints:
    joints = joints.copy()
    joints[list(indices)] = UNSEEN
    return joints


def measure(*frames: tuple[Keypoints, Keypoints], threshold: float = 0.1) -> PoseAccuracy:
    return pose_accuracy(frames, COCO_17, threshold=threshold)


def test_exact_poses_score_one() -> None:
    both = people(person(), person(200))
    assert measure((both, both[::-1])) == PoseAccuracy(1, 1, 1, 1, 0, people=2, frames=1)


@pytest.mark.parametrize(("by", "share"), [(0.05, 1.0), (0.099, 1.0), (0.101, 0.0), (0.15, 0.0)])
def test_a_shift_counts_from_a_tenth_of_the_height(by: float, share: float) -> None:
    result = measure((people(person()), people(shifted(person(), by))))
    assert (result.pck, result.pck_found, result.found, result.extra) == (share, share, 1, 0)
    # COCO's formula by hand: d = by * 100, area = max(10 * 100, 100 * 100 / 3), k = 2 sigma.
    area, k = HEIGHT**2 / 3, 2 * np.array(COCO_17.sigmas)
    np.testing.assert_allclose(body_area(person()), area)
    oks = np.exp(-((by * HEIGHT) ** 2) / (2 * area * k**2)).mean()
    assert result.oks == pytest.approx(oks, rel=1e-4)


def test_the_threshold_is_a_share_of_the_height() -> None:
    frame = people(person()), people(shifted(person(), 0.15))
    assert measure(frame, threshold=0.2).pck == 1
    assert measure(frame, threshold=0.1).pck == 0


def test_the_joints_of_a_missed_person_count_as_missed() -> None:
    result = measure((people(person(), person(200)), people(person())))
    assert (result.pck, result.pck_found, result.oks, result.found, result.extra) == (0.5, 1, 0.5, 0.5, 0)


def test_an_extra_person_does_not_change_the_accuracy_but_is_counted() -> None:
    result = measure((people(person()), people(person(200), person())), (people(), people(person())))
    assert (result.pck, result.pck_found, result.oks, result.found) == (1, 1, 1, 1)
    assert (result.extra, result.people, result.frames) == (1.0, 1, 2)


def test_a_distant_detection_is_an_extra_person() -> None:
    result = measure((people(person()), people(person(400))))
    assert (result.pck, result.pck_found, result.oks, result.found, result.extra) == (0, 0, 0, 0, 1)


def test_an_undetected_joint_counts_as_missed() -> None:
    result = measure((people(person()), people(without(person(), 0, 5, 9, 16))))
    assert result.pck == result.pck_found == 13 / 17
    assert result.oks == pytest.approx(1)  # the similarity uses only detected joints


def test_a_joint_without_ground_truth_is_ignored() -> None:
    result = measure((people(without(person(), 3, 4)), people(person())))
    assert (result.pck, result.found) == (1, 1)


def test_a_true_person_with_one_joint_has_no_height_and_is_ignored() -> None:
    result = measure((people(without(person(), *range(1, 17))), people()))
    assert (result.people, result.pck, result.found) == (0, 0, 0)


def test_without_people_all_figures_are_zero() -> None:
    assert measure() == PoseAccuracy(0, 0, 0, 0, 0, people=0, frames=0)
    assert measure((people(), people())) == PoseAccuracy(0, 0, 0, 0, 0, people=0, frames=1)


@given(st.permutations(range(4)), st.integers(0, 4), st.floats(-5, 5))
def test_the_order_of_people_has_no_effect(order: list[int], count: int, off: float) -> None:
    truth = people(*(person(150 * i) for i in range(4)))
    found = people(*(shifted(truth[i], off / HEIGHT) for i in order[:count]))
    result = measure((truth, found))
    assert result.found == result.pck == count / 4
    assert result.extra == 0
