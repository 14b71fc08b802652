"""ST-GCN (Yan, Xiong, Lin, AAAI 2018) and the two smaller students of the SKD paper (Table II)."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn

from skdpipe.networks.blocks import BlockShape, build_blocks
from skdpipe.networks.graph import Partitioning, adjacency
from skdpipe.networks.graph_network import GraphNetwork
from skdpipe.networks.layers import (
    Block,
    JointNorm,
    SpatialGraphConvolution,
    temporal_convolution,
)
from skdpipe.skeleton import Layout


def st_gcn(
    layout: Layout,
    classes: int,
    *,
    in_channels: int = 3,
    partitioning: Partitioning = "distance",
    width: int = 64,
    dropout: float = 0.0,
    temporal_kernel: int = 9,
) -> GraphNetwork:
    """ST-GCN: ten blocks.

    Args:
        layout: joints and bones of the input.
        classes: number of actions.
        in_channels: coordinates, and 1 for the confidence; 3 = x, y, confidence.
        partitioning: of neighbours into subsets; ``distance`` gives the paper's parameter counts.
        width: channels of the first four blocks; twice this in the next three, four times in the last three.
        dropout: probability of dropping a value after each temporal convolution except the first block's.
        temporal_kernel: number of frames of a temporal convolution, odd.

    Raises:
        ConfigError: if the temporal kernel is even.
    """
    return _build((), layout, classes, in_channels, partitioning, width, dropout, temporal_kernel)


def st_sgcn(
    layout: Layout,
    classes: int,
    *,
    in_channels: int = 3,
    partitioning: Partitioning = "distance",
    width: int = 64,
    dropout: float = 0.0,
    temporal_kernel: int = 9,
) -> GraphNetwork:
    """ST-sGCN: ST-GCN without blocks 2, 6 and 9; arguments as for :func:`st_gcn`."""
    return _build((2, 6, 9), layout, classes, in_channels, partitioning, width, dropout, temporal_kernel)


def st_2sgcn(
    layout: Layout,
    classes: int,
    *,
    in_channels: int = 3,
    partitioning: Partitioning = "distance",
    width: int = 64,
    dropout: float = 0.0,
    temporal_kernel: int = 9,
) -> GraphNetwork:
    """ST-2sGCN: ST-GCN without blocks 2, 3, 6, 7, 9 and 10; arguments as for :func:`st_gcn`."""
    without = (2, 3, 6, 7, 9, 10)
    return _build(without, layout, classes, in_channels, partitioning, width, dropout, temporal_kernel)


def _build(
    without: Collection[int],
    layout: Layout,
    classes: int,
    in_channels: int,
    partitioning: Partitioning,
    width: int,
    dropout: float,
    temporal_kernel: int,
) -> GraphNetwork:
    graph = torch.from_numpy(adjacency(layout, partitioning))

    def block(shape: BlockShape) -> Block:
        return Block(
            SpatialGraphConvolution(shape.in_channels, shape.out_channels, graph),
            temporal_convolution(shape.out_channels, temporal_kernel, shape.stride, shape.dropout),
            shape.shortcut(),
        )

    return GraphNetwork(
        normalise=JointNorm(in_channels, len(layout)),
        blocks=build_blocks(block, in_channels, width, dropout, without=without),
        classify=nn.Linear(4 * width, classes),
    )
