"""Tracks: each person of a clip in the frames in which the person was detected.

A clip of an hour may show hundreds of people for a few seconds each. Tracks take memory in proportion to the
detections; only the people that are kept are laid out as keypoints ``(frame, person, joint, channel)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import DataError
from skdpipe.skeleton.sequence import Keypoints, unseen_joint


@dataclass(frozen=True, eq=False)
class Track:
    """One person over time.

    Attributes:
        number: identifies the track in its clip.
        frames: ``(row,)`` int32, increasing: the frames with a detection of the person.
        poses: ``(row, joint, channel)`` float32, the person in these frames.
    """

    number: int
    frames: NDArray[np.int32]
    poses: Keypoints

    @cached_property
    def confidence(self) -> float:
        """Sum of the confidences of all joints in all frames."""
        return float(self.poses[..., -1].sum(dtype=np.float64))


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """The people of one frame of footage, each with the number of a track.

    Attributes:
        frame: its number, from 0; frames on which the estimator does not run are counted too.
        seconds: since the first frame.
        numbers: ``(person,)``, distinct: of the tracks.
        people: ``(person, joint, channel)`` float32, in the order of the numbers.
    """

    frame: int
    seconds: float
    numbers: NDArray[np.intp]
    people: Keypoints


def most_confident(tracks: Iterable[Track], count: int) -> list[Track]:
    """The people with the highest mean confidence over the whole clip, the highest first.

    Of two with the same confidence the one with the lower number is first.

    Raises:
        DataError: if the count is negative.
    """
    if count < 0:
        raise DataError(f"cannot select {count} people; expected 0 or more")
    return sorted(tracks, key=lambda track: (-track.confidence, track.number))[:count]


def lay_out(tracks: Sequence[Track], shape: tuple[int, int, int, int]) -> Keypoints:
    """Keypoints of the shape ``(frame, person, joint, channel)``; person i is track i.

    A person is unseen in frames without a detection, and people beyond the tracks are unseen in all.
    """
    keypoints = np.broadcast_to(unseen_joint(shape[-1] - 1), shape).copy()
    for person, each in enumerate(tracks):
        keypoints[each.frames, person] = each.poses
    return keypoints
