"""Alignment of student and teacher feature maps: the same frames, and a check for the same joints.

The number of channels is matched by the adaptation layer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from skdpipe.errors import ConfigError
from skdpipe.networks import GraphNetwork, Network


def same_frames(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both feature maps with the frames of the coarser one.

    Networks with different strides have feature maps of different lengths. The finer map is averaged along
    time (adaptive average pooling): of its T frames, frame ``i`` of the coarser map's T' frames gets the mean
    of frames ``floor(i T/T')`` to ``ceil((i + 1) T/T') - 1``. Maps of equal length are unchanged. Not in the
    paper, whose networks have the same strides.

    Args:
        student: ``(row, channel, frame, joint)``.
        teacher: the same shape except for the number of frames.
    """
    frames = min(student.shape[2], teacher.shape[2])
    return _with_frames(student, frames), _with_frames(teacher, frames)


def _with_frames(features: Tensor, frames: int) -> Tensor:
    row, _, found, joint = features.shape
    if found == frames:
        return features
    if row == 0:  # adaptive pooling raises an error
        return features[:, :, :frames]
    return F.adaptive_avg_pool2d(features, (frames, joint))


def require_same_joints(
    student: GraphNetwork,
    teacher: Network,
    clip: tuple[int, int, int, int],
    teacher_channels: int | None = None,
) -> None:
    """Check before training that the feature maps have the same joints, with one empty clip.

    Args:
        student: its training mode and statistics are not changed.
        teacher: in evaluation mode.
        clip: ``(person, channel, frame, joint)`` of the student's clips.
        teacher_channels: of the teacher's clips if they have another number of coordinates.

    Raises:
        ConfigError: if the joints differ.
    """
    device = next(student.parameters()).device
    people, channels, frames, layout_joints = clip
    mask = torch.ones(1, people, dtype=torch.bool, device=device)
    mode = student.training
    shapes = ((people, each, frames, layout_joints) for each in (channels, teacher_channels or channels))
    with torch.no_grad():
        joints, expected = (
            network(torch.zeros(1, *shape, device=device), mask).features.shape[-1]
            for network, shape in zip((student.eval(), teacher), shapes, strict=True)
        )
    student.train(mode)
    if joints != expected:
        raise ConfigError(
            f"the student's features have {joints} joints, the teacher's {expected}; expected the same "
            "number: choose networks that keep the same joints, set distillation.pooled to true, or set "
            "distillation.node and distillation.edge to 0"
        )
