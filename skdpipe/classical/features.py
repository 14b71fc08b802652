"""Summary features of a clip: positions, speeds and distances of joints, as a few hundred numbers."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def summary_features(clip: NDArray[np.float32], mask: NDArray[np.bool_]) -> Floats:
    """Describe a clip by statistics over its frames.

    For each person: mean, standard deviation and change (last quarter minus first) of each joint's position;
    mean, standard deviation and 90th percentile of its speed; the share of frames in which it is seen; mean
    and standard
    deviation of the distance of each pair of joints. For several person slots: the means of these over the
    people, and the absolute differences between the first two people.

    Args:
        clip: joints ``(person, channel, frame, joint)`` as from `skdpipe.inference.joint_input`: x, y and
            confidence; unseen joints have confidence 0.
        mask: ``(person,)``, True for people who are seen.

    Returns:
        ``(feature,)``; what has no seen joint is 0.
    """
    people = np.stack([_features_of_person(person) for person in clip])
    if len(people) == 1:
        only: Floats = people[0]
        return only
    mean = people[mask].mean(axis=0) if mask.any() else np.zeros(people.shape[1])
    apart = np.abs(people[0] - people[1]) if mask[:2].all() else np.zeros(people.shape[1])
    return np.concatenate([mean, apart])


def _features_of_person(person: NDArray[np.float32]) -> Floats:
    """Features of ``(channel, frame, joint)``."""
    seen = person[2] > 0
    place = np.where(seen[..., None], person[:2].transpose(1, 2, 0), np.nan).astype(np.float64)
    first, second = np.triu_indices(place.shape[1], 1)
    distance = np.linalg.norm(place[:, first] - place[:, second], axis=2)
    speed = np.linalg.norm(np.diff(place, axis=0), axis=2)
    quarter = max(1, len(place) // 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a joint that is never seen
        features = (
            np.nanmean(place, axis=0),
            np.nanstd(place, axis=0),
            np.nanmean(place[-quarter:], axis=0) - np.nanmean(place[:quarter], axis=0),
            np.nanmean(speed, axis=0),
            np.nanstd(speed, axis=0),
            np.nanpercentile(speed, 90, axis=0),
            seen.mean(axis=0),
            np.nanmean(distance, axis=0),
            np.nanstd(distance, axis=0),
        )
    found: Floats = np.nan_to_num(np.concatenate([each.ravel() for each in features]))
    return found
