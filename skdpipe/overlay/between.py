"""The people at any time, between the frames in which they were detected."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from skdpipe.skeleton import Keypoints, is_seen, unseen_joint
from skdpipe.skeleton.tracks import TrackedFrame

_SAMPLED: Final = 2.0  # longest time between two sampled frames that is bridged, in seconds
_MISSED: Final = 0.5  # the same where sampled frames without the person are between


@dataclass(frozen=True, eq=False)
class _Sample:
    seconds: float
    poses: dict[int, Keypoints]  # by number


class PeopleBetween:
    """Interpolates the poses of each person in time, so that nobody flickers.

    A person is bridged over 2 s from one sampled frame to the next, and over 0.5 s of frames in which the
    person was missed. Otherwise the nearest sampled frame decides, for 1 s.

    Args:
        frames: by time. They are read when they are needed, and those of the last 2 s are kept.
    """

    def __init__(self, frames: Iterable[TrackedFrame]) -> None:
        self._frames = iter(frames)
        self._near: deque[_Sample] = deque()
        self._is_over = False

    def at(self, seconds: float) -> dict[int, Keypoints]:
        """The people at a time, ``(joint, channel)`` by number; the time must not decrease."""
        self._read_to(seconds)
        if not self._near:
            return {}
        nearest = min(self._near, key=lambda each: abs(each.seconds - seconds))
        is_near = abs(nearest.seconds - seconds) <= _SAMPLED / 2
        people = {}
        for number in sorted({each for sample in self._near for each in sample.poses}):
            pose = self._bridge(number, seconds)
            if pose is None and is_near:
                pose = nearest.poses.get(number)
            if pose is not None:
                people[number] = pose
        return people

    def _read_to(self, seconds: float) -> None:
        while not self._is_over and (not self._near or self._near[-1].seconds < seconds + _SAMPLED):
            following = next(self._frames, None)
            self._is_over = following is None
            if following is not None:
                poses = dict(zip(following.numbers.tolist(), following.people, strict=True))
                self._near.append(_Sample(following.seconds, poses))
        while self._near and self._near[0].seconds < seconds - _SAMPLED:
            self._near.popleft()

    def _bridge(self, number: int, seconds: float) -> Keypoints | None:
        """The pose between two detections of a person, if these are near enough to each other."""
        found = [place for place, sample in enumerate(self._near) if number in sample.poses]
        before = max((place for place in found if self._near[place].seconds <= seconds), default=None)
        after = min((place for place in found if self._near[place].seconds > seconds), default=None)
        if before is None or after is None:
            return None
        start, end = self._near[before], self._near[after]
        period = end.seconds - start.seconds
        if period > (_SAMPLED if after == before + 1 else _MISSED):
            return None
        return _interpolate(start.poses[number], end.poses[number], (seconds - start.seconds) / period)


def _interpolate(before: Keypoints, after: Keypoints, share: float) -> Keypoints:
    """A pose between two; a joint that is seen in one of them only is there while that one is nearer."""
    both = (is_seen(before) & is_seen(after))[:, None]
    nearer = before if share < 0.5 else after
    held = np.where(is_seen(nearer)[:, None], nearer, unseen_joint(before.shape[-1] - 1))
    pose: Keypoints = np.where(both, (1 - share) * before + share * after, held).astype(np.float32)
    return pose
