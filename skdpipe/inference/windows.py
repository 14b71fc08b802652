"""Windows of footage: the people seen in a few seconds, as pose sequences."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skdpipe.inference.timeline import Box
from skdpipe.skeleton import Keypoints, Layout, PoseSequence, is_seen
from skdpipe.skeleton.people import box_corners
from skdpipe.skeleton.sequence import unseen_joint
from skdpipe.skeleton.tracks import TrackedFrame

_ROUNDING = 1e-6  # seconds
_DROPPED = 4  # one frame in so many is enough
_ENOUGH = 8  # regular frames in a window, whatever the stated rate is


@dataclass(frozen=True)
class FootageFormat:
    """What the frames of footage have in common.

    Attributes:
        layout: of the people.
        size: width and height of the frames in pixels.
        fps: frames per second.
        every: the estimator runs on one frame in ``every``.
    """

    layout: Layout
    size: tuple[int, int]
    fps: float
    every: int = 1

    @property
    def pose_period(self) -> float:
        """Seconds between two frames on which the estimator runs."""
        return self.every / self.fps


@dataclass(frozen=True, eq=False)
class View:
    """What is seen in a part of footage.

    Attributes:
        start, end: of that part, in seconds.
        format: of the footage.
        frames: its frames on which the estimator ran.
    """

    start: float
    end: float
    format: FootageFormat
    frames: Sequence[TrackedFrame]

    @property
    def seconds(self) -> float:
        """Length of that part."""
        return self.end - self.start

    @cached_property
    def numbers(self) -> NDArray[np.intp]:
        """``(person,)``: the tracks that are seen, increasing."""
        return np.unique(np.concatenate([np.zeros(0, np.intp), *(each.numbers for each in self.frames)]))

    @cached_property
    def keypoints(self) -> Keypoints:
        """``(frame, person, joint, channel)``; a person is unseen in frames without a detection."""
        channels = self.frames[0].people.shape[-1] if self.frames else 3
        shape = (len(self.frames), len(self.numbers), len(self.format.layout), channels)
        keypoints = np.broadcast_to(unseen_joint(channels - 1), shape).copy()
        for row, each in enumerate(self.frames):
            keypoints[row, np.searchsorted(self.numbers, each.numbers)] = each.people
        return keypoints

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """``(frame, person)``: who is detected."""
        present: NDArray[np.bool_] = np.any(is_seen(self.keypoints), axis=-1)
        return present

    def seen_share(self, person: int | None) -> float:
        """The share of this time in which a person is seen; None: anybody.

        It is the share of the frames with a detection, times the share of the time with frames: a few that
        were dropped in between are not missed, the time in which a camera was away is. A stated rate that
        is too high does not matter.
        """
        if not self.frames:
            return 0.0
        present = self.present.any(axis=1) if person is None else self.present[:, self._row_of(person)]
        apart = np.diff([self.start, *(each.seconds for each in self.frames), self.end])
        period = max(self.format.pose_period, min(float(np.median(apart)), self.seconds / _ENOUGH))
        covered = np.minimum(apart, _DROPPED * period).sum()
        return float(present.mean() * covered / self.seconds)

    def box_of(self, person: int) -> Box | None:
        """The median box of a person; None where no joint is seen or a person has three coordinates."""
        if person not in self.numbers:
            return None
        poses = self.keypoints[self.present[:, self._row_of(person)], self._row_of(person)]
        if poses.shape[-1] != 3:
            return None
        lowest, highest = (np.median(corner, axis=0) for corner in box_corners(poses))
        left, top, right, bottom = (float(value) for value in (*lowest, *highest))
        return left, top, right, bottom

    def to_sequence(self, person: int | None = None) -> PoseSequence:
        """One person, or with None all people, as the pose sequence of a clip; there must be a frame."""
        columns = slice(None) if person is None else [self._row_of(person)]
        first, fps = self.frames[0], self.format.fps
        index = np.array([each.frame - first.frame for each in self.frames], np.int32)
        seconds = np.array([each.seconds - first.seconds for each in self.frames])
        total, times = max(round(self.seconds * fps), 1), None
        if np.abs(seconds * fps - index).max() > 0.5 or index[-1] >= total:  # not the stated rate, or no rate
            total, times = max(total, len(index)), seconds
            index, fps = np.arange(len(index), dtype=np.int32), total / self.seconds
        return PoseSequence(
            self.keypoints[:, columns], index, total, self.format.layout, fps, self.format.size, times=times
        )

    def _row_of(self, person: int) -> int:
        return int(np.searchsorted(self.numbers, person))


class RecentFrames:
    """The frames of the last seconds of footage.

    Args:
        format: of the footage.
        seconds: how far back frames are kept.
    """

    def __init__(self, format: FootageFormat, seconds: float) -> None:  # noqa: A002
        self._format, self._seconds = format, seconds
        self._frames: deque[TrackedFrame] = deque()

    def add(self, frame: TrackedFrame) -> None:
        """Add the next frame."""
        self._frames.append(frame)
        while self._frames[0].seconds < frame.seconds - self._seconds:
            self._frames.popleft()

    def between(self, start: float, end: float) -> View:
        """The frames from one time to another, the latter excluded."""
        within = [each for each in self._frames if start - _ROUNDING <= each.seconds < end - _ROUNDING]
        return View(start, end, self._format, within)
