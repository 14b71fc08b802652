"""Footage of actors: the truth agrees with the poses, and the poses with the pictures."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from actor_footage import FPS, SOLO_ACTIONS, Footage, nobody, one_at_a_time, side_by_side

from skdpipe.skeleton import is_seen
from skdpipe.skeleton.people import box_corners, box_sides
from skdpipe.synthetic import ACTIONS


def kinds() -> list[Footage]:
    return [one_at_a_time(3), side_by_side(3), side_by_side(3, lanes=3, seconds=60)]


@pytest.mark.parametrize("footage", kinds(), ids=lambda each: each.name)
def test_people_are_seen_from_the_first_to_the_last_frame_of_their_visit(footage: Footage) -> None:
    seen = footage.poses.seen.any(axis=-1)
    for span in footage.truth.people:
        rows = np.flatnonzero(seen[:, span.person])
        assert (rows[0], rows[-1], len(rows)) == (round(span.start * FPS), round(span.end * FPS), span.frames)
    assert len(footage.truth.people) == footage.poses.people


@pytest.mark.parametrize("footage", kinds(), ids=lambda each: each.name)
def test_the_segments_of_a_person_cover_the_visit_in_turn(footage: Footage) -> None:
    groups = {each.person for each in footage.truth.segments}
    assert groups == ({None} if footage.together else {span.person for span in footage.truth.people})
    for person in groups:
        segments = [each for each in footage.truth.segments if each.person == person]
        assert all(one.end == pytest.approx(other.start) for one, other in pairwise(segments))
        assert all((one.label is None) != (other.label is None) or other.reason != one.reason
                   for one, other in pairwise(segments))  # fmt: skip


def test_all_actions_occur_and_pairs_only_together() -> None:
    def labels(footage: Footage) -> set[str | None]:
        return {each.label for each in footage.truth.segments} - {None}

    assert labels(one_at_a_time(3)) == set(ACTIONS)
    assert labels(side_by_side(3)) <= set(SOLO_ACTIONS)


def test_nobody_is_where_the_truth_says_so() -> None:
    footage = one_at_a_time(3)
    present = footage.poses.seen.any(axis=(1, 2))
    empty = np.zeros(footage.frames, bool)
    for each in footage.truth.segments:
        if each.reason == "no person":
            empty[round(each.start * FPS) : round(each.end * FPS)] = True
    np.testing.assert_array_equal(empty, ~present)
    (segment,) = nobody(0, seconds=5).truth.segments
    assert (segment.start, segment.end, segment.reason) == (0, 5, "no person")


@pytest.mark.parametrize("footage", kinds(), ids=lambda each: each.name)
def test_nobody_jumps(footage: Footage) -> None:
    """A hand moves by at most a third of the body's height in a frame of 83 ms (4.5 hands' lengths)."""
    for person in footage.poses.keypoints.swapaxes(0, 1):
        rows = person[is_seen(person).all(axis=-1)]
        steps = np.linalg.norm(np.diff(rows[..., :2], axis=0), axis=-1)
        assert steps.max() < 0.33 * np.median(box_sides(rows)[:, 1])


def test_idle_people_move_less_than_acting_ones() -> None:
    footage = side_by_side(3)
    speeds: dict[bool, list[float]] = {True: [], False: []}
    for each in footage.truth.segments:
        assert each.person is not None
        inner = slice(round(each.start * FPS) + 4, round(each.end * FPS) - 4)  # without the transitions
        steps = np.diff(footage.poses.keypoints[inner, each.person, :, :2], axis=0)
        speeds[each.label is None].append(float(np.nanmean(np.linalg.norm(steps, axis=-1))))
    assert 2 * np.median(speeds[True]) < np.median(speeds[False])


def test_a_picture_differs_from_the_background_where_people_are() -> None:
    footage = side_by_side(3, seconds=30)
    frames = np.stack(list(footage.render())).astype(int)
    assert frames.shape == (footage.frames, 180, 240, 3)
    present = footage.poses.seen.any(axis=-1)
    background = np.median(frames[~present.any(axis=1)], axis=0)
    changed = np.abs(frames - background).max(axis=-1) > 40
    for number in np.flatnonzero(present.any(axis=1))[::7]:
        boxes = box_corners(footage.poses.keypoints[number, present[number]]).swapaxes(0, 1)
        inside = np.zeros(changed.shape[1:], bool)
        for (left, top), (right, bottom) in boxes.round().astype(int):
            box = slice(max(top, 0), bottom + 1), slice(max(left, 0), right + 1)
            inside[box] = True
            assert changed[number][box].mean() > 0.2
        assert changed[number][inside].sum() > 0.7 * changed[number].sum()


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, second = (one_at_a_time(4, visits=1) for _ in range(2))
    assert first.truth == second.truth
    assert first.poses.keypoints.tobytes() == second.poses.keypoints.tobytes()
    assert next(first.render()).tobytes() == next(second.render()).tobytes()
