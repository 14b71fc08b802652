"""Pose sequences: the keypoints of the people in one video.

One axis order on disk and in numpy: keypoints are ``(frame, person, joint, 3)``. The last axis holds x and y
in pixels of the source frame (origin top left, y down) and a confidence in [0, 1]. An unseen joint is
``(NaN, NaN, 0)``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import DataError
from skdpipe.skeleton.layouts import Layout

Keypoints = NDArray[np.float32]

UNSEEN: Final[Keypoints] = np.array([np.nan, np.nan, 0], np.float32)
"""A joint without a detection."""

TRAIN_SPLITS: Final = frozenset({"train"})
TEST_SPLITS: Final = frozenset({"test", "val", "valid", "validation"})
SPLITS: Final = TRAIN_SPLITS | TEST_SPLITS
"""Names of splits that folders, CSV files and imported data may use."""


def is_seen(keypoints: Keypoints) -> NDArray[np.bool_]:
    """``(...)``: which joints of ``(..., 3)`` were detected, those with a confidence above 0."""
    seen: NDArray[np.bool_] = keypoints[..., -1] > 0
    return seen


@dataclass(frozen=True)
class Origin:
    """Where a sequence came from.

    Attributes:
        source: the video or annotation file.
        key: hexadecimal digest that pairs the qualities of one clip: of a video's content, or of the
            clip's name (`clip_key`) where only skeletons are at hand.
        estimator: fingerprint of what found the joints.
        label, split, subject: what the user said about the video, or None.
    """

    source: str = ""
    key: str = ""
    estimator: str = ""
    label: str | None = None
    split: str | None = None
    subject: str | None = None


def clip_key(name: str) -> str:
    """The key of a clip known by name only; the same whatever format its skeletons came in."""
    return hashlib.sha256(f"clip:{name}".encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class PoseSequence:
    """The people of one video.

    Attributes:
        keypoints: ``(frame, person, joint, 3)`` float32; x, y in pixels, confidence in [0, 1];
            an unseen joint is NaN, NaN, 0. A person keeps the same place on the second axis.
        frame_index: ``(frame,)`` int32; which frame of the video each row was taken from, rising.
        video_frames: how many frames the whole video has.
        layout: what the joint axis means.
        fps: frames per second of the video.
        size: width and height of the video's frames in pixels.
        origin: where the sequence came from.

    Raises:
        DataError: if the arrays do not fit together.
    """

    keypoints: Keypoints
    frame_index: NDArray[np.int32]
    video_frames: int
    layout: Layout
    fps: float
    size: tuple[int, int]
    origin: Origin = field(default_factory=Origin)

    def __post_init__(self) -> None:
        shape = self.keypoints.shape
        if len(shape) != 4 or shape[2:] != (len(self.layout), 3) or shape[0] != len(self.frame_index):
            raise DataError(
                f"keypoints of shape {shape} with {len(self.frame_index)} frame indices; expected "
                f"(frame, person, {len(self.layout)}, 3) for layout {self.layout.name}"
            )

    @property
    def people(self) -> int:
        """How many places for people there are (some may be empty throughout)."""
        return int(self.keypoints.shape[1])

    @property
    def seen(self) -> NDArray[np.bool_]:
        """``(frame, person, joint)``: where a joint was found."""
        return is_seen(self.keypoints)

    @property
    def is_empty(self) -> bool:
        """True if nobody is seen in any frame."""
        return not bool(self.seen.any())

    def with_keypoints(self, keypoints: Keypoints) -> PoseSequence:
        """The same sequence with other keypoints."""
        return replace(self, keypoints=keypoints)
