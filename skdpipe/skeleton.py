"""Skeletons: which joints there are, how they hang together, and where they are in a video.

One axis order everywhere on disk and in numpy: keypoints are ``(frame, person, joint, 3)``,
the last axis being x, y in pixels of the source frame (origin top left, y down) and a
confidence in [0, 1]. A joint that was not seen is ``(NaN, NaN, 0)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import DataError

Keypoints = NDArray[np.float32]


@dataclass(frozen=True)
class Layout:
    """A named set of joints.

    Attributes:
        name: what the layout is called, e.g. ``coco-17``.
        joints: joint names in order; left and right are the person's own and are prefixes.
        bones: pairs of joint names, the end nearer the root first (either, if they are as near).
        root: the joint that distances along the bones start from.
        sigmas: fall-off of the object keypoint similarity, one for each joint (COCO's constants).
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[str, str], ...]
    root: str
    sigmas: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Position of a joint by name."""
        return self.joints.index(joint)

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """Bones as pairs of joint positions."""
        return tuple((self.index(a), self.index(b)) for a, b in self.bones)

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """For each joint the one before it on the way from the root (itself for the root).

        Where two bones come as near from the root, the one that stands first; a joint that hangs on nothing
        has itself.
        """
        root = self.index(self.root)
        before, reached = {root: root}, [root]
        for joint in reached:  # which grows meanwhile
            for a, b in self.edges:
                for near, far in ((a, b), (b, a)):
                    if near == joint and far not in before:
                        before[far] = joint
                        reached.append(far)
        return tuple(before.get(joint, joint) for joint in range(len(self)))

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """For each joint the position of its left-right counterpart (itself where there is none)."""
        swap = {"left": "right", "right": "left"}

        def counterpart(joint: str) -> str:
            side, _, rest = joint.partition("_")
            return f"{swap[side]}_{rest}" if side in swap else joint

        return tuple(self.index(counterpart(joint)) for joint in self.joints)


_SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "head": 0.035, "shoulder": 0.079, "elbow": 0.072,
    "wrist": 0.062, "hip": 0.107, "knee": 0.087, "ankle": 0.089,
}  # fmt: skip


def _layout(name: str, joints: str, bones: str, root: str) -> Layout:
    names = tuple(joints.split())
    pairs = tuple((a, b) for a, b in (bone.split("-") for bone in bones.split()))
    sigmas = tuple(_SIGMAS[joint.split("_")[-1]] for joint in names)
    return Layout(name, names, pairs, root, sigmas)


COCO_17 = _layout(
    "coco-17",
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
    "nose-left_eye nose-right_eye left_eye-right_eye left_eye-left_ear right_eye-right_ear "
    "left_ear-left_shoulder right_ear-right_shoulder left_shoulder-right_shoulder "
    "left_shoulder-left_elbow left_elbow-left_wrist right_shoulder-right_elbow right_elbow-right_wrist "
    "left_shoulder-left_hip right_shoulder-right_hip left_hip-right_hip "
    "left_hip-left_knee left_knee-left_ankle right_hip-right_knee right_knee-right_ankle",
    root="nose",
)
PENN_13 = _layout(
    "penn-13",
    "head left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist "
    "left_hip right_hip left_knee right_knee left_ankle right_ankle",
    "head-left_shoulder head-right_shoulder left_shoulder-right_shoulder "
    "left_shoulder-left_elbow left_elbow-left_wrist right_shoulder-right_elbow right_elbow-right_wrist "
    "left_shoulder-left_hip right_shoulder-right_hip left_hip-right_hip "
    "left_hip-left_knee left_knee-left_ankle right_hip-right_knee right_knee-right_ankle",
    root="head",
)
LAYOUTS = {layout.name: layout for layout in (COCO_17, PENN_13)}


def layout_named(name: str) -> Layout:
    """The layout of that name.

    Raises:
        DataError: if there is none.
    """
    if name not in LAYOUTS:
        raise DataError(f"no layout '{name}'; expected one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


# Where a joint of one layout has no namesake in another, these are averaged instead.
_SUBSTITUTES = {"head": (("left_ear", "right_ear", "nose"),)}


@dataclass(frozen=True)
class Origin:
    """Where a sequence came from.

    Attributes:
        source: the video or annotation file.
        key: hexadecimal digest of the source's content; pairs the qualities of one video.
        estimator: fingerprint of what found the joints.
        label, split, subject: what the user said about the video, or None.
    """

    source: str = ""
    key: str = ""
    estimator: str = ""
    label: str | None = None
    split: str | None = None
    subject: str | None = None


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


def map_layout(sequence: PoseSequence, target: Layout) -> PoseSequence:
    """The sequence in another layout, joint by joint name.

    A joint that the source has under another anatomy (the head, from ears and nose) is the mean of
    the substitutes that were seen.

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
    for candidates in _SUBSTITUTES.get(joint, ()):
        if all(name in names for name in candidates):
            return _mean_of_seen(sequence.keypoints[:, :, [names.index(name) for name in candidates]])
    return None


def _mean_of_seen(keypoints: Keypoints) -> Keypoints:
    seen = keypoints[..., 2:] > 0
    count = seen.sum(axis=-2)
    total = np.where(seen, keypoints, 0).sum(axis=-2)
    mean = total / np.maximum(count, 1)
    return np.where(count > 0, mean, np.array([np.nan, np.nan, 0], np.float32)).astype(np.float32)
