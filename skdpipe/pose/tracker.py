"""Tracking: the detections of each person are found from frame to frame."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import DataError
from skdpipe.skeleton import Keypoints, Layout, is_seen
from skdpipe.skeleton.people import Floats, assign, body_area, box_corners, oks
from skdpipe.skeleton.tracks import Track

MOST_PEOPLE: Final = 1000
"""Largest number of people in one frame."""

_MOST_ACTIVE: Final = 2 * MOST_PEOPLE  # tracks that the detections of a frame are compared with
_PAIRS_AT_ONCE: Final = 50_000  # of a track and a detection; some 60 MB for 17 joints


@dataclass(frozen=True, eq=False)
class _History:
    """The detections of one person so far, packed."""

    number: int
    frames: array[int] = field(default_factory=lambda: array("i"))
    poses: bytearray = field(default_factory=bytearray)

    def add(self, frame: int, pose: Keypoints) -> None:
        self.frames.append(frame)
        self.poses.extend(pose.tobytes())

    def to_track(self, joints: int) -> Track:
        poses = np.frombuffer(self.poses, np.float32).reshape(-1, joints, 3)
        return Track(self.number, np.array(self.frames, np.int32), poses)


@dataclass(frozen=True, eq=False)
class _Active:
    """The people who may be seen again, in the order of their first detection.

    Attributes:
        histories: all detections of each person.
        poses: ``(person, joint, 3)``, the last detection.
        frames: ``(person,)``, its frame.
        velocities: ``(person, 2)``, the smoothed velocity in pixels per frame.
    """

    histories: tuple[_History, ...]
    poses: Keypoints
    frames: NDArray[np.intp]
    velocities: Floats

    def at(self, rows: NDArray[np.intp]) -> _Active:
        """Only these people."""
        histories = tuple(self.histories[row] for row in rows)
        return _Active(histories, self.poses[rows], self.frames[rows], self.velocities[rows])

    def joined_with(self, other: _Active) -> _Active:
        return _Active(
            self.histories + other.histories,
            np.concatenate([self.poses, other.poses]),
            np.concatenate([self.frames, other.frames]),
            np.concatenate([self.velocities, other.velocities]),
        )


class Tracker:
    """Follows people from frame to frame; each detection becomes part of one track.

    In every frame the detections are assigned to the active tracks (Hungarian method) by their similarity
    to the pose predicted from the track's recent motion. A detection too far from every track starts a new
    one. The similarity and the gate widen with the fourth root of the number of frames since the last
    detection: a person may return after a gap, but only near the predicted position.

    Memory and time are in proportion to the detections. Tracks are numbered from 0 in the order of their
    first detection.

    Args:
        layout: layout of the joint axis.
        size: width and height of the frame in pixels; the minimum body size is 2% of its diagonal.
        memory: a track without a detection in this number of frames ends. Of more than 2,000 active tracks
            those end first that were not detected for the longest time.
        reach: the gate: maximum median distance of the joints from their predicted positions, as a multiple
            of the square root of the body's area.
    """

    def __init__(
        self, layout: Layout, size: tuple[int, int], *, memory: int = 30, reach: float = 1.0
    ) -> None:
        self._layout, self._memory, self._reach = layout, memory, reach
        self._minimum_area = (0.02 * float(np.hypot(*size))) ** 2
        gaps = range(memory + 1)
        self._decay = np.array([1 - 0.8**gap for gap in gaps])  # by the frames since the last detection
        self._widening = np.array([gap**0.25 for gap in gaps])
        self._started = 0
        self._active = self._start_tracks(0, np.zeros((0, len(layout), 3), np.float32))

    def update(self, frame: int, detected: Keypoints) -> list[Track]:
        """Assign the detections of a frame.

        Args:
            frame: its number, higher than those before; frames without detections may be left out.
            detected: the people ``(person, joint, 3)``, in any order; those without a seen joint are ignored.

        Returns:
            The tracks that have ended.

        Raises:
            DataError: if there are more than `MOST_PEOPLE`, or the shape is another one.
        """
        detected = np.asarray(detected, np.float32)
        if detected.shape[1:] != (len(self._layout), 3):
            raise DataError(
                f"people of shape {detected.shape}; expected (person, {len(self._layout)}, 3) for layout "
                f"{self._layout.name}"
            )
        people = detected[is_seen(detected).any(axis=-1)]
        if len(people) > MOST_PEOPLE:
            raise DataError(
                f"{len(people)} people in frame {frame}; expected at most {MOST_PEOPLE} in one frame: leave "
                "out those of low confidence"
            )
        ended = self._end_old(frame)
        pairs = assign(self._similarity(people, frame))
        rows, columns = np.array(pairs, np.intp).reshape(-1, 2).T
        self._continue_tracks(rows, frame, people[columns])
        new = self._start_tracks(frame, np.delete(people, columns, axis=0))
        self._active = self._active.joined_with(new)
        return ended

    def finish(self) -> list[Track]:
        """End all active tracks and return them."""
        return self._keep(np.arange(0))

    def _keep(self, rows: NDArray[np.intp]) -> list[Track]:
        """Keep the active tracks of these rows; the others end and are returned."""
        others = np.delete(np.arange(len(self._active.histories)), rows)
        ended = [self._active.histories[row].to_track(len(self._layout)) for row in others]
        self._active = self._active.at(rows)
        return ended

    def _end_old(self, frame: int) -> list[Track]:
        frames = self._active.frames
        kept = np.flatnonzero(frame - frames <= self._memory)
        if len(kept) > _MOST_ACTIVE:
            kept = np.sort(kept[np.argsort(-frames[kept], kind="stable")[:_MOST_ACTIVE]])
        return self._keep(kept) if len(kept) < len(frames) else []

    def _start_tracks(self, frame: int, people: Keypoints) -> _Active:
        histories = tuple(_History(self._started + number) for number in range(len(people)))
        self._started += len(people)
        for history, pose in zip(histories, people, strict=True):
            history.add(frame, pose)
        return _Active(histories, people, np.full(len(people), frame, np.intp), np.zeros((len(people), 2)))

    def _continue_tracks(self, rows: NDArray[np.intp], frame: int, people: Keypoints) -> None:
        """Add a detection to each of these tracks."""
        known = self._active
        for row, pose in zip(rows, people, strict=True):
            known.histories[row].add(frame, pose)
        both = is_seen(known.poses[rows]) & is_seen(people)
        offset = (people - known.poses[rows])[..., :2].swapaxes(-1, -2)
        gap = (frame - known.frames[rows]).astype(np.float32)
        motion = _median_where(both[:, None], offset) / gap[:, None]
        known.velocities[rows] = 0.5 * known.velocities[rows] + 0.5 * motion
        known.poses[rows] = people
        known.frames[rows] = frame

    def _similarity(self, people: Keypoints, frame: int) -> Floats:
        """Similarity ``(track, person)`` in [0, 1] of each detection to each track; 0 beyond the gate."""
        gaps = frame - self._active.frames
        predicted = self._predict(gaps)
        areas, area = body_area(predicted), body_area(people)
        boxes, box = box_corners(predicted), box_corners(people)
        similarity = np.zeros((len(gaps), len(people)))
        rows = max(1, _PAIRS_AT_ONCE // max(1, len(people)))
        for start in range(0, len(gaps), rows):
            part = slice(start, start + rows)
            scale = np.maximum(np.maximum(areas[part, None], area), self._minimum_area)
            scale *= self._widening[gaps[part], None] ** 2
            gate = self._reach * np.sqrt(scale)
            # No joint is nearer than the boxes are; the factor covers rounding.
            track, person = np.nonzero(_box_distance(boxes[:, part], box) <= 1.001 * gate)
            similarity[start + track, person] = self._similarity_of_pairs(
                predicted[part][track], people[person], scale[track, person], gate[track, person]
            )
        return similarity

    def _similarity_of_pairs(
        self, predicted: Keypoints, people: Keypoints, scale: Floats, gate: Floats
    ) -> Floats:
        both = is_seen(predicted) & is_seen(people)
        offset = predicted[..., :2] - people[..., :2]
        distance = np.hypot(offset[..., 0], offset[..., 1])
        nearness = 1 - _median_where(both & ~np.isnan(distance), distance) / gate
        similarity = np.nan_to_num(oks(predicted, people, self._layout.sigmas, scale))
        # At large distances the OKS is 0 for every pair; the nearness still orders them.
        return np.where(nearness > 0, (similarity + nearness) / 2, 0)

    def _predict(self, gaps: NDArray[np.intp]) -> Keypoints:
        """The last poses moved on by a decaying velocity, by at most five frames' worth of motion."""
        shift = self._active.velocities * 5 * self._decay[gaps, None]
        predicted = self._active.poses.copy()
        predicted[..., :2] += shift.astype(np.float32)[:, None]
        return predicted


def _box_distance(a: Floats, b: Floats) -> Floats:
    """Distances ``(box of a, box of b)`` of boxes ``(2, box, coordinate)``; 0 where they overlap."""
    apart = np.maximum(np.maximum(a[0][:, None] - b[1], b[0] - a[1][:, None]), 0)
    distance: Floats = np.hypot(apart[..., 0], apart[..., 1])
    return distance


def _median_where(mask: NDArray[np.bool_], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median over the last axis of the values where the mask is True; infinite if it is False everywhere."""
    ordered = np.sort(np.where(mask, values, np.float32(np.inf)), axis=-1).reshape(-1, values.shape[-1])
    count = np.broadcast_to(mask, values.shape).sum(axis=-1).ravel()
    rows = np.arange(len(ordered))
    median: NDArray[np.float32] = (ordered[rows, (count - 1) // 2] + ordered[rows, count // 2]) / 2
    return median.reshape(values.shape[:-1])


def track(
    frames: Mapping[int, Keypoints],
    layout: Layout,
    size: tuple[int, int],
    *,
    memory: int = 30,
    reach: float = 1.0,
) -> list[Track]:
    """The tracks of the people detected in a clip, in the order of their first detection.

    Args:
        frames: the detected people ``(person, joint, 3)``, in any order, by increasing number of the frame;
            frames without people may be left out.
        layout, size, memory, reach: as for `Tracker`.

    Raises:
        DataError: as `Tracker.update`.
    """
    tracker = Tracker(layout, size, memory=memory, reach=reach)
    ended = [each for number, people in frames.items() for each in tracker.update(number, people)]
    return sorted([*ended, *tracker.finish()], key=lambda each: each.number)
