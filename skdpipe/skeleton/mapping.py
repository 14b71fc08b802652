"""Pose sequences mapped from one layout to another by joint name."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skdpipe.errors import DataError
from skdpipe.skeleton.layouts import Layout
from skdpipe.skeleton.sequence import UNSEEN, Keypoints, PoseSequence, is_seen


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
    seen = is_seen(keypoints)[..., None]
    count = seen.sum(axis=-2)
    total = np.where(seen, keypoints, 0).sum(axis=-2)
    mean = total / np.maximum(count, 1)
    return np.where(count >= least, mean, UNSEEN).astype(np.float32)
