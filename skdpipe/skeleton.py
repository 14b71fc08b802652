"""Skeletons: where the joints of people are in a video, in which layout, and from layout to layout.

One axis order everywhere on disk and in numpy: keypoints are ``(frame, person, joint, 3)``,
the last axis being x, y in pixels of the source frame (origin top left, y down) and a
confidence in [0, 1]. A joint that was not seen is ``(NaN, NaN, 0)``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import DataError
from skdpipe.layouts import (
    COCO_17,
    KINECT_20,
    LAYOUTS,
    NTU_25,
    OPENPOSE_18,
    PENN_13,
    Layout,
    layout_named,
)

__all__ = [
    "COCO_17",
    "KINECT_20",
    "LAYOUTS",
    "NTU_25",
    "OPENPOSE_18",
    "PENN_13",
    "Keypoints",
    "Layout",
    "Origin",
    "PoseSequence",
    "clip_key",
    "layout_named",
    "map_layout",
]

Keypoints = NDArray[np.float32]


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
        return self.keypoints[..., 2] > 0

    @property
    def is_empty(self) -> bool:
        """True if nobody is seen in any frame."""
        return not bool(self.seen.any())

    def with_keypoints(self, keypoints: Keypoints) -> PoseSequence:
        """The same sequence with other keypoints."""
        return replace(self, keypoints=keypoints)


@dataclass(frozen=True)
class _Mean:
    """A joint taken as the mean of others, if at least so many of them are seen."""

    of: tuple[str, ...]
    least: int


def _between(left: str, right: str) -> _Mean:
    return _Mean((left, right), least=2)  # one shoulder alone says nothing of the neck


_SHOULDERS = _between("left_shoulder", "right_shoulder")
_HIPS = _between("left_hip", "right_hip")

# What stands in for a joint that a layout lacks, the best first. The head, with ears and nose around it, is
# known from any of them. Kinect v1 and v2 give three joints of the trunk different names. There is no way
# from the head to nose, eyes and ears, nor from the wrist to the hand or from the ankle to the foot.
_SUBSTITUTES = {
    "head": (_Mean(("left_ear", "right_ear", "nose"), least=1),),
    "neck": (_SHOULDERS,),
    "spine_shoulder": (_Mean(("shoulder_centre",), least=1), _SHOULDERS),
    "shoulder_centre": (_Mean(("spine_shoulder",), least=1), _SHOULDERS),
    "spine_mid": (_Mean(("spine",), least=1),),
    "spine": (_Mean(("spine_mid",), least=1),),
    "spine_base": (_Mean(("hip_centre",), least=1), _HIPS),
    "hip_centre": (_Mean(("spine_base",), least=1), _HIPS),
}


def map_layout(sequence: PoseSequence, target: Layout) -> PoseSequence:
    """The sequence in another layout, joint by joint name.

    A joint that the source lacks is the mean of substitutes, in place and in confidence: the head that of
    the seen ones of ears and nose; neck and middle of the hips those of both shoulders and both hips, and
    unseen where one of the two is.

    Raises:
        DataError: if a joint of the target can be had neither by name nor by substitute.
    """
    if sequence.layout.name == target.name:
        return sequence
    source = sequence.layout
    columns = [_joint_from(sequence, joint) for joint in target.joints]
    missing = [joint for joint, column in zip(target.joints, columns, strict=True) if column is None]
    if missing:
        raise DataError(
            f"layout {source.name} has no {', '.join(missing)}, which {target.name} needs; "
            f"give skeletons that have them, or train on layout {source.name}"
        )
    keypoints = np.stack([column for column in columns if column is not None], axis=2)
    return replace(sequence, keypoints=keypoints, layout=target)


def _joint_from(sequence: PoseSequence, joint: str) -> Keypoints | None:
    names = sequence.layout.joints
    if joint in names:
        return sequence.keypoints[:, :, names.index(joint)]
    for mean in _SUBSTITUTES.get(joint, ()):
        if all(name in names for name in mean.of):
            return _mean_of_seen(
                sequence.keypoints[:, :, [names.index(name) for name in mean.of]], mean.least
            )
    return None


def _mean_of_seen(keypoints: Keypoints, least: int) -> Keypoints:
    seen = keypoints[..., 2:] > 0
    count = seen.sum(axis=-2)
    total = np.where(seen, keypoints, 0).sum(axis=-2)
    mean = total / np.maximum(count, 1)
    return np.where(count >= least, mean, np.array([np.nan, np.nan, 0], np.float32)).astype(np.float32)
