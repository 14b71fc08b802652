"""The mean pose of many people, which shows whether joints are where their names say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from skdpipe.errors import DataError
from skdpipe.skeleton.layouts import Layout
from skdpipe.skeleton.people import box_sides
from skdpipe.skeleton.sequence import Keypoints, PoseSequence, is_seen


@dataclass(frozen=True)
class PoseSummary:
    """The mean of the poses of some clips, and the most complete one of them.

    Attributes:
        layout: of the joints.
        coordinates: 2 or 3.
        clips, poses: number of clips, and of people in their frames with half of the joints or more.
        mean: ``(joint, channel)``: mean of each joint over the poses, which are centred on the middle of the
            seen joints and divided by the diagonal of their bounding box; confidence: the share of the poses
            in which the joint is seen.
        best: ``(joint, channel)``: the pose with the most seen joints, and of these the one of highest
            confidence, centred and scaled in the same way.
        best_of: the clip and the frame of ``best``.
    """

    layout: Layout
    coordinates: int
    clips: int
    poses: int
    mean: Keypoints
    best: Keypoints
    best_of: tuple[str, int]


def summarise_poses(sequences: Iterable[PoseSequence]) -> PoseSummary:
    """The mean and the most complete pose; one sequence at a time is held in memory.

    Raises:
        DataError: if there is no clip, the clips have several layouts or numbers of coordinates, or nobody is
            seen in them.
    """
    first: PoseSequence | None = None
    clips = poses = 0
    total, count = np.zeros((0, 0)), np.zeros(0)
    best, rank, best_of = np.zeros((0, 0), np.float32), (0, 0.0), ("", 0)
    for sequence in sequences:
        if first is None:
            first = sequence
            total = np.zeros((len(sequence.layout), sequence.coordinates))
            count = np.zeros(len(sequence.layout))
        if (sequence.layout, sequence.coordinates) != (first.layout, first.coordinates):
            raise DataError(
                f"{sequence.origin.source} has layout {sequence.layout.name} in {sequence.coordinates} "
                f"coordinates, {first.origin.source} has {first.layout.name} in {first.coordinates}; look at "
                "one of them at a time"
            )
        clips += 1
        seen = sequence.seen
        rows, people = np.nonzero(seen.sum(axis=2) * 2 >= len(sequence.layout))
        if not len(rows):
            continue
        found = _normalise(sequence.keypoints[rows, people])
        joints = is_seen(found)
        total += np.where(joints[..., None], found[..., :-1], 0).sum(axis=0)
        count += joints.sum(axis=0)
        poses += len(found)
        ranks = list(zip(joints.sum(axis=1).tolist(), found[..., -1].sum(axis=1).tolist(), strict=True))
        index = max(range(len(ranks)), key=ranks.__getitem__)
        if ranks[index] > rank:
            rank, best = ranks[index], found[index]
            best_of = (sequence.origin.source, int(sequence.frame_index[rows[index]]))
    if first is None or not poses:
        raise DataError(
            f"nobody with half of the joints is seen in {clips} clips; expected skeletons of people"
        )
    mean = np.column_stack([total / np.maximum(count, 1)[:, None], count / poses]).astype(np.float32)
    return PoseSummary(first.layout, first.coordinates, clips, poses, mean, best, best_of)


def _normalise(people: Keypoints) -> Keypoints:
    """Poses ``(pose, joint, channel)``, each centred and divided by the diagonal of its bounding box."""
    seen = is_seen(people)[..., None]
    points = people[..., :-1].astype(np.float64)
    middle = np.where(seen, points, 0).sum(axis=1, keepdims=True) / seen.sum(axis=1, keepdims=True)
    diagonal = np.maximum(np.linalg.norm(box_sides(people), axis=1), 1e-9)[:, None, None]
    normalised = np.concatenate([(points - middle) / diagonal, people[..., -1:]], axis=2)
    return normalised.astype(np.float32)
