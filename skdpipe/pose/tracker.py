"""Tracking: people keep their index on the person axis from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skdpipe.skeleton import UNSEEN, Keypoints, Layout
from skdpipe.skeleton.people import Floats, assign, body_area, oks


@dataclass(frozen=True)
class _Track:
    """A person so far: the last sighting, its frame, and the smoothed motion in pixels a frame."""

    pose: Keypoints
    frame: int
    velocity: NDArray[np.float64]

    def expected(self, frame: int) -> Keypoints:
        """The last pose carried on by its motion, which fades: five frames' worth at the most."""
        gap = frame - self.frame
        shift = self.velocity * 5 * (1 - 0.8**gap)
        return self.pose + np.append(shift, 0).astype(np.float32)

    def seen_at(self, frame: int, pose: Keypoints) -> _Track:
        both = (self.pose[:, 2] > 0) & (pose[:, 2] > 0)
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
    """Follow people from frame to frame, so that each keeps one place.

    In every frame the detections are assigned to the people known so far (Hungarian method), by how
    alike a detection is to the person's last pose, carried on by its recent motion. A detection too far
    from everybody begins a new person. Both the likeness and the gate widen with the fourth root of
    the number of frames since a person was last seen: a person may return after a gap, but not anywhere.

    Args:
        frames: for each frame the detected people ``(person, joint, 3)``, in any order.
        layout: what the joint axis means.
        size: width and height of the picture; bodies under 2% of its diagonal count as that large.
        memory: after how many frames unseen a person is forgotten, to begin as a new one.
        reach: the gate: how far the joints may be from where they were expected (in the median), as a
            multiple of the square root of the body's area.

    Returns:
        ``(frame, person, joint, 3)`` float32, a place for each person in the order of their first
        sighting; ``(frame, 0, joint, 3)`` if nobody was seen.
    """
    smallest = (0.02 * float(np.hypot(*size))) ** 2
    tracks: list[_Track] = []
    sightings: list[tuple[int, int, Keypoints]] = []
    for frame, detected in enumerate(frames):
        people = detected[(detected[..., 2] > 0).any(axis=-1)]
        alive = [place for place, known in enumerate(tracks) if frame - known.frame <= memory]
        score = _likeness([tracks[place] for place in alive], people, frame, layout, smallest, reach)
        found = {column: alive[row] for row, column in assign(score)}
        for column, pose in enumerate(people):
            place = found.get(column, len(tracks))
            if place == len(tracks):
                tracks.append(_Track(pose, frame, np.zeros(2)))
            else:
                tracks[place] = tracks[place].seen_at(frame, pose)
            sightings.append((frame, place, pose))
    return _lay_out(sightings, (len(frames), len(tracks), len(layout), 3))


def _likeness(
    tracks: list[_Track], people: Keypoints, frame: int, layout: Layout, smallest: float, reach: float
) -> Floats:
    """How well each person goes on each track, ``(track, person)`` in [0, 1]; 0 beyond the gate."""
    if not tracks or not len(people):
        return np.zeros((len(tracks), len(people)))
    last = np.stack([known.expected(frame) for known in tracks])[:, None]
    widening = np.array([(frame - known.frame) ** 0.25 for known in tracks])[:, None]
    area = np.maximum(np.maximum(body_area(last), body_area(people)), smallest) * widening**2
    both = (last[..., 2] > 0) & (people[..., 2] > 0)
    offset = np.hypot(*np.moveaxis(last[..., :2] - people[..., :2], -1, 0))
    offset = np.where(both, offset, np.nan)
    offset[~both.any(axis=-1)] = np.inf
    nearness = 1 - np.nanmedian(offset, axis=-1) / (reach * np.sqrt(area))
    similarity = np.nan_to_num(oks(last, people[None], layout.sigmas, area))
    # Nearness keeps order where the similarity has faded to nothing.
    return np.where(nearness > 0, (similarity + nearness) / 2, 0)


def _lay_out(sightings: list[tuple[int, int, Keypoints]], shape: tuple[int, int, int, int]) -> Keypoints:
    keypoints = np.broadcast_to(UNSEEN, shape).copy()
    for frame, place, pose in sightings:
        keypoints[frame, place] = pose
    return keypoints
