"""Pose sequences: the keypoints of the people in one video.

Keypoints have one axis order on disk and in numpy: ``(frame, person, joint, 3)``. The last axis holds x and y
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
    """Which joints were detected.

    Args:
        keypoints: ``(..., coordinates + confidence)``.

    Returns:
        ``(...)``, True where the confidence is above 0.
    """
    seen: NDArray[np.bool_] = keypoints[..., -1] > 0
    return seen


@dataclass(frozen=True)
class Origin:
    """Source and labels of a sequence.

    Attributes:
        source: path of the video or annotation file.
        key: hexadecimal digest that pairs the qualities of one clip. It is computed from the video's content,
            or from the clip's name (`clip_key`) if there are only skeletons.
        estimator: fingerprint of the pose estimator or of the annotation.
        label, split, subject: as specified by the user, or None.
    """

    source: str = ""
    key: str = ""
    estimator: str = ""
    label: str | None = None
    split: str | None = None
    subject: str | None = None


def clip_key(name: str) -> str:
    """The key of a clip without a video: a digest of its name, the same for all formats."""
    return hashlib.sha256(f"clip:{name}".encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class PoseSequence:
    """The people of one video.

    Attributes:
        keypoints: ``(frame, person, joint, 3)`` float32; x, y in pixels, confidence in [0, 1];
            an unseen joint is NaN, NaN, 0. A person has the same index in all frames.
        frame_index: ``(frame,)`` int32, increasing: the frame of the video that each row was taken from.
        video_frames: number of frames of the whole video.
        layout: names and order of the joint axis.
        fps: frames per second of the video.
        size: width and height of the video's frames in pixels.
        origin: source and labels.

    Raises:
        DataError: if the shapes do not match each other and the layout.
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
        """Length of the person axis; some people may be unseen in all frames."""
        return int(self.keypoints.shape[1])

    @property
    def seen(self) -> NDArray[np.bool_]:
        """``(frame, person, joint)`` bool, True where a joint was detected."""
        return is_seen(self.keypoints)

    @property
    def is_empty(self) -> bool:
        """True if no joint is seen in any frame."""
        return not bool(self.seen.any())

    def with_keypoints(self, keypoints: Keypoints) -> PoseSequence:
        """The same sequence with other keypoints."""
        return replace(self, keypoints=keypoints)
