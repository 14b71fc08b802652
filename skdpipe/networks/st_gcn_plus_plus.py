"""ST-GCN++ (Duan, Wang, Chen, Lin, ACM MM 2022).

"PYSKL: Towards Good Practices for Skeleton Action Recognition".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skdpipe.networks.blocks import BlockShape, build_blocks
from skdpipe.networks.graph import adjacency
from skdpipe.networks.graph_network import GraphNetwork
from skdpipe.networks.layers import (
    Block,
    JointNorm,
    PointwiseConvolution,
    SpatialGraphConvolution,
    with_shortcut,
)
from skdpipe.networks.multi_scale_temporal import MultiScaleTemporalConvolution
from skdpipe.skeleton import Layout


def st_gcn_plus_plus(
    layout: Layout,
    classes: int,
    *,
    in_channels: int = 3,
    width: int = 64,
    dropout: float = 0.0,
) -> GraphNetwork:
    """ST-GCN++: ST-GCN's ten blocks with a learned graph, a shortcut around it, and temporal branches.

    Args:
        layout: joints and bones of the input.
        classes: number of actions.
        in_channels: coordinates, and 1 for the confidence; 3 = x, y, confidence.
        width: channels of the first four blocks; twice this in the next three, four times in the last three.
        dropout: probability of dropping a value after each temporal convolution except the first block's.

    Raises:
        ConfigError: if the width is less than six, the number of temporal branches.
    """
    graph = torch.from_numpy(adjacency(layout, "spatial"))

    def block(shape: BlockShape) -> Block:
        return Block(
            _spatial(shape.in_channels, shape.out_channels, graph),
            _temporal(shape.out_channels, shape.stride, shape.dropout),
            shape.shortcut(),
        )

    blocks = build_blocks(block, in_channels, width, dropout)
    classify = nn.Linear(4 * width, classes)
    nn.init.normal_(classify.weight, std=0.01)
    nn.init.zeros_(classify.bias)
    return GraphNetwork(
        normalise=JointNorm(in_channels, len(layout)),
        blocks=blocks,
        classify=classify,
    )


def _spatial(channels: int, out_channels: int, graph: Tensor) -> nn.Module:
    convolution = learned_graph_convolution(channels, out_channels, graph)
    return with_shortcut(nn.Sequential(convolution, nn.BatchNorm2d(out_channels)), channels, out_channels)


def learned_graph_convolution(in_channels: int, out_channels: int, graph: Tensor) -> SpatialGraphConvolution:
    """A graph convolution with learned links between all joints.

    The links are initialised with the layout's graph.

    Args:
        in_channels, out_channels: of the features.
        graph: ``(subset, joint, joint)``, the initial links.
    """
    convolution = SpatialGraphConvolution(in_channels, out_channels, torch.ones_like(graph))
    convolution.importance.detach().copy_(graph)
    return convolution


def _temporal(channels: int, stride: int, dropout: float) -> nn.Module:
    return nn.Sequential(
        MultiScaleTemporalConvolution(channels, channels, 3, (1, 2, 3, 4), stride),
        nn.ReLU(),
        PointwiseConvolution(channels, channels, 1),
        nn.BatchNorm2d(channels),
        nn.Dropout(dropout),
    )
