"""People in pose sequences: body size, similarity (OKS), selection and matching between two qualities.

A person is ``(joint, 3)``: x, y in pixels and confidence; an unseen joint is NaN, NaN, 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from skdpipe.errors import DataError
from skdpipe.skeleton.sequence import UNSEEN, Keypoints, PoseSequence

Floats = NDArray[np.float64]


def oks(a: Keypoints, b: Keypoints, sigmas: ArrayLike, area: ArrayLike) -> Floats:
    """Object keypoint similarity, over the joints seen in both.

    mean_i exp(-d_i² / (2 s² k_i²)), k_i = 2 σ_i, s² the area: COCO's formula
    (https://cocodataset.org/#keypoints-eval).

    Args:
        a, b: ``(..., joint, 3)`` in pixels; the leading axes broadcast.
        sigmas: ``(joint,)``, the fall-off of each joint.
        area: ``(...)`` in square pixels, of the reference; see `body_area`.

    Returns:
        ``(...)`` in [0, 1]; NaN where no joint is seen in both.
    """
    both = (a[..., 2] > 0) & (b[..., 2] > 0)
    offset = np.where(both[..., None], a[..., :2].astype(np.float64) - b[..., :2], 0)
    spread = 2 * np.asarray(area)[..., None] * (2 * np.asarray(sigmas)) ** 2
    return _mean_where(both, np.exp(-(offset**2).sum(axis=-1) / spread))


def pairwise_oks(a: Keypoints, b: Keypoints, sigmas: ArrayLike) -> Floats:
    """`oks` of each person of a (the reference) with each of b: ``(people of a, people of b)``."""
    return oks(a[:, None], b[None], sigmas, body_area(a)[:, None])


def body_area(people: Keypoints) -> Floats:
    """Area ``(...)`` in square pixels of the box around the seen joints of people ``(..., joint, 3)``.

    A body that is thin in the picture, or seen by joints in a row, counts as a third as thick as it is
    long; one seen by a single joint, or none, as one square pixel.
    """
    sides = _sides(people)
    longest = sides.max(axis=-1)
    area: Floats = np.maximum(np.maximum(sides.prod(axis=-1), longest**2 / 3), 1)
    return area


def body_size(keypoints: Keypoints) -> Floats:
    """The size of each person ``(person,)`` in pixels: the median diagonal of the box around its seen joints.

    Over the frames that show two joints apart; 0 for a person who never has an extent.
    """
    diagonal = np.hypot(*np.moveaxis(_sides(keypoints), -1, 0))
    return np.array([np.median(each[each > 0]) if (each > 0).any() else 0 for each in diagonal.T], np.float64)


def _sides(people: Keypoints) -> Floats:
    """Width and height ``(..., 2)`` of the box around the seen joints of people; 0 where none is seen."""
    seen = people[..., 2:] > 0
    points = people[..., :2].astype(np.float64)
    top = np.where(seen, points, -np.inf).max(axis=-2, initial=-np.inf)
    bottom = np.where(seen, points, np.inf).min(axis=-2, initial=np.inf)
    sides: Floats = np.where(seen.any(axis=-2), top - bottom, 0)
    return sides


def _mean_where(mask: NDArray[np.bool_], values: Floats) -> Floats:
    count = mask.sum(axis=-1)
    total = np.where(mask, values, 0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def assign(score: Floats) -> list[tuple[int, int]]:
    """Pairs of row and column with the greatest sum of scores; a score of 0 forbids a pair."""
    rows, columns = linear_sum_assignment(score, maximize=True)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if score[r, c] > 0]


def select_people(keypoints: Keypoints, count: int = 2) -> Keypoints:
    """Keep the people with the highest mean confidence over the whole clip, the best first.

    Unseen joints and absent frames count as 0, so that nobody wins by three sure frames. Fewer people
    are filled up with empty places: ``(frame, count, joint, 3)``. (The paper's choice of two.)

    Raises:
        DataError: if the count is negative.
    """
    if count < 0:
        raise DataError(f"cannot select {count} people; expected 0 or more")
    confidence = keypoints[..., 2].sum(axis=(0, 2), dtype=np.float64)
    best = keypoints[:, np.argsort(-confidence, kind="stable")[:count]]
    return _with_places(best, count)


def _with_places(keypoints: Keypoints, count: int) -> Keypoints:
    frames, people, joints, _ = keypoints.shape
    empty = np.broadcast_to(UNSEEN, (frames, max(count - people, 0), joints, 3))
    return np.concatenate([keypoints, empty], axis=1)


@dataclass(frozen=True)
class PairReport:
    """How well the people of two qualities of one video were found to be the same.

    Attributes:
        people_high, people_low: how many people are ever seen.
        matched: how many were found in both.
        oks: mean similarity over the matched people and the frames that show them in both; NaN if none.
        pairs: for each matched person the place in high and the place it had in low.
    """

    people_high: int
    people_low: int
    matched: int
    oks: float
    pairs: tuple[tuple[int, int], ...]


def match_people(
    high: PoseSequence, low: PoseSequence, *, least: float = 0.1
) -> tuple[PoseSequence, PairReport]:
    """Put the people of the low-quality sequence where the high-quality one has them.

    Compared are the frames and the joints (by name) that both sequences have. The sum of `oks` over all
    people and frames is made the greatest (Hungarian method): someone who is there for three frames only
    does not win over someone who stays.

    Args:
        high, low: two qualities of one video; frames, layouts and numbers of people may differ.
        least: people whose mean similarity where both are seen is below this are different people.

    Returns:
        The low sequence with person i where high has person i; people without a counterpart take the
        places that are left, in their old order. It has as many places as the larger of the two.
    """
    both, similarity = _similarity_over_time(high, low)
    total = np.where(both, similarity, 0).sum(axis=0)
    agreement = total / np.maximum(both.sum(axis=0), 1)
    pairs = assign(np.where(agreement >= least, total, 0))
    places = max(high.people, low.people)
    keypoints = _with_places(low.keypoints, places)[:, _order(pairs, places)]
    frames_shared = sum(int(both[:, i, j].sum()) for i, j in pairs)
    report = PairReport(
        people_high=_people_seen(high),
        people_low=_people_seen(low),
        matched=len(pairs),
        oks=sum(float(total[i, j]) for i, j in pairs) / frames_shared if pairs else float("nan"),
        pairs=tuple(pairs),
    )
    return replace(low, keypoints=keypoints), report


def _similarity_over_time(high: PoseSequence, low: PoseSequence) -> tuple[NDArray[np.bool_], Floats]:
    """Where both people are seen, and how similar they are there: ``(frame, high person, low person)``."""
    _, rows_high, rows_low = np.intersect1d(high.frame_index, low.frame_index, return_indices=True)
    joints = [joint for joint in high.layout.joints if joint in low.layout.joints]
    columns_high = [high.layout.index(joint) for joint in joints]
    columns_low = [low.layout.index(joint) for joint in joints]
    reference = high.keypoints[rows_high][:, :, columns_high][:, :, None]
    other = low.keypoints[rows_low][:, :, columns_low][:, None]
    sigmas = np.array(high.layout.sigmas)[columns_high]
    similarity = oks(reference, other, sigmas, body_area(reference))
    return ~np.isnan(similarity), similarity


def _order(pairs: list[tuple[int, int]], places: int) -> list[int]:
    """For each new place the old one."""
    taken = dict(pairs)
    rest = iter(sorted(set(range(places)) - set(taken.values())))
    return [taken[place] if place in taken else next(rest) for place in range(places)]


def _people_seen(sequence: PoseSequence) -> int:
    return int(sequence.seen.any(axis=(0, 2)).sum())
