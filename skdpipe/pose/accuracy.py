"""Accuracy of estimated poses against known ones: PCK and object keypoint similarity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from skdpipe.skeleton import Keypoints, Layout, is_seen
from skdpipe.skeleton.people import pairwise_oks

_MINIMUM_OKS = 0.1


@dataclass(frozen=True)
class PoseAccuracy:
    """Accuracy over many frames.

    Attributes:
        pck: share of true joints that were detected within the threshold; joints of people who were not found
            count as missed.
        pck_found: the same, over the people who were found.
        oks: mean object keypoint similarity, 0 for people who were not found.
        found: share of true people who were found.
        extra: number of detected people per frame who match no true person.
        people, frames: number of true people and of frames.
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
    """Compare estimated with true people, frame by frame.

    Within a frame, people are matched by similarity (Hungarian assignment). A pair with a similarity below
    0.1 is not a match: the detection is an extra person, and the true person is missed. True people with
    fewer than two joints are ignored, because they have no height.

    Args:
        pairs: for each frame the true and the detected people, each ``(person, joint, 3)`` in pixels.
        layout: layout of both.
        threshold: maximum distance of a detected joint (PCK, Yang and Ramanan 2013), as a share of the
            person's height, which is the longer side of the box around the true joints.
    """
    hits, joints, joints_of_found, people, extra, frames = 0, 0, 0, 0, 0, 0
    similarities: list[float] = []
    for truth, found in pairs:
        frames += 1
        truth = truth[is_seen(truth).sum(axis=1) > 1]
        people += len(truth)
        joints += int(is_seen(truth).sum())
        similarity = np.nan_to_num(pairwise_oks(truth, found, np.array(layout.sigmas)))
        rows, columns = linear_sum_assignment(-similarity)
        matched = [(i, j) for i, j in zip(rows, columns, strict=True) if similarity[i, j] >= _MINIMUM_OKS]
        extra += len(found) - len(matched)
        similarities.extend(similarity[i, j] for i, j in matched)
        for i, j in matched:
            known = is_seen(truth[i])
            both = known & is_seen(found[j])
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
