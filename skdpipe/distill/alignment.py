"""Feature maps of networks that differ, brought to where they can be compared vertex by vertex.

The adaptation layer maps channels; here it is frames, and joints are checked.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from skdpipe.errors import ConfigError
from skdpipe.networks import GraphNetwork, Network


def same_frames(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Two feature maps with as many frames as the coarser one has.

    Networks of other strides shorten a clip differently. The finer map is averaged along time (adaptive
    average pooling): of T frames, frame ``i`` of the coarser map's T' gets the mean of frames
    ``floor(i T/T')`` to ``ceil((i + 1) T/T') - 1``. Maps with as many frames stay as they are. Not in the
    paper, whose networks have the same strides.

    Args:
        student: ``(row, channel, frame, joint)``.
        teacher: the same but for the number of frames.
    """
    frames = min(student.shape[2], teacher.shape[2])
    return _with_frames(student, frames), _with_frames(teacher, frames)


def _with_frames(features: Tensor, frames: int) -> Tensor:
    row, _, found, joint = features.shape
    if found == frames:
        return features
    if row == 0:  # which pooling refuses
        return features[:, :, :frames]
    return F.adaptive_avg_pool2d(features, (frames, joint))


def require_same_joints(student: GraphNetwork, teacher: Network, clip: tuple[int, int, int, int]) -> None:
    """Find out before training whether the feature maps have the same joints.

    Args:
        student: of which one empty clip is asked, in evaluation; its mode and statistics stay.
        teacher: likewise.
        clip: ``(person, channel, frame, joint)`` of the clips.

    Raises:
        ConfigError: if they do not.
    """
    device = next(student.parameters()).device
    x, mask = torch.zeros(1, *clip, device=device), torch.ones(1, clip[0], dtype=torch.bool, device=device)
    mode = student.training
    with torch.no_grad():
        found, wanted = (network(x, mask).features.shape[-1] for network in (student.eval(), teacher))
    student.train(mode)
    if found != wanted:
        raise ConfigError(
            f"the student's features have {found} joints, the teacher's {wanted}; expected as many: choose "
            "networks that keep the same joints, or set distillation.node and distillation.edge to 0"
        )
