"""Similarity, selection and matching of people whose positions are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from sequences import make_sequence
from standing_figure import people, person

from skdpipe.errors import DataError
from skdpipe.skeleton import COCO_17, PENN_13, UNSEEN, Keypoints, PoseSequence, is_seen
from skdpipe.skeleton.people import (
    assign,
    body_area,
    body_size,
    match_people,
    oks,
    pairwise_oks,
    select_people,
)


def penn_sequence(keypoints: Keypoints, frame_index: list[int] | None = None) -> PoseSequence:
    return make_sequence(keypoints, PENN_13, frame_index=frame_index)


# Similarity


def test_similarity_by_hand() -> None:
    a = np.array([[0, 0, 1], [10, 0, 1], [0, 0, 0]], np.float32)
    b = np.array([[3, 4, 1], [10, 0, 1], [5, 5, 1]], np.float32)
    # Joint 0: d = 5, area 100, k = 2 x 0.25: exp(-25 / (2 x 100 x 0.25)); joint 1: 1; joint 2 unseen in a.
    assert oks(a, b, [0.25, 0.1, 0.1], 100) == pytest.approx((np.exp(-0.5) + 1) / 2)


def test_similarity_is_1_for_the_same_person_and_falls_with_distance() -> None:
    similarity = pairwise_oks(
        people(person(100)), people(*(person(100 + d) for d in (0, 5, 10, 400))), PENN_13.sigmas
    )
    assert similarity.shape == (1, 4)
    assert similarity[0, 0] == 1
    assert (np.diff(similarity[0]) < 0).all()
    assert similarity[0, 3] == pytest.approx(0, abs=1e-9)


def test_similarity_is_nan_without_a_common_joint() -> None:
    top, bottom = person(100), person(100)
    top[7:], bottom[:7] = UNSEEN, UNSEEN
    assert np.isnan(oks(top, bottom, PENN_13.sigmas, 100))


def test_pairwise_similarity_is_the_similarity_of_every_pair() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(0, 50, (n, 13, 3)).astype(np.float32) for n in (3, 4))
    b[1, 4:] = UNSEEN
    expected = [[oks(p, q, PENN_13.sigmas, body_area(p)) for q in b] for p in a]
    np.testing.assert_allclose(pairwise_oks(a, b, PENN_13.sigmas), expected)


def test_areas_by_hand() -> None:
    line, point, unseen = person(0), person(0), person(0)
    line[:, 0] = 7  # 120 px tall without width: the width counts as a third of the height
    point[1:] = unseen[:] = UNSEEN
    np.testing.assert_allclose(body_area(people(person(0), line, point, unseen)), [40 * 120, 120 * 40, 1, 1])


def test_the_size_of_a_body_is_the_diagonal_of_its_box() -> None:
    clip = np.stack([people(person(100), person(300, size=2))] * 3)
    diagonal = np.hypot(40, 120)
    np.testing.assert_allclose(body_size(clip), [diagonal, 2 * diagonal], rtol=1e-6)
    clip[1, 0] = UNSEEN  # frames without the person do not count
    clip[:, 1] = UNSEEN
    np.testing.assert_allclose(body_size(clip), [diagonal, 0], rtol=1e-6)


# Selection


def test_three_frames_of_high_confidence_do_not_win() -> None:
    clip = np.broadcast_to(UNSEEN, (30, 3, 13, 3)).copy()
    clip[:, 1] = person(100, confidence=0.3)  # mean 0.3
    clip[:3, 0] = person(200, confidence=1.0)  # mean 0.1
    clip[:, 2] = person(300, confidence=0.5)  # mean 0.5
    np.testing.assert_array_equal(select_people(clip), clip[:, [2, 1]])
    np.testing.assert_array_equal(select_people(clip, 3), clip[:, [2, 1, 0]])


@pytest.mark.parametrize("frames", [0, 4])
@pytest.mark.parametrize("found", [0, 1, 2, 3])
def test_exactly_the_requested_number_of_people_is_returned(frames: int, found: int) -> None:
    clip = np.broadcast_to(person(100), (frames, found, 13, 3))
    selected = select_people(clip, 2)
    assert selected.shape == (frames, 2, 13, 3)
    assert is_seen(selected).any(axis=-1).sum() == frames * min(found, 2)
    assert np.isnan(selected[~is_seen(selected)][:, :2]).all()


def test_a_negative_number_of_people_is_refused() -> None:
    with pytest.raises(DataError, match="cannot select -1 people"):
        select_people(np.zeros((1, 1, 13, 3), np.float32), -1)


# Matching


def two_walkers(length: int = 20) -> Keypoints:
    return np.stack([people(person(100 + t), person(400 - t)) for t in range(length)])


def test_low_people_get_the_indices_of_their_high_matches() -> None:
    high = penn_sequence(two_walkers())
    matched, report = match_people(high, penn_sequence(two_walkers()[:, ::-1]))
    np.testing.assert_array_equal(matched.keypoints, high.keypoints)
    assert (report.people_high, report.people_low, report.matched) == (2, 2, 2)
    assert report.pairs == ((0, 1), (1, 0))
    assert report.oks == 1


def test_matching_uses_the_frames_of_both_sequences() -> None:
    high = penn_sequence(two_walkers())
    low = penn_sequence(two_walkers()[::5, ::-1], [0, 5, 10, 15])  # row 1 of low is frame 5, not frame 1
    matched, report = match_people(high, low)
    np.testing.assert_array_equal(matched.keypoints, high.keypoints[::5])
    np.testing.assert_array_equal(matched.frame_index, low.frame_index)
    assert report.oks == 1


def test_matching_uses_the_joints_of_both_layouts() -> None:
    coco = np.broadcast_to(UNSEEN, (20, 2, 17, 3)).copy()
    for joint in PENN_13.joints[1:]:  # all but the head
        coco[:, :, COCO_17.index(joint)] = two_walkers()[:, ::-1, PENN_13.index(joint)]
    coco[:, :, COCO_17.index("nose")] = (0, 0, 1)
    matched, report = match_people(penn_sequence(two_walkers()), make_sequence(coco))
    np.testing.assert_array_equal(matched.keypoints, coco[:, ::-1])
    assert matched.layout == COCO_17
    assert (report.matched, report.oks) == (2, 1)


def test_the_reported_similarity_is_the_mean_over_frames_with_both_people() -> None:
    high = penn_sequence(np.stack([people(person(100))] * 4))
    low = high.keypoints.copy()
    low[1] = person(106)  # the other frames are equal, except one that is unseen
    low[2] = UNSEEN
    _, report = match_people(high, penn_sequence(low))
    moved = float(oks(person(100), person(106), PENN_13.sigmas, 4800))
    assert report.oks == pytest.approx((1 + moved + 1) / 3)


def test_one_frame_of_perfect_similarity_does_not_win_over_nine_good_ones() -> None:
    high = penn_sequence(np.stack([people(person(100))] * 10))
    low = np.broadcast_to(UNSEEN, (10, 2, 13, 3)).copy()
    low[0, 0] = person(100)  # similarity 1 in one frame
    low[1:, 1] = person(105)  # lower similarity in nine frames
    matched, report = match_people(high, penn_sequence(low))
    np.testing.assert_array_equal(matched.keypoints, low[:, ::-1])
    assert (report.people_high, report.people_low, report.pairs) == (1, 2, ((0, 1),))


def test_unmatched_people_get_the_remaining_indices() -> None:
    high = penn_sequence(two_walkers())
    low = np.stack([people(person(600, y=60), person(400 - t), person(600, y=400)) for t in range(20)])
    matched, report = match_people(high, penn_sequence(low))
    np.testing.assert_array_equal(
        matched.keypoints, low[:, [0, 1, 2]]
    )  # index 1 is the match of high's person 1
    assert (report.people_low, report.matched, report.pairs) == (3, 1, ((1, 1),))


@pytest.mark.parametrize(("least", "matched"), [(0.0, 1), (0.99, 0)])
def test_pairs_below_the_minimum_similarity_are_not_matched(least: float, matched: int) -> None:
    high, low = (penn_sequence(np.stack([people(person(x))] * 3)) for x in (100, 110))
    assert match_people(high, low, least=least)[1].matched == matched


def test_people_missing_in_low_are_unseen() -> None:
    high = penn_sequence(two_walkers())
    matched, report = match_people(high, penn_sequence(two_walkers()[:, 1:]))
    assert matched.people == 2
    assert np.isnan(matched.keypoints[:, 0, :, :2]).all()
    np.testing.assert_array_equal(matched.keypoints[:, 1], high.keypoints[:, 1])
    assert (report.people_low, report.matched) == (1, 1)


@pytest.mark.parametrize(
    "low",
    [
        penn_sequence(np.zeros((0, 0, 13, 3), np.float32)),
        penn_sequence(np.zeros((20, 0, 13, 3), np.float32)),
        penn_sequence(two_walkers(), list(range(100, 120))),  # no common frame
    ],
)
def test_without_common_frames_or_people_there_are_no_matches(low: PoseSequence) -> None:
    matched, report = match_people(penn_sequence(two_walkers()), low)
    assert report.matched == 0
    assert np.isnan(report.oks)
    assert matched.keypoints.shape == (len(low.keypoints), 2, 13, 3)


@given(st.permutations(range(4)))
def test_matching_undoes_any_permutation(order: list[int]) -> None:
    crowd = np.stack([people(*(person(80 + 150 * n) for n in range(4)))] * 5)
    high = penn_sequence(crowd)
    matched, _ = match_people(high, penn_sequence(crowd[:, order]))
    np.testing.assert_array_equal(matched.keypoints, high.keypoints)


def test_a_pair_of_score_0_is_not_assigned() -> None:
    assert assign(np.array([[0.0, 0.3], [0.0, 0.0], [0.9, 0.0]])) == [(0, 1), (2, 0)]
    assert assign(np.zeros((2, 3))) == []
    assert assign(np.zeros((0, 3))) == assign(np.zeros((3, 0))) == assign(np.zeros((0, 0))) == []


@given(st.integers(0, 2**32), st.integers(0, 5), st.integers(0, 5), st.integers(1, 5))
def test_the_assignment_is_that_of_the_hungarian_method(
    seed: int, rows: int, columns: int, most: int
) -> None:
    score = np.random.default_rng(seed).integers(0, most + 1, (rows, columns)) / most  # with equal scores
    expected = zip(*linear_sum_assignment(score, maximize=True), strict=True)
    assert assign(score) == [(row, column) for row, column in expected if score[row, column] > 0]
