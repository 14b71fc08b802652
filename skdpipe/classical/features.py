"""Summary features of a clip: positions, speeds and distances of joints, as a few hundred numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FAST: Final = 0.9  # quantile of a joint's speed


def summary_features(clip: NDArray[np.float32], mask: Bools) -> Floats:
    """Describe a clip by statistics over its frames.

    The features of a person are: mean, standard deviation and change (mean of the last quarter of the frames
    minus that of the first) of each joint's position; mean, standard deviation and 90th percentile (linearly
    interpolated) of its speed; the share of the frames in which it is seen; mean and standard deviation of
    the distance of each pair of joints. Each statistic uses the frames in which its joints are seen.

    For several person slots, the features are the means over the people who are seen, and the absolute
    differences between the first two people.

    Args:
        clip: joints ``(person, channel, frame, joint)`` as from `skdpipe.inference.joint_input`: two or three
            coordinates and the confidence; unseen joints have confidence 0.
        mask: ``(person,)``, True for people who are seen.

    Returns:
        ``(feature,)``; statistics without a seen joint are 0.
    """
    people = np.zeros((len(clip), _feature_count(clip.shape[3], clip.shape[1] - 1)))
    people[mask] = _features_of_people(clip[mask])
    if len(people) == 1:
        only: Floats = people[0]
        return only
    mean = people[mask].mean(axis=0) if mask.any() else people[0]
    difference = np.abs(people[0] - people[1]) if mask[:2].all() else np.zeros_like(mean)
    return np.concatenate([mean, difference])


def _feature_count(joints: int, coordinates: int) -> int:
    """Number of features of a person: of each joint three for each coordinate and four; two of each pair."""
    return (3 * coordinates + 4) * joints + joints * (joints - 1)


def _features_of_people(clip: NDArray[np.float32]) -> Floats:
    """``(person, feature)``. Arrays inside have the axes ``(person, joint or pair, frame)``."""
    *place, confidence = np.ascontiguousarray(clip.transpose(1, 0, 3, 2), np.float64)
    seen = confidence > 0
    one, other = np.triu_indices(seen.shape[1], 1)
    distance = _length([axis[:, one] - axis[:, other] for axis in place])
    speed, moved = _length([np.diff(axis) for axis in place]), seen[..., 1:] & seen[..., :-1]
    features = (
        *(statistic for axis in place for statistic in _mean_and_deviation(axis, seen)),
        *(_change(axis, seen) for axis in place),
        *_mean_and_deviation(speed, moved),
        _quantile(speed, moved, _FAST),
        seen.mean(axis=2),
        *_mean_and_deviation(distance, seen[:, one] & seen[:, other]),
    )
    return np.concatenate(features, axis=1)


def _length(vector: Sequence[Floats]) -> Floats:
    length: Floats = np.sqrt(sum(axis * axis for axis in vector))
    return length


def _mean(values: Floats, where: Bools) -> Floats:
    """Mean over the frames; 0 if there are none."""
    mean: Floats = np.einsum("...f,...f", values, where) / np.maximum(where.sum(axis=-1), 1)
    return mean


def _mean_and_deviation(values: Floats, where: Bools) -> tuple[Floats, Floats]:
    mean = _mean(values, where)
    return mean, np.sqrt(_mean((values - mean[..., None]) ** 2, where))


def _change(values: Floats, where: Bools) -> Floats:
    """Mean of the last quarter of the frames minus that of the first; 0 if one of them is empty."""
    quarter = max(1, values.shape[-1] // 4)
    first, last = where[..., :quarter], where[..., -quarter:]
    change = _mean(values[..., -quarter:], last) - _mean(values[..., :quarter], first)
    return np.where(first.any(axis=-1) & last.any(axis=-1), change, 0)


def _quantile(values: Floats, where: Bools, share: float) -> Floats:
    """Quantile over the frames, linearly interpolated; 0 if there are none."""
    count = where.sum(axis=-1, keepdims=True)
    if not count.any():
        return np.zeros(count.shape[:-1])
    ordered = np.sort(np.where(where, values, np.inf))
    ordered[np.isinf(ordered)] = 0  # behind the values, and alone if there are none
    rank = share * np.maximum(count - 1, 0)
    below = np.floor(rank)
    low, high = (
        np.take_along_axis(ordered, each.astype(np.intp), axis=-1) for each in (below, np.ceil(rank))
    )
    quantile: Floats = low + (rank - below) * (high - low)
    return quantile[..., 0]
