"""The multi-scale temporal convolution of MS-G3D, CTR-GCN and ST-GCN++."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skdpipe.errors import ConfigError
from skdpipe.networks.layers import PointwiseConvolution, convolution_over_frames


class MultiScaleTemporalConvolution(nn.Module):
    """Convolution of each joint over frames in several branches, concatenated and normalised.

    There is one branch with a dilated convolution for each dilation, one with max pooling over three frames,
    and one with a 1x1 convolution. All except the last begin with a 1x1 convolution, batch norm and ReLU (Liu
    et al., "Disentangling and Unifying Graph Convolutions for Skeleton-Based Action Recognition", CVPR 2020,
    section 3.4). The 1x1 convolutions of all branches are computed together, and so are the norms.

    Args:
        in_channels, out_channels: of all branches together; the first branch gets the remainder of the
            division.
        kernel: number of frames of a convolution, odd.
        dilations: of the convolutions, in frames.
        stride: in frames.

    Raises:
        ConfigError: if there are fewer output channels than branches.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, dilations: Sequence[int], stride: int
    ) -> None:
        super().__init__()
        branches = len(dilations) + 2
        if out_channels < branches:
            raise ConfigError(
                f"{out_channels} channels for {branches} temporal branches; expected at least one for each "
                "branch: use a larger width"
            )
        narrow = out_channels // branches
        entering = out_channels - narrow
        self.widths = [entering - narrow * len(dilations)] + [narrow] * len(dilations)
        self.enter = nn.Sequential(nn.Conv2d(in_channels, entering, 1), nn.BatchNorm2d(entering), nn.ReLU())
        self.scales = nn.ModuleList(
            convolution_over_frames(width, kernel, stride, dilation)
            for width, dilation in zip(self.widths, dilations, strict=False)
        )
        self.max_pool = nn.MaxPool2d((1, 3), stride=(1, stride), padding=(0, 1))
        self.alone = PointwiseConvolution(in_channels, narrow, stride)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        *parts, last = self.enter(x).split(self.widths, dim=1)
        dilated = [scale(part) for scale, part in zip(self.scales, parts, strict=True)]
        y: Tensor = self.norm(torch.cat([*dilated, self.max_pool(last), self.alone(x)], dim=1))
        return y
