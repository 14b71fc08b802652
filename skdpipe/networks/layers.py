"""Layers of the graph networks; all map ``(row, channel, joint, frame)`` to an array of the same axes.

Memory format is channels last: the channels of one joint at one frame are adjacent, then its frames. Each
convolution, and each aggregation along the graph, is then one matrix product over contiguous memory.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skdpipe.errors import ConfigError
from skdpipe.networks.batch_norm import SynchronisedBatchNorm


class JointNorm(nn.Module):
    """Batch normalisation of the input for each channel of each joint, shared by all people."""

    def __init__(self, channels: int, joints: int) -> None:
        super().__init__()
        self.joints = joints
        self.norm = nn.BatchNorm1d(joints * channels)

    def forward(self, x: Tensor, slot: Tensor) -> Tensor:
        row, channel, joint, frame = x.shape
        y: Tensor = self.norm(x.transpose(1, 2).reshape(row, joint * channel, frame))
        y = y.view(row, joint, channel, frame).transpose(1, 2)
        return y.contiguous(memory_format=torch.channels_last)


class PersonNorm(nn.Module):
    """Batch normalisation of the input for each channel of each joint of each person slot.

    2s-AGCN and its successors use it: each person slot of a clip is scaled by its own statistics, so the
    order of people affects the output. Padded people do not enter the statistics.
    """

    def __init__(self, people: int, channels: int, joints: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(JointNorm(channels, joints) for _ in range(people))

    def forward(self, x: Tensor, slot: Tensor) -> Tensor:
        people = len(self.norms)
        assert (slot < people).all(), f"a person in slot {slot.max() + 1}, but norms for people={people}"
        y = torch.zeros_like(x, memory_format=torch.channels_last)
        for number, norm in enumerate(self.norms):
            here = slot == number
            if here.any() or isinstance(
                norm.norm, SynchronisedBatchNorm
            ):  # another process may have such rows
                y = y.index_put((here,), norm(x[here], slot[here]))
        return y


class InputUnchanged(nn.Module):
    """No normalisation of the input."""

    def forward(self, x: Tensor, slot: Tensor) -> Tensor:
        return x


class SpatialGraphConvolution(nn.Module):
    """Spatial graph convolution with fixed adjacency and learned edge importance.

    ``y_w = Σ_k Σ_v (W_k x_v + b_k) A_k[v, w] M_k[v, w]``, with adjacency ``A`` and learned edge importance
    ``M``, both ``(subset, joint, joint)``. The adjacency follows from the layout and is not stored with the
    weights.

    Aggregation comes before the channel mixing, which is cheaper if the number of channels grows: one matrix
    product with the adjacencies of all subsets, then one convolution with a kernel over the subsets.
    """

    adjacency: Tensor

    def __init__(self, in_channels: int, out_channels: int, adjacency: Tensor) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.importance = nn.Parameter(torch.ones_like(adjacency))
        self.mix = nn.Conv2d(in_channels, out_channels * len(adjacency), kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        weighted = self.adjacency * self.importance
        y = F.conv2d(
            gather(x, weighted.transpose(1, 2).flatten(0, 1)),
            kernel_over_subsets(self.mix, len(weighted)),
            dilation=(x.shape[2], 1),
        )
        assert self.mix.bias is not None
        bias = self.mix.bias.view(len(weighted), -1).t() @ weighted.sum(dim=1)  # (out, joint)
        return y + bias.unsqueeze(2)


class LinkConvolution(nn.Module):
    """Graph convolution along links that are computed for each row.

    ``y_w = Σ_k (W_k Σ_v x_v L_k[v, w] + b_k)`` with links ``L``, ``(row, kind, joint, joint)``.
    """

    def __init__(self, in_channels: int, out_channels: int, kinds: int) -> None:
        super().__init__()
        self.kinds = kinds
        self.mix = nn.Conv2d(in_channels, out_channels * kinds, kernel_size=1)

    def forward(self, x: Tensor, links: Tensor) -> Tensor:
        assert self.mix.bias is not None
        return F.conv2d(
            gather(x, links.transpose(2, 3).flatten(1, 2)),
            kernel_over_subsets(self.mix, self.kinds),
            self.mix.bias.view(self.kinds, -1).sum(dim=0),
            dilation=(x.shape[2], 1),
        )


def kernel_over_subsets(mix: nn.Conv2d, subsets: int) -> Tensor:
    """The weights of a 1x1 convolution to ``subset * out`` channels as ``(out, in, subset, 1)``."""
    weight = mix.weight.view(subsets, -1, mix.in_channels).permute(1, 2, 0).unsqueeze(3)
    return weight.contiguous(memory_format=torch.channels_last)


def gather(x: Tensor, stacked: Tensor) -> Tensor:
    """Weighted sums over source joints, for all target joints of all subsets.

    Args:
        x: ``(row, channel, joint, frame)``.
        stacked: weights ``(subset * joint, joint)``, the target joint first, or one such matrix for each row.

    Returns:
        ``(row, channel, subset * joint, frame)``.
    """
    row, channel, joint, frame = x.shape
    flat = x.permute(0, 2, 3, 1).reshape(row, joint, frame * channel)
    aggregated = torch.bmm(stacked.expand(row, -1, -1), flat)
    return aggregated.view(row, stacked.shape[-2], frame, channel).permute(0, 3, 1, 2)


class Block(nn.Module):
    """A GCN block (Eq. 1): spatial graph convolution, temporal convolution, residual connection, ReLU.

    Further arguments of a call are passed to the spatial convolution.
    """

    def __init__(self, spatial: nn.Module, temporal: nn.Module, residual: nn.Module | None) -> None:
        super().__init__()
        self.spatial = spatial
        self.temporal = temporal
        self.residual = residual

    def forward(self, x: Tensor, *links: Tensor) -> Tensor:
        y: Tensor = self.temporal(self.spatial(x, *links))
        if self.residual is not None:
            y = y + self.residual(x)
        return torch.relu(y)


class Sum(nn.Module):
    """The sum of the outputs of several paths with the same input."""

    def __init__(self, *paths: nn.Module) -> None:
        super().__init__()
        self.paths = nn.ModuleList(paths)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.paths
        y: Tensor = first(x)
        for path in others:
            y = y + path(x)
        return y


def temporal_convolution(channels: int, kernel: int, stride: int, dropout: float) -> nn.Module:
    """Batch norm, ReLU, convolution over frames, batch norm, dropout.

    Raises:
        ConfigError: if the kernel is even.
    """
    if kernel % 2 == 0:
        raise ConfigError(f"temporal kernel of {kernel} frames; expected an odd number, e.g. {kernel + 1}")
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        convolution_over_frames(channels, kernel, stride),
        nn.BatchNorm2d(channels),
        nn.Dropout(dropout),
    )


def convolution_over_frames(channels: int, kernel: int, stride: int, dilation: int = 1) -> nn.Conv2d:
    """A convolution of each joint over frames, with zeros before and after the clip.

    Args:
        channels: of input and output.
        kernel: its number of frames, odd.
        stride, dilation: in frames.
    """
    return nn.Conv2d(
        channels,
        channels,
        (1, kernel),
        stride=(1, stride),
        padding=(0, kernel // 2 * dilation),
        dilation=(1, dilation),
    )


def residual_path(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """The residual connection: the identity, or a normalised 1x1 convolution if the shape changes."""
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    return nn.Sequential(
        PointwiseConvolution(in_channels, out_channels, stride),
        nn.BatchNorm2d(out_channels),
    )


def with_shortcut(path: nn.Module, in_channels: int, out_channels: int) -> nn.Module:
    """``relu(path(x) + x)``, with a 1x1 convolution of ``x`` if the path changes the number of channels."""
    return nn.Sequential(Sum(path, residual_path(in_channels, out_channels, 1)), nn.ReLU())


class PointwiseConvolution(nn.Conv2d):
    """A 1x1 convolution of every ``stride``-th frame.

    Frames are selected before the convolution: with few channels, channels last and several threads the
    gradient of a strided 1x1 convolution writes out of bounds (torch 2.12.1, oneDNN 3.11.2).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1)
        self.step = stride

    def forward(self, x: Tensor) -> Tensor:
        # Contiguous in memory order, and so is the gradient.
        selected = x.permute(0, 2, 3, 1)[:, :, :: self.step].contiguous()
        return super().forward(selected.permute(0, 3, 1, 2))


def initialise_convolutions(network: nn.Module) -> None:
    """Draw the weights of all 2-D convolutions as in 2s-AGCN and its successors.

    Normal, of variance ``2 / (out * taps)`` (He et al., ICCV 2015, mode "fan out"); biases are zero.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def adaptation_layer(student_channels: int, teacher_channels: int) -> nn.Conv2d:
    """``r(x; μ) = μ_weight x + μ_bias`` of Eq. 7: maps the student's features to the teacher's channels.

    A 1x1 convolution, trained with the student and used in distillation only.
    """
    return nn.Conv2d(student_channels, teacher_channels, kernel_size=1)
