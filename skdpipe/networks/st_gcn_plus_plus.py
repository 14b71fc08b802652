"""ST-GCN++ (Duan, Wang, Chen, Lin, ACM MM 2022).

"PYSKL: Towards Good Practices for Skeleton Action Recognition".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skdpipe.networks.graph import adjacency
from skdpipe.networks.graph_network import GraphNetwork
from skdpipe.networks.layers import (
    Block,
    JointNorm,
    PointwiseConvolution,
    SpatialGraphConvolution,
    Sum,
    residual_path,
)
from skdpipe.networks.multi_scale_temporal import MultiScaleTemporalConvolution
from skdpipe.skeleton import Layout


def st_gcn_plus_plus(
    layout: Layout,
    classes: int,
    *,
    people: int = 2,
    in_channels: int = 3,
    width: int = 64,
    dropout: float = 0.0,
) -> GraphNetwork:
    """ST-GCN++: ST-GCN's ten blocks with a learned graph, a way around it, and temporal branches.

    Args:
        layout: the joints and bones of the input.
        classes: how many actions there are.
        people: places in a clip; all people are normalised alike, so it changes nothing.
        in_channels: 3 = x, y, confidence.
        width: channels of the first four blocks; the next three have twice as many, the last three four
            times.
        dropout: probability of dropping a value after each block's temporal convolution but the first's.

    Raises:
        ConfigError: if the width is less than six, the temporal branches.
    """
    graph = torch.from_numpy(adjacency(layout, "spatial"))
    blocks = []
    channels = in_channels
    for number, (multiple, stride) in enumerate(_BLOCKS, start=1):
        first = number == 1
        out_channels = multiple * width
        blocks.append(
            Block(
                spatial=_spatial(channels, out_channels, graph),
                temporal=_temporal(out_channels, stride, 0.0 if first else dropout),
                residual=None if first else residual_path(channels, out_channels, stride),
            )
        )
        channels = out_channels
    classify = nn.Linear(channels, classes)
    nn.init.normal_(classify.weight, std=0.01)
    nn.init.zeros_(classify.bias)
    return GraphNetwork(
        normalise=JointNorm(in_channels, len(layout)),
        blocks=nn.Sequential(*blocks),
        classify=classify,
    )


# Channels in multiples of the width, and temporal stride, of blocks 1 to 10.
_BLOCKS = ((1, 1), (1, 1), (1, 1), (1, 1), (2, 2), (2, 1), (2, 1), (4, 2), (4, 1), (4, 1))


def _spatial(channels: int, out_channels: int, graph: Tensor) -> nn.Module:
    return nn.Sequential(
        Sum(
            nn.Sequential(
                learned_graph_convolution(channels, out_channels, graph), nn.BatchNorm2d(out_channels)
            ),
            residual_path(channels, out_channels, 1),
        ),
        nn.ReLU(),
    )


def learned_graph_convolution(in_channels: int, out_channels: int, graph: Tensor) -> SpatialGraphConvolution:
    """A graph convolution in which any joint may hear of any other, as much as is learned.

    Every link is there, and its importance is at first that of the layout's graph.

    Args:
        in_channels, out_channels: of the features.
        graph: ``(subset, joint, joint)``, where learning starts.
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
