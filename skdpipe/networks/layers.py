"""The parts ST-GCN is put together from; all map ``(row, channel, frame, joint)`` to the like."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skdpipe.errors import ConfigError


class JointNorm(nn.Module):
    """Batch normalisation of the input, each channel of each joint for itself."""

    def __init__(self, channels: int, joints: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(joints * channels)

    def forward(self, x: Tensor) -> Tensor:
        row, channel, frame, joint = x.shape
        y: Tensor = self.norm(x.permute(0, 3, 1, 2).reshape(row, joint * channel, frame))
        return y.view(row, joint, channel, frame).permute(0, 2, 3, 1)


class SpatialGraphConvolution(nn.Module):
    """Each joint gathers from its neighbours, each kind of neighbour through its own weights.

    ``y_w = Σ_k Σ_v (W_k x_v + b_k) A_k[v, w] M_k[v, w]``, with adjacency ``A`` and learned edge
    importance ``M``, both ``(subset, joint, joint)``. The adjacency follows from the layout and is
    not stored with the weights.
    """

    adjacency: Tensor

    def __init__(self, in_channels: int, out_channels: int, adjacency: Tensor) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.importance = nn.Parameter(torch.ones_like(adjacency))
        self.mix = nn.Conv2d(in_channels, out_channels * len(adjacency), kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.mix(x).unflatten(1, (len(self.adjacency), -1))
        return torch.einsum("nkctv,kvw->nctw", mixed, self.adjacency * self.importance)


class Block(nn.Module):
    """A GCN block (Eq. 1): spatial graph convolution, temporal convolution, residual, ReLU."""

    def __init__(self, spatial: nn.Module, temporal: nn.Module, residual: nn.Module | None) -> None:
        super().__init__()
        self.spatial = spatial
        self.temporal = temporal
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.temporal(self.spatial(x))
        if self.residual is not None:
            y = y + self.residual(x)
        return torch.relu(y)


def temporal_convolution(channels: int, kernel: int, stride: int, dropout: float) -> nn.Module:
    """Normalise, ReLU, convolve each joint along time, normalise, drop out.

    Raises:
        ConfigError: if the kernel has no middle frame.
    """
    if kernel % 2 == 0:
        raise ConfigError(f"temporal kernel of {kernel} frames; expected an odd number, e.g. {kernel + 1}")
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, (kernel, 1), stride=(stride, 1), padding=(kernel // 2, 0)),
        nn.BatchNorm2d(channels),
        nn.Dropout(dropout),
    )


def residual_path(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """The way around a block: nothing to do, or a 1x1 convolution where the shape changes."""
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=(stride, 1)),
        nn.BatchNorm2d(out_channels),
    )


def adaptation_layer(student_channels: int, teacher_channels: int) -> nn.Conv2d:
    """``r(x; μ) = μ_weight x + μ_bias`` of Eq. 7: the student's features on the teacher's scale.

    A 1x1 convolution, trained with the student and used for distillation only.
    """
    return nn.Conv2d(student_channels, teacher_channels, kernel_size=1)
