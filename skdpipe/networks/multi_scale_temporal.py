"""The temporal convolution of MS-G3D, CTR-GCN and ST-GCN++: branches that see several scales of time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skdpipe.errors import ConfigError
from skdpipe.networks.layers import PointwiseConvolution


class MultiScaleTemporalConvolution(nn.Module):
    """A convolution of each joint along time in branches of few channels, joined and normalised.

    There is a branch for each dilation, with a convolution over every dilation-th frame, one that takes the
    largest of three frames, and one that looks at each frame alone. All but the last are entered through a
    1x1 convolution, normalisation and ReLU (Liu et al., "Disentangling and Unifying Graph Convolutions for
    Skeleton-Based Action Recognition", CVPR 2020, section 3.4). What they do to each channel by itself, or
    with the same input, is done for all of them at once.

    Args:
        in_channels, out_channels: of all branches together; the first branch gets what does not divide.
        kernel: frames that a convolution sees, an odd number.
        dilations: of the convolutions, how far these frames are apart.
        stride: frames from output to output.

    Raises:
        ConfigError: if there are fewer channels than branches.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, dilations: Sequence[int], stride: int
    ) -> None:
        super().__init__()
        branches = len(dilations) + 2
        if out_channels < branches:
            raise ConfigError(
                f"{out_channels} channels for {branches} temporal branches; expected at least one for each: "
                "use a larger width"
            )
        narrow = out_channels // branches
        entering = out_channels - narrow
        self._widths = [entering - narrow * len(dilations)] + [narrow] * len(dilations)
        self.enter = nn.Sequential(nn.Conv2d(in_channels, entering, 1), nn.BatchNorm2d(entering), nn.ReLU())
        self.scales = nn.ModuleList(
            _dilated_convolution(width, kernel, dilation, stride)
            for width, dilation in zip(self._widths, dilations, strict=False)
        )
        self.largest = nn.MaxPool2d((1, 3), stride=(1, stride), padding=(0, 1))
        self.alone = PointwiseConvolution(in_channels, narrow, stride)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        *parts, last = self.enter(x).split(self._widths, dim=1)
        seen = [scale(part) for scale, part in zip(self.scales, parts, strict=True)]
        y: Tensor = self.norm(torch.cat([*seen, self.largest(last), self.alone(x)], dim=1))
        return y


def _dilated_convolution(channels: int, kernel: int, dilation: int, stride: int) -> nn.Module:
    return nn.Conv2d(
        channels,
        channels,
        (1, kernel),
        stride=(1, stride),
        padding=(0, kernel // 2 * dilation),
        dilation=(1, dilation),
    )
