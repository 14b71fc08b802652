"""Shift-GCN (Cheng, Zhang, He, Chen, Cheng, Lu, CVPR 2020).

"Skeleton-Based Action Recognition with Shift Graph Convolutional Network".

With 60 classes and 25 joints it has 690,291 parameters here and 693,107 in the released code. The temporal
shifts of the released code also shift each channel across joints, by 2,816 parameters that stay zero.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from skdpipe.networks.blocks import BlockShape, build_blocks
from skdpipe.networks.graph_network import GraphNetwork
from skdpipe.networks.layers import (
    Block,
    PersonNorm,
    PointwiseConvolution,
    initialise_convolutions,
    with_shortcut,
)
from skdpipe.skeleton import Layout


def shift_gcn(
    layout: Layout,
    classes: int,
    *,
    people: int = 2,
    in_channels: int = 3,
    width: int = 64,
    dropout: float = 0.0,
) -> GraphNetwork:
    """Shift-GCN: ten blocks of 1x1 convolutions between shifts of channels across joints and along time.

    All pairs of joints are treated alike, so only the layout's number of joints matters.

    Args:
        layout: joints of the input.
        classes: number of actions.
        people: person slots of a clip, each with its own input normalisation.
        in_channels: coordinates, and 1 for the confidence; 3 = x, y, confidence.
        width: channels of the first four blocks; twice this in the next three, four times in the last three.
        dropout: probability of dropping a value after each temporal convolution except the first block's
            (the released code has no dropout).
    """

    def block(shape: BlockShape) -> Block:
        shift = ShiftGraphConvolution(shape.in_channels, shape.out_channels, len(layout))
        return Block(
            with_shortcut(shift, shape.in_channels, shape.out_channels),
            _temporal(shape.out_channels, shape.stride, shape.dropout),
            shape.shortcut(),
        )

    network = GraphNetwork(
        normalise=PersonNorm(people, in_channels, len(layout)),
        blocks=build_blocks(block, in_channels, width, dropout),
        classify=nn.Linear(4 * width, classes),
    )
    initialise_convolutions(network)
    nn.init.normal_(network.classify.weight, std=math.sqrt(2 / classes))
    return network


def _temporal(channels: int, stride: int, dropout: float) -> nn.Module:
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        TemporalShift(channels, 1, 0.0),
        PointwiseConvolution(channels, channels, 1),
        nn.ReLU(),
        TemporalShift(channels, stride, 0.0 if stride == 1 else 0.5),  # midway between skipped frames
        nn.BatchNorm2d(channels),
        nn.Dropout(dropout),
    )


class ShiftGraphConvolution(nn.Module):
    """Non-local shift graph convolution: shift, mix channels, shift back, normalise each joint.

    With V joints, channel c of joint v is taken from joint ``(v + c) mod V`` and scaled by
    ``1 + tanh(mask[v, c])``. After the 1x1 convolution channel c of joint v is taken from joint
    ``(v - c) mod V``.
    """

    forward_shift: Tensor
    backward_shift: Tensor

    def __init__(self, in_channels: int, out_channels: int, joints: int) -> None:
        super().__init__()
        self.mask = nn.Parameter(torch.zeros(joints, in_channels))
        self.mix = nn.Linear(in_channels, out_channels)
        self.norm = nn.BatchNorm1d(joints * out_channels)
        nn.init.normal_(self.mix.weight, std=math.sqrt(1 / out_channels))
        nn.init.zeros_(self.mix.bias)
        self.register_buffer("forward_shift", shifted_joints(joints, in_channels, 1), persistent=False)
        self.register_buffer("backward_shift", shifted_joints(joints, out_channels, -1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        row, channel, joint, frame = x.shape
        flat = x.permute(0, 3, 2, 1).reshape(row * frame, joint * channel)
        shifted = flat.index_select(1, self.forward_shift).view(row * frame, joint, channel)
        mixed = self.mix(shifted * (1 + torch.tanh(self.mask)))
        y: Tensor = self.norm(mixed.flatten(1).index_select(1, self.backward_shift))
        y = y.view(row, frame, joint, self.mix.out_features).permute(0, 3, 2, 1)
        return y.contiguous(memory_format=torch.channels_last)


def shifted_joints(joints: int, channels: int, sign: int) -> Tensor:
    """The source of each channel of each joint, both as positions ``joint * channels + channel``."""
    joint, channel = torch.arange(joints).unsqueeze(1), torch.arange(channels)
    return ((joint + sign * channel) % joints * channels + channel).flatten()


class TemporalShift(nn.Module):
    """Adaptive temporal shift: each channel is shifted by a learned number of frames.

    ``y[c, t] = (1 - d) x[c, s t + f] + d x[c, s t + f + 1]`` with stride s and the shift as ``f + d``, f
    whole and ``0 <= d < 1``; zero before and after the clip. The shift is trained with its gradient; the
    released kernel uses the sign of the gradient only, with a fixed step.

    Args:
        channels: of input and output.
        stride: in frames.
        offset: frames added to every shift.
    """

    def __init__(self, channels: int, stride: int, offset: float) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.empty(channels).uniform_(-1, 1))
        self.stride = stride
        self.offset = offset

    def forward(self, x: Tensor) -> Tensor:
        row, channel, joint, frame = x.shape
        in_order = x.permute(0, 2, 3, 1).reshape(row * joint, frame * channel)
        shift = self.shift + self.offset
        whole = shift.floor()
        part = shift - whole
        start = torch.arange(0, frame, self.stride, device=x.device).unsqueeze(1)
        early = start + whole.long()

        def weighted(at: Tensor, weight: Tensor) -> Tensor:
            """The frames ``at``, ``(frame, channel)``; zero outside the clip."""
            inside = (at >= 0) & (at < frame)
            position = at.clamp(0, frame - 1) * channel + torch.arange(channel, device=x.device)
            values = in_order.index_select(1, position.flatten()).view(row, joint, len(at), channel)
            return values * (weight * inside)

        y = weighted(early, 1 - part) + weighted(early + 1, part)
        return y.permute(0, 3, 1, 2)
