"""How good found people are, compared with known ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from skdpipe.skeleton import Keypoints, Layout
from skdpipe.skeleton.people import pairwise_oks

_ALIKE = 0.1


@dataclass(frozen=True)
class PoseAccuracy:
    """Accuracy over many frames.

    Attributes:
        pck: share of true joints found within a tenth of the person's height; joints of people who
            were not found count as missed.
        pck_found: the same over the people who were found.
        oks: mean object keypoint similarity, 0 for people who were not found.
        found: share of true people who were found.
        extra: found people who are no true person, for each frame.
        people, frames: how many there were.
    """

    pck: float
    pck_found: float
    oks: float
    found: float
    extra: float
    people: int
    frames: int


def pose_accuracy(
    pairs: Iterable[tuple[Keypoints, Keypoints]], layout: Layout, *, threshold: float = 0.1
) -> PoseAccuracy:
    """Compare frame by frame; within a frame people are matched by similarity (Hungarian assignment).

    Who is less than 0.1 similar to a true person is someone else: an extra, and the true person missed.

    Args:
        pairs: for each frame the true and the found people, each ``(person, joint, 3)`` in pixels.
        layout: of both.
        threshold: share of the person's height (the longer side of the box around the true joints)
            within which a joint counts as found (PCK, Yang and Ramanan 2013).
    """
    hits, joints, joints_of_found, people, extra, frames = 0, 0, 0, 0, 0, 0
    similarities: list[float] = []
    for truth, found in pairs:
        frames += 1
        truth = truth[(truth[..., 2] > 0).sum(axis=1) > 1]
        people += len(truth)
        joints += int((truth[..., 2] > 0).sum())
        similarity = np.nan_to_num(pairwise_oks(truth, found, np.array(layout.sigmas)))
        rows, columns = linear_sum_assignment(-similarity)
        matched = [(i, j) for i, j in zip(rows, columns, strict=True) if similarity[i, j] >= _ALIKE]
        extra += len(found) - len(matched)
        similarities.extend(similarity[i, j] for i, j in matched)
        for i, j in matched:
            known = truth[i, :, 2] > 0
            both = known & (found[j, :, 2] > 0)
            height = np.ptp(truth[i, known, :2], axis=0).max()
            distance = np.linalg.norm(truth[i, both, :2] - found[j, both, :2], axis=-1)
            hits += int((distance <= threshold * height).sum())
            joints_of_found += int(known.sum())
    return PoseAccuracy(
        pck=hits / max(1, joints),
        pck_found=hits / max(1, joints_of_found),
        oks=float(np.sum(similarities)) / max(1, people),
        found=len(similarities) / max(1, people),
        extra=extra / max(1, frames),
        people=people,
        frames=frames,
    )
