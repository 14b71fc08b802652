"""Tracking: people keep their index on the person axis from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skdpipe.skeleton import UNSEEN, Keypoints, Layout, is_seen
from skdpipe.skeleton.people import Floats, assign, body_area, oks


@dataclass(frozen=True)
class _Track:
    """One person: the last detection, its frame, and the smoothed velocity in pixels per frame."""

    pose: Keypoints
    frame: int
    velocity: NDArray[np.float64]

    def predict(self, frame: int) -> Keypoints:
        """The last pose moved on by a decaying velocity, by at most five frames' worth of motion."""
        gap = frame - self.frame
        shift = self.velocity * 5 * (1 - 0.8**gap)
        return self.pose + np.append(shift, 0).astype(np.float32)

    def update(self, frame: int, pose: Keypoints) -> _Track:
        """The track with a new detection."""
        both = is_seen(self.pose) & is_seen(pose)
        motion = np.median((pose - self.pose)[both, :2], axis=0) / (frame - self.frame)
        return _Track(pose, frame, 0.5 * self.velocity + 0.5 * motion)


def track(
    frames: Sequence[Keypoints],
    layout: Layout,
    size: tuple[int, int],
    *,
    memory: int = 30,
    reach: float = 1.0,
) -> Keypoints:
    """Assign each detection a person index, so that a person keeps the index over the frames.

    In every frame the detections are assigned to the existing tracks (Hungarian method) by their similarity
    to the pose predicted from the track's recent motion. A detection too far from every track starts a new
    one. The similarity and the gate widen with the fourth root of the number of frames since the last
    detection: a person may return after a gap, but only near the predicted position.

    Args:
        frames: for each frame the detected people ``(person, joint, 3)``, in any order.
        layout: layout of the joint axis.
        size: width and height of the frame in pixels; the minimum body size is 2% of its diagonal.
        memory: a track without a detection in this number of frames ends.
        reach: the gate: maximum median distance of the joints from their predicted positions, as a multiple
            of the square root of the body's area.

    Returns:
        ``(frame, person, joint, 3)`` float32, people in the order of their first detection;
        ``(frame, 0, joint, 3)`` if there are no detections.
    """
    minimum_area = (0.02 * float(np.hypot(*size))) ** 2
    tracks: list[_Track] = []
    detections: list[tuple[int, int, Keypoints]] = []
    for frame, detected in enumerate(frames):
        people = detected[is_seen(detected).any(axis=-1)]
        active = [index for index, known in enumerate(tracks) if frame - known.frame <= memory]
        score = _similarity([tracks[index] for index in active], people, frame, layout, minimum_area, reach)
        assigned = {column: active[row] for row, column in assign(score)}
        for column, pose in enumerate(people):
            index = assigned.get(column, len(tracks))
            if index == len(tracks):
                tracks.append(_Track(pose, frame, np.zeros(2)))
            else:
                tracks[index] = tracks[index].update(frame, pose)
            detections.append((frame, index, pose))
    return _to_array(detections, (len(frames), len(tracks), len(layout), 3))


def _similarity(
    tracks: list[_Track], people: Keypoints, frame: int, layout: Layout, minimum_area: float, reach: float
) -> Floats:
    """Similarity ``(track, person)`` in [0, 1] of each detection to each track; 0 beyond the gate."""
    if not tracks or not len(people):
        return np.zeros((len(tracks), len(people)))
    predicted = np.stack([known.predict(frame) for known in tracks])[:, None]
    widening = np.array([(frame - known.frame) ** 0.25 for known in tracks])[:, None]
    area = np.maximum(np.maximum(body_area(predicted), body_area(people)), minimum_area) * widening**2
    both = is_seen(predicted) & is_seen(people)
    offset = np.hypot(*np.moveaxis(predicted[..., :2] - people[..., :2], -1, 0))
    offset = np.where(both, offset, np.nan)
    offset[~both.any(axis=-1)] = np.inf
    nearness = 1 - np.nanmedian(offset, axis=-1) / (reach * np.sqrt(area))
    similarity = np.nan_to_num(oks(predicted, people[None], layout.sigmas, area))
    # At large distances the OKS is 0 for every pair; the nearness still orders them.
    return np.where(nearness > 0, (similarity + nearness) / 2, 0)


def _to_array(detections: list[tuple[int, int, Keypoints]], shape: tuple[int, int, int, int]) -> Keypoints:
    keypoints = np.broadcast_to(UNSEEN, shape).copy()
    for frame, index, pose in detections:
        keypoints[frame, index] = pose
    return keypoints
