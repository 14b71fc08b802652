"""People in pose sequences: body size, keypoint similarity (OKS), selection, and matching of two qualities.

A person is ``(joint, channel)``: two or three coordinates and a confidence, see `skdpipe.skeleton.sequence`;
an unseen joint is NaN with confidence 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skdpipe.errors import DataError
from skdpipe.skeleton.assignment import assign_cheapest
from skdpipe.skeleton.sequence import Keypoints, PoseSequence, is_seen, unseen_joint

Floats = NDArray[np.float64]

_PAIRS_AT_ONCE = 200_000  # of people in one frame; some 200 MB for 17 joints
_POINTS_OF_A_CAMERA = 8  # twice the number of columns of an affine camera


def oks(a: Keypoints, b: Keypoints, sigmas: ArrayLike, area: ArrayLike) -> Floats:
    """Object keypoint similarity over the joints that are seen in both.

    mean_i exp(-d_i² / (2 s² k_i²)), k_i = 2 σ_i, s² the area: COCO's formula
    (https://cocodataset.org/#keypoints-eval).

    Args:
        a, b: ``(..., joint, channel)`` with the same coordinates; the leading axes broadcast.
        sigmas: ``(joint,)``, the fall-off of each joint.
        area: ``(...)``, of the reference; see `body_area`.

    Returns:
        ``(...)`` in [0, 1]; NaN where no joint is seen in both.
    """
    both = is_seen(a) & is_seen(b)
    offset = np.where(both[..., None], a[..., :-1].astype(np.float64) - b[..., :-1], 0)
    spread = 2 * np.asarray(area)[..., None] * (2 * np.asarray(sigmas)) ** 2
    return _mean_where(both, np.exp(-(offset**2).sum(axis=-1) / spread))


def pairwise_oks(a: Keypoints, b: Keypoints, sigmas: ArrayLike) -> Floats:
    """`oks` of every person of a with every person of b.

    Args:
        a: the reference people, ``(person of a, joint, channel)``.
        b: ``(person of b, joint, channel)``.
        sigmas: ``(joint,)``.

    Returns:
        ``(person of a, person of b)``; NaN where no joint is seen in both.
    """
    return oks(a[:, None], b[None], sigmas, body_area(a)[:, None])


def body_area(people: Keypoints) -> Floats:
    """Area of the bounding box around the seen joints of each person (in 3D of its largest face).

    The shorter side counts as at least a third of the longer one, so that narrow or collinear poses have an
    area.

    Args:
        people: ``(..., joint, channel)``.

    Returns:
        ``(...)`` in square pixels or square units, at least 1 (a standing person has about one square metre).
    """
    return area_of_sides(box_sides(people))


def area_of_sides(sides: Floats) -> Floats:
    """`body_area` of people whose `box_sides` are given."""
    ordered = np.sort(sides, axis=-1)
    shorter, longer = ordered[..., -2], ordered[..., -1]
    area: Floats = np.maximum(np.maximum(shorter * longer, longer**2 / 3), 1)
    return area


def body_size(keypoints: Keypoints) -> Floats:
    """Size of each person: the median diagonal of the bounding box around the seen joints.

    The median is over the frames in which the box has an extent.

    Args:
        keypoints: ``(frame, person, joint, channel)``.

    Returns:
        ``(person,)`` in the unit of the coordinates; 0 for a person whose box never has an extent.
    """
    diagonal = np.linalg.norm(box_sides(keypoints), axis=-1)
    return np.array([np.median(each[each > 0]) if (each > 0).any() else 0 for each in diagonal.T], np.float64)


def box_sides(people: Keypoints) -> Floats:
    """Side lengths ``(..., coordinate)`` of the box around the seen joints of people; 0 if none is seen."""
    lowest, highest = box_corners(people)
    sides: Floats = np.where(np.isfinite(lowest), highest - lowest, 0)
    return sides


def box_corners(people: Keypoints) -> Floats:
    """Lowest and highest coordinates ``(2, ..., coordinate)`` of the seen joints; infinite without any."""
    seen = is_seen(people)[..., None]
    points = people[..., :-1]
    lowest = np.where(seen, points, np.inf).min(axis=-2, initial=np.inf)
    highest = np.where(seen, points, -np.inf).max(axis=-2, initial=-np.inf)
    return np.array([lowest, highest], np.float64)


def _mean_where(mask: NDArray[np.bool_], values: Floats) -> Floats:
    count = mask.sum(axis=-1)
    total = np.where(mask, values, 0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def assign(score: Floats) -> list[tuple[int, int]]:
    """The one-to-one assignment of rows to columns with the greatest sum of scores (Hungarian method).

    Args:
        score: ``(row, column)``, 0 or more; a pair with score 0 is not assigned.

    Returns:
        Pairs of row and column.
    """
    if len(score) > score.shape[1]:
        return sorted((row, column) for column, row in assign(score.T))
    best = (score > 0) & (score == score.max(axis=1, keepdims=True, initial=0))
    rows, columns = (index.tolist() for index in np.nonzero(best))
    if len(rows) == len(set(rows)) == len(set(columns)):  # no two rows compete for a column
        return list(zip(rows, columns, strict=True))
    return [(row, column) for row, column in assign_cheapest(-score) if score[row, column] > 0]


def select_people(keypoints: Keypoints, count: int = 2) -> Keypoints:
    """Keep the people with the highest mean confidence over the whole clip, the highest first.

    Unseen joints count as confidence 0, so a person who is detected in a few frames only has a low mean. (The
    paper selects two people in this way.)

    Args:
        keypoints: ``(frame, person, joint, channel)``.
        count: number of people.

    Returns:
        ``(frame, count, joint, channel)``; if there are fewer people, the last ones are unseen.

    Raises:
        DataError: if the count is negative.
    """
    if count < 0:
        raise DataError(f"cannot select {count} people; expected 0 or more")
    confidence = keypoints[..., -1].sum(axis=(0, 2), dtype=np.float64)
    best = keypoints[:, np.argsort(-confidence, kind="stable")[:count]]
    return _pad_people(best, count)


def _pad_people(keypoints: Keypoints, count: int) -> Keypoints:
    """Append unseen people until there are ``count``."""
    frames, people, joints, channels = keypoints.shape
    unseen = np.broadcast_to(unseen_joint(channels - 1), (frames, max(count - people, 0), joints, channels))
    return np.concatenate([keypoints, unseen], axis=1)


@dataclass(frozen=True)
class PairReport:
    """Result of matching the people of two qualities of one video.

    Attributes:
        people_high, people_low: number of people with a seen joint.
        matched: number of matched pairs.
        oks: mean similarity over the matched pairs and the frames in which both are seen, by `oks` or
            `projected_similarity`; NaN without pairs.
        pairs: for each matched pair the person index in high and the original person index in low.
    """

    people_high: int
    people_low: int
    matched: int
    oks: float
    pairs: tuple[tuple[int, int], ...]


def match_people(
    high: PoseSequence, low: PoseSequence, *, least: float = 0.1
) -> tuple[PoseSequence, PairReport]:
    """Reorder the people of the low-quality sequence to the person indices of the high-quality one.

    The similarity is computed on the frames and the joints (by name) that both sequences have. The Hungarian
    method maximises the sum of `oks` over people and frames, so a person who is detected in a few frames does
    not replace one who is detected in many. If one sequence has three coordinates and the other two, the
    similarity is that of `projected_similarity`.

    Args:
        high, low: two qualities of one video; frames, layouts and numbers of people may differ.
        least: minimum mean similarity, over the frames in which both are seen, of a matched pair.

    Returns:
        The low sequence, in which person i is the match of person i in high, and the report. Unmatched people
        get the remaining indices in their old order. The number of people is the larger of the two; people
        that are added are unseen.
    """
    total, frames = _similarity_over_time(high, low)
    mean = total / np.maximum(frames, 1)
    pairs = assign(np.where(mean >= least, total, 0))
    people = max(high.people, low.people)
    keypoints = _pad_people(low.keypoints, people)[:, _order(pairs, people)]
    frames_in_both = sum(int(frames[i, j]) for i, j in pairs)
    report = PairReport(
        people_high=_count_people(high),
        people_low=_count_people(low),
        matched=len(pairs),
        oks=sum(float(total[i, j]) for i, j in pairs) / frames_in_both if pairs else float("nan"),
        pairs=tuple(pairs),
    )
    return replace(low, keypoints=keypoints), report


def _similarity_over_time(high: PoseSequence, low: PoseSequence) -> tuple[Floats, NDArray[np.intp]]:
    """Sum of the similarities of two people, and in how many frames both are seen: ``(person, person)``."""
    _, rows_high, rows_low = np.intersect1d(high.frame_index, low.frame_index, return_indices=True)
    joints = [joint for joint in high.layout.joints if joint in low.layout.joints]
    columns_high = [high.layout.index(joint) for joint in joints]
    columns_low = [low.layout.index(joint) for joint in joints]
    reference = high.keypoints[rows_high][:, :, columns_high]
    other = low.keypoints[rows_low][:, :, columns_low]
    if high.coordinates != low.coordinates:
        both = np.any(is_seen(reference)[:, :, None] & is_seen(other)[:, None], axis=-1)
        similarity = projected_similarity(reference, other)
        return np.where(both, similarity, 0).sum(axis=0), both.sum(axis=0)
    sigmas = np.array(high.layout.sigmas)[columns_high]
    total = np.zeros((high.people, low.people))
    frames = np.zeros(total.shape, np.intp)
    rows = max(1, _PAIRS_AT_ONCE // max(1, total.size))
    for start in range(0, len(reference), rows):
        a, b = reference[start : start + rows, :, None], other[start : start + rows, None]
        similarity = oks(a, b, sigmas, body_area(a))
        total += np.nan_to_num(similarity).sum(axis=0)
        frames += (~np.isnan(similarity)).sum(axis=0)
    return total, frames


def projected_similarity(a: Keypoints, b: Keypoints) -> Floats:
    """How well the image of one person explains another: the R² of the best affine camera.

    For each pair, the affine map from three to two coordinates with the least squared error is fitted to all
    frames and joints that are seen in both; R² is the share of the variance of the two coordinates that it
    explains. People with different movements differ in R²; the camera need not be known.

    Args:
        a, b: ``(frame, person, joint, channel)`` of the same frames and joints, one with three coordinates.

    Returns:
        ``(person of a, person of b)`` in [0, 1]; 0 for pairs with too few common joints for a fit.
    """
    similarity = np.zeros((a.shape[1], b.shape[1]))
    for one, other in np.ndindex(*similarity.shape):
        deep, flat = (a[:, one], b[:, other]) if a.shape[-1] == 4 else (b[:, other], a[:, one])
        both = is_seen(deep) & is_seen(flat)
        if both.sum() < _POINTS_OF_A_CAMERA:
            continue
        points = np.column_stack([deep[both][:, :3], np.ones(both.sum())]).astype(np.float64)
        image = flat[both][:, :2].astype(np.float64)
        error = image - points @ np.linalg.lstsq(points, image, rcond=None)[0]
        variance = ((image - image.mean(axis=0)) ** 2).sum()
        similarity[one, other] = max(0.0, 1 - (error**2).sum() / variance) if variance > 0 else 0.0
    return similarity


def _order(pairs: list[tuple[int, int]], people: int) -> list[int]:
    """For each new person index the old one."""
    matched = dict(pairs)
    rest = iter(sorted(set(range(people)) - set(matched.values())))
    return [matched[index] if index in matched else next(rest) for index in range(people)]


def _count_people(sequence: PoseSequence) -> int:
    return int(sequence.seen.any(axis=(0, 2)).sum())
