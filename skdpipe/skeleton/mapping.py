"""Mapping of pose sequences from one layout to another, by joint name."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skdpipe.errors import DataError
from skdpipe.skeleton.layouts import Layout
from skdpipe.skeleton.sequence import Keypoints, PoseSequence, hide, is_seen


@dataclass(frozen=True)
class _Mean:
    """Substitute for a joint: the mean of the seen joints, or unseen if fewer than ``least`` are seen."""

    joints: tuple[str, ...]
    least: int


def _between(left: str, right: str) -> _Mean:
    return _Mean((left, right), least=2)  # the neck cannot be computed from one shoulder alone


def _same(*names: str) -> tuple[_Mean, ...]:
    """Names of other layouts for nearly the same point, the nearest first."""
    return tuple(_Mean((name,), least=1) for name in names)


_SHOULDERS = _between("left_shoulder", "right_shoulder")
_HIPS = _between("left_hip", "right_hip")

# Substitutes for joints that a layout lacks, the best first. The head is between ears and nose, so one of
# them is enough. The layouts have several names for the ends of neck and trunk, and different points of the
# front of a foot. Nose, eyes and ears cannot be derived from the head, hands not from wrists, feet not from
# ankles.
_SUBSTITUTES = {
    "head": (_Mean(("left_ear", "right_ear", "nose"), least=1), *_same("face", "head_top")),
    "face": (_Mean(("left_ear", "right_ear", "nose"), least=1), *_same("head")),
    "neck": (_SHOULDERS,),
    "thorax": (*_same("neck", "spine_shoulder", "shoulder_centre"), _SHOULDERS),
    "spine_shoulder": (*_same("shoulder_centre"), _SHOULDERS),
    "shoulder_centre": (*_same("spine_shoulder"), _SHOULDERS),
    "spine_mid": _same("spine", "belly"),
    "spine": _same("spine_mid", "belly"),
    "belly": _same("spine", "spine_mid"),
    "spine_base": (*_same("hip_centre"), _HIPS),
    "hip_centre": (*_same("spine_base"), _HIPS),
    **{
        f"{side}_{joint}": _same(*(f"{side}_{other}" for other in others))
        for side in ("left", "right")
        for joint, others in (
            ("foot", ("foot_index", "big_toe")),
            ("foot_index", ("big_toe",)),
            ("big_toe", ("foot_index",)),
        )
    },
}


def map_layout(sequence: PoseSequence, target: Layout) -> PoseSequence:
    """Map a sequence to another layout by joint name.

    A joint that the source layout lacks is the mean of other joints, in coordinates and confidence. The head
    is the mean of the seen ones of ears and nose. Neck and middle of the hips are the mean of both shoulders
    and of both hips, and unseen (NaN, confidence 0) if one of the two is unseen.

    Args:
        sequence: keypoints ``(frame, person, source joint, coordinates + confidence)``.
        target: layout of the result.

    Returns:
        The sequence with keypoints ``(frame, person, target joint, coordinates + confidence)``; the same
        object if it already has the target layout.

    Raises:
        DataError: if a joint of the target has neither the name of a source joint nor a substitute.
    """
    if sequence.layout == target:
        return sequence
    source = sequence.layout
    columns = [_joint_from(sequence, joint) for joint in target.joints]
    missing = [joint for joint, column in zip(target.joints, columns, strict=True) if column is None]
    if missing:
        raise DataError(
            f"layout {source.name} has no {', '.join(missing)}, which {target.name} needs; "
            f"provide skeletons that have them, or train on layout {source.name}"
        )
    keypoints = np.stack([column for column in columns if column is not None], axis=2)
    return replace(sequence, keypoints=keypoints, layout=target)


def _joint_from(sequence: PoseSequence, joint: str) -> Keypoints | None:
    names = sequence.layout.joints
    if joint in names:
        return sequence.keypoints[:, :, names.index(joint)]
    for mean in _SUBSTITUTES.get(joint, ()):
        if all(name in names for name in mean.joints):
            columns = [names.index(name) for name in mean.joints]
            return _mean_of_seen(sequence.keypoints[:, :, columns], mean.least)
    return None


def _mean_of_seen(keypoints: Keypoints, least: int) -> Keypoints:
    seen = is_seen(keypoints)[..., None]
    count = seen.sum(axis=-2)
    total = np.where(seen, keypoints, 0).sum(axis=-2)
    mean = total / np.maximum(count, 1)
    return hide(mean.astype(np.float32), count[..., 0] < least)
