"""DD-Net: a small network on joint distances and motion, for few clips.

Yang, Wu, Sakti, Nakamura, "Make Skeleton-based Action Recognition Model Smaller, Faster and Better", ACM
Multimedia Asia 2019. It has no graph: its convolutions run along time, over all joints at once, so its
feature map has one joint.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skdpipe.networks.graph_network import GraphNetwork
from skdpipe.networks.layers import InputUnchanged
from skdpipe.skeleton import Layout

_SLOPE: Final = 0.2  # of the leaky ReLU
_SMALL: Final = 1e-5  # keeps the gradient of a square root finite
_SEEN: Final = 1e-6  # confidence above which a joint is seen


def dd_net(
    layout: Layout, classes: int, *, in_channels: int = 3, width: int = 16, dropout: float = 0.0
) -> GraphNetwork:
    """DD-Net for skeletons in two or three dimensions.

    It differs from the publication after the convolutions: mean and standard deviation over time instead of
    the maximum, and one linear classifier instead of three layers. The joints' positions are a fourth
    input beside distances and motions: they are relative to the centre of all people of the clip, so they
    contain the distance between two people. Positions, distances and motions of unseen joints are 0.
    With the 15 joints and 21 classes of JHMDB it has 115,269 parameters, and 1,726,677 at width 64.

    Args:
        layout: joints of the input.
        classes: number of actions.
        in_channels: two or three coordinates and the confidence.
        width: filters of the first convolutions, 16 or 64 in the publication; eight times this in the last,
            and twice as many features.
        dropout: probability of dropping a channel for the whole clip; 0.1 in the publication.
    """
    return GraphNetwork(
        normalise=InputUnchanged(),
        blocks=_Blocks(len(layout), in_channels - 1, width, dropout),
        classify=nn.Linear(16 * width, classes),
    )


class _Blocks(nn.Module):
    """From joints ``(row, channel, joint, frame)`` to features ``(row, 16 * width, 1, frame / 8)``."""

    def __init__(self, joints: int, coordinates: int, width: int, dropout: float) -> None:
        super().__init__()
        pairs = torch.triu_indices(joints, joints, offset=min(1, joints - 1))  # a single joint with itself
        self.distances = _embedding(pairs.shape[1], width, dropout)
        self.positions = _embedding(coordinates * joints, width, dropout)
        self.slow_motion = _embedding(coordinates * joints, width, dropout)
        self.fast_motion = _embedding(coordinates * joints, width, dropout)
        self.halve = _Halve()
        self.mix = nn.Sequential(
            *_two_convolutions(4 * width, 2 * width, dropout),
            _Halve(),
            *_two_convolutions(2 * width, 4 * width, dropout),
            _Halve(),
            *_two_convolutions(4 * width, 8 * width, dropout),
        )
        self.register_buffer("pairs", pairs, persistent=False)

    pairs: Tensor

    def forward(self, x: Tensor) -> Tensor:
        place, seen = x[:, :-1], (x[:, -1:] > _SEEN).to(x.dtype)
        place = place * seen
        streams = (
            self.halve(self.distances(_distances(place, seen, self.pairs))),
            self.halve(self.positions(_joints_as_channels(place))),
            self.halve(self.slow_motion(_joints_as_channels(_motion(place, seen, 1)))),
            self.fast_motion(_joints_as_channels(_motion(place, seen, 2)[..., ::2])),
        )
        mixed: Tensor = self.mix(torch.cat(streams, dim=1))
        return torch.cat([mixed, _spread(mixed)], dim=1)


def _spread(x: Tensor) -> Tensor:
    """The standard deviation over frames, repeated in each frame."""
    deviation = x - x.mean(dim=3, keepdim=True)
    return (deviation.square().mean(dim=3, keepdim=True) + _SMALL).sqrt().expand_as(x)


def _distances(place: Tensor, seen: Tensor, pairs: Tensor) -> Tensor:
    """Distances of all pairs of joints, ``(row, pair, 1, frame)``."""
    first, second = (place[:, :, pair] for pair in pairs)
    squares = (first - second).square().sum(dim=1, keepdim=True)
    both = seen[:, :, pairs[0]] * seen[:, :, pairs[1]]
    # The square root has no gradient at 0, which the input does not need.
    return (squares.sqrt() * both).transpose(1, 2)


def _motion(place: Tensor, seen: Tensor, frames: int) -> Tensor:
    """The change of each joint over a number of frames, the same shape; 0 at the end and if it is unseen."""
    if place.shape[3] <= frames:
        return torch.zeros_like(place)
    both = seen[..., frames:] * seen[..., :-frames]
    return F.pad((place[..., frames:] - place[..., :-frames]) * both, (0, frames))


def _joints_as_channels(x: Tensor) -> Tensor:
    """From ``(row, channel, joint, frame)`` to ``(row, channel * joint, 1, frame)``."""
    return x.flatten(1, 2).unsqueeze(2)


def _embedding(in_channels: int, width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        *_convolution(in_channels, width, 1),
        nn.Dropout2d(dropout),
        *_convolution(width, width, 3),
        nn.Dropout2d(dropout),
        *_convolution(width, width, 1),
        nn.Dropout2d(dropout),
    )


def _two_convolutions(in_channels: int, out_channels: int, dropout: float) -> tuple[nn.Module, ...]:
    return (
        *_convolution(in_channels, out_channels, 3),
        *_convolution(out_channels, out_channels, 3),
        nn.Dropout2d(dropout),
    )


def _convolution(in_channels: int, out_channels: int, frames: int) -> tuple[nn.Module, ...]:
    """A convolution along time, batch norm and leaky ReLU."""
    return (
        nn.Conv2d(in_channels, out_channels, (1, frames), padding=(0, frames // 2), bias=False),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(_SLOPE),
    )


class _Halve(nn.MaxPool2d):
    """Half the frames, rounded up: the maximum of two neighbours."""

    def __init__(self) -> None:
        super().__init__((1, 2), ceil_mode=True)
