"""Tracking: the detections of each person are found from frame to frame."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import DataError
from skdpipe.skeleton import Keypoints, Layout, is_seen
from skdpipe.skeleton.people import Floats, area_of_sides, assign, box_corners, oks
from skdpipe.skeleton.tracks import Track

MOST_PEOPLE: Final = 1000
"""Largest number of people in one frame."""

_MOST_ACTIVE: Final = 2 * MOST_PEOPLE  # tracks that the detections of a frame are compared with
_HALVED: Final = 15  # frames without a detection that halve the similarity
_LARGEST: Final = 1e30  # square pixels; a file may contain infinite coordinates
_PAIRS_AT_ONCE: Final = 50_000  # of a track and a detection; some 60 MB for 17 joints


class _People(NamedTuple):
    """People of whom a joint is seen, and what would be computed again in each comparison.

    Attributes:
        poses: ``(person, joint, 3)``.
        seen: ``(person, joint)``, which joints are seen.
        boxes: ``(person, 2, 2)``, lowest and highest coordinates of the seen joints.
    """

    poses: Keypoints
    seen: NDArray[np.bool_]
    boxes: NDArray[np.float32]

    def at(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> _People:
        """Only these people."""
        return _People(self.poses[rows], self.seen[rows], self.boxes[rows])

    def joined_with(self, other: _People) -> _People:
        return _People(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))

    def moved_by(self, shift: NDArray[np.float32]) -> _People:
        """The people moved by ``(person, 2)``.

        Rounding keeps the order, so the corners of a moved box are those of the moved joints to the last bit.
        """
        poses = self.poses.copy()
        poses[..., :2] += shift[:, None]
        return _People(poses, self.seen, self.boxes + shift[:, None])


@dataclass(frozen=True, eq=False)
class _Active:
    """The people who may be seen again, in the order of their first detection.

    Attributes:
        numbers: ``(person,)``, increasing, of their tracks.
        people: the last detections.
        frames: ``(person,)``, their frames.
        times: ``(person,)``, the times of these frames.
        velocities: ``(person, 2)``, the smoothed velocity in pixels per frame.
    """

    numbers: NDArray[np.intp]
    people: _People
    frames: NDArray[np.intp]
    times: Floats
    velocities: Floats

    def at(self, rows: NDArray[np.intp]) -> _Active:
        """Only these people."""
        return _Active(
            self.numbers[rows],
            self.people.at(rows),
            self.frames[rows],
            self.times[rows],
            self.velocities[rows],
        )

    def joined_with(self, other: _Active) -> _Active:
        return _Active(
            np.concatenate([self.numbers, other.numbers]),
            self.people.joined_with(other.people),
            np.concatenate([self.frames, other.frames]),
            np.concatenate([self.times, other.times]),
            np.concatenate([self.velocities, other.velocities]),
        )


class Assigned(NamedTuple):
    """What a tracker finds in a frame.

    Attributes:
        numbers: ``(person,)``, the track of each detection; -1 for a detection without a seen joint.
        ended: numbers of the tracks that ended before the frame, increasing.
    """

    numbers: NDArray[np.intp]
    ended: NDArray[np.intp]


class Tracker:
    """Follows people from frame to frame; each detection becomes part of one track.

    In every frame the detections are assigned to the active tracks (Hungarian method) by their similarity
    to the pose predicted from the track's recent motion: the mean of the OKS and of the nearness, which is 1
    at the predicted position and 0 at a gate. A detection too far from every track starts a new one. The gate
    and the OKS widen with the fourth root of the number of frames since the last detection: a person may
    return after a gap, but only near the predicted position. Who is seen keeps a detection rather than who
    was seen long ago, and people of one size match rather than of different ones: the similarity is divided
    by 1 + gap / 15 frames, and multiplied by the ratio of the lengths of the two bodies.

    Online: each frame's detections are assigned at once and not kept, so memory and time of a frame do not
    grow with the number of frames. Tracks are numbered from 0 in the order of their first detection.

    Args:
        layout: layout of the joint axis.
        size: width and height of the frame in pixels; the minimum body size is 2% of its diagonal.
        memory: a track without a detection in this number of frames ends, or in this time if times are given.
            Of more than 2,000 active tracks those end first that were not detected for the longest time.
        reach: the gate: maximum median distance of the joints from their predicted positions, as a multiple
            of the square root of the body's area.
    """

    def __init__(
        self, layout: Layout, size: tuple[int, int], *, memory: float = 30, reach: float = 1.0
    ) -> None:
        self._layout, self._memory, self._reach = layout, memory, reach
        self._minimum_area = (0.02 * float(np.hypot(*size))) ** 2
        self._started = 0
        nobody = np.zeros((0, len(layout), 3), np.float32)
        self._active = self._start_tracks(0, 0, _people_of(nobody, is_seen(nobody)))

    def update(self, frame: int, detected: Keypoints, time: float | None = None) -> Assigned:
        """Assign the detections of a frame to tracks.

        Args:
            frame: its number, higher than those before; frames without detections may be left out.
            detected: the people ``(person, joint, 3)``, in any order; those without a seen joint are ignored.
            time: in the unit of the memory; the frame's number if None. Give it for all frames or for none.

        Raises:
            DataError: if there are more than `MOST_PEOPLE`, or the shape is another one.
        """
        detected = np.asarray(detected, np.float32)
        if detected.shape[1:] != (len(self._layout), 3):
            raise DataError(
                f"people of shape {detected.shape}; expected (person, {len(self._layout)}, 3) for layout "
                f"{self._layout.name}"
            )
        seen = is_seen(detected)
        shown = np.flatnonzero(seen.any(axis=-1))
        if len(shown) > MOST_PEOPLE:
            raise DataError(
                f"{len(shown)} people in frame {frame}; expected at most {MOST_PEOPLE} in one frame: "
                "leave out those of low confidence"
            )
        people = _people_of(detected[shown], seen[shown])
        time = frame if time is None else time
        ended = self._end_old(time)
        rows, columns = self._assign(people, frame)
        numbers = np.full(len(detected), -1, np.intp)
        numbers[shown[columns]] = self._active.numbers[rows]
        self._continue_tracks(rows, frame, time, people.at(columns))
        if len(columns) < len(shown):
            new = np.delete(np.arange(len(shown)), columns)
            started = self._start_tracks(frame, time, people.at(new))
            numbers[shown[new]] = started.numbers
            self._active = self._active.joined_with(started)
        return Assigned(numbers, ended)

    def finish(self) -> NDArray[np.intp]:
        """End all active tracks and return their numbers."""
        return self._keep(np.arange(0))

    def _keep(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Keep the active tracks of these rows; the others end, and their numbers are returned."""
        ended = np.delete(self._active.numbers, rows)
        self._active = self._active.at(rows)
        return ended

    def _end_old(self, time: float) -> NDArray[np.intp]:
        frames = self._active.frames
        recent = time - self._active.times <= self._memory
        if len(frames) <= _MOST_ACTIVE and recent.all():
            return self._active.numbers[:0]
        kept = np.flatnonzero(recent)
        if len(kept) > _MOST_ACTIVE:
            kept = np.sort(kept[np.argsort(-frames[kept], kind="stable")[:_MOST_ACTIVE]])
        return self._keep(kept)

    def _start_tracks(self, frame: int, time: float, people: _People) -> _Active:
        count = len(people.poses)
        numbers = np.arange(self._started, self._started + count, dtype=np.intp)
        self._started += count
        frames, times = np.full(count, frame, np.intp), np.full(count, time, np.float64)
        return _Active(numbers, people, frames, times, np.zeros((count, 2)))

    def _continue_tracks(self, rows: NDArray[np.intp], frame: int, time: float, people: _People) -> None:
        """Move each of these tracks to its detection."""
        active = self._active
        offset = _offset(people.poses, active.people.poses[rows])
        gap = (frame - active.frames[rows]).astype(np.float32)
        motion = _median_where(active.people.seen[rows] & people.seen, offset) / gap
        active.velocities[rows] = 0.5 * active.velocities[rows] + 0.5 * motion.T
        active.frames[rows], active.times[rows] = frame, time
        for kept, latest in zip(active.people, people, strict=True):
            kept[rows] = latest

    def _assign(self, people: _People, frame: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The tracks and the detections that are assigned to each other, as rows of both."""
        gaps = frame - self._active.frames
        predicted = self._predict(gaps)
        boxes = np.concatenate([predicted.boxes, people.boxes], dtype=np.float64)
        areas = np.maximum(area_of_sides(boxes[:, 1] - boxes[:, 0]), self._minimum_area)
        of_tracks, of_people = areas[: len(gaps)], areas[len(gaps) :]
        widening = np.array([gap**0.25 for gap in gaps.tolist()]) ** 2
        scale = np.maximum(of_tracks[:, None], of_people) * widening[:, None]
        track, person, nearness = self._pairs_within_gates(predicted, people, self._reach * np.sqrt(scale))
        if len(track) == len(set(track.tolist())) == len(set(person.tolist())):
            return track, person  # each has one candidate at most
        similarity = np.zeros(scale.shape)
        similarity[track, person] = nearness
        weight = _ratio_of_lengths(of_tracks[track], of_people[person]) / (1 + gaps[track] / _HALVED)
        for start in range(0, len(track), _PAIRS_AT_ONCE):
            part = slice(start, start + _PAIRS_AT_ONCE)
            rows, columns = track[part], person[part]
            compared = oks(
                predicted.poses[rows], people.poses[columns], self._layout.sigmas, scale[rows, columns]
            )
            # At large distances the OKS is 0 for every pair; the nearness still orders them. Of an infinite
            # coordinate, which a file may contain, the OKS is NaN and counts as 0.
            similarity[rows, columns] = (np.fmax(compared, 0) + nearness[part]) / 2 * weight[part]
        rows, columns = np.array(assign(similarity), np.intp).T
        return rows, columns

    def _pairs_within_gates(
        self, predicted: _People, people: _People, gate: Floats
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        """Track, detection and nearness of each pair: 1 at the predicted position, 0 at the gate."""
        pairs = []
        rows = max(1, _PAIRS_AT_ONCE // max(1, len(people.poses)))
        for start in range(0, max(1, len(gate)), rows):
            part = slice(start, start + rows)
            lowest, highest = predicted.boxes[part].swapaxes(0, 1)
            # No joint is nearer than the boxes are; the factor covers rounding.
            apart = np.maximum(lowest[:, None] - people.boxes[:, 1], people.boxes[:, 0] - highest[:, None])
            track, person = np.nonzero((apart <= 1.001 * gate[part, :, None]).all(axis=-1))
            track += start
            distance = np.hypot(*_offset(predicted.poses[track], people.poses[person]))
            both = predicted.seen[track] & people.seen[person]
            nearness = 1 - _median_where(both, distance) / gate[track, person]
            near = nearness > 0
            pairs.append((track[near], person[near], nearness[near]))
        track, person, nearness = map(np.concatenate, zip(*pairs, strict=True))
        return track, person, nearness

    def _predict(self, gaps: NDArray[np.intp]) -> _People:
        """The last poses moved on by a decaying velocity, by at most five frames' worth of motion."""
        decay = np.array([1 - 0.8**gap for gap in gaps.tolist()])
        shift = self._active.velocities * 5 * decay[:, None]
        return self._active.people.moved_by(shift.astype(np.float32))


def _people_of(poses: Keypoints, seen: NDArray[np.bool_]) -> _People:
    return _People(poses, seen, box_corners(poses).swapaxes(0, 1).astype(np.float32))


def _ratio_of_lengths(a: Floats, b: Floats) -> Floats:
    """Of the shorter to the longer body, given their areas."""
    a, b = np.fmin(a, _LARGEST), np.fmin(b, _LARGEST)
    ratio: Floats = np.sqrt(np.minimum(a, b) / np.maximum(a, b))
    return ratio


def _offset(a: Keypoints, b: Keypoints) -> NDArray[np.float32]:
    """``(coordinate, person, joint)``, from people b to people a."""
    return (a - b)[..., :2].transpose(2, 0, 1)


def _median_where(mask: NDArray[np.bool_], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median over the joints ``(..., person)`` of the values ``(..., person, joint)`` where a mask is True.

    Args:
        mask: ``(person, joint)``; the median is infinite for a person without a joint.
        values: their numbers.
    """
    ordered = np.sort(np.where(mask, values, np.float32(np.inf)), axis=-1)
    count = mask.sum(axis=-1)
    person = np.arange(len(mask))
    lower, upper = ordered[..., person, (count - 1) // 2], ordered[..., person, count // 2]
    median: NDArray[np.float32] = (lower + upper) / 2
    return median


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


class TrackCollector:
    """Tracks people, and collects the detections of each track until it ends.

    Memory is in proportion to the detections.

    Args:
        layout, size, memory, reach: as for `Tracker`.
    """

    def __init__(
        self, layout: Layout, size: tuple[int, int], *, memory: float = 30, reach: float = 1.0
    ) -> None:
        self._tracker = Tracker(layout, size, memory=memory, reach=reach)
        self._joints = len(layout)
        self._histories: dict[int, _History] = {}

    def update(self, frame: int, detected: Keypoints) -> list[Track]:
        """Assign the detections of a frame as `Tracker.update`.

        Returns:
            The tracks that ended before the frame.

        Raises:
            DataError: as `Tracker.update`.
        """
        detected = np.asarray(detected, np.float32)
        numbers, ended = self._tracker.update(frame, detected)
        tracks = self._take(ended)
        for number, pose in zip(numbers.tolist(), detected, strict=True):
            if number >= 0:
                self._histories.setdefault(number, _History(number)).add(frame, pose)
        return tracks

    def finish(self) -> list[Track]:
        """End all tracks and return those that had not ended."""
        return self._take(self._tracker.finish())

    def _take(self, numbers: NDArray[np.intp]) -> list[Track]:
        return [self._histories.pop(number).to_track(self._joints) for number in numbers.tolist()]


def track(
    frames: Mapping[int, Keypoints],
    layout: Layout,
    size: tuple[int, int],
    *,
    memory: float = 30,
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
    collector = TrackCollector(layout, size, memory=memory, reach=reach)
    ended = [each for number, people in frames.items() for each in collector.update(number, people)]
    return sorted([*ended, *collector.finish()], key=lambda each: each.number)
