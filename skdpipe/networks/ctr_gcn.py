"""CTR-GCN (Chen, Zhang, Yuan, Li, Deng, Hu, ICCV 2021).

"Channel-wise Topology Refinement Graph Convolution for Skeleton-Based Action Recognition".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from skdpipe.networks.blocks import BlockShape, build_blocks
from skdpipe.networks.graph import adjacency
from skdpipe.networks.graph_network import GraphNetwork
from skdpipe.networks.layers import Block, PersonNorm, with_shortcut
from skdpipe.networks.multi_scale_temporal import MultiScaleTemporalConvolution
from skdpipe.skeleton import Layout


def ctr_gcn(
    layout: Layout,
    classes: int,
    *,
    people: int = 2,
    in_channels: int = 3,
    width: int = 64,
    dropout: float = 0.0,
) -> GraphNetwork:
    """CTR-GCN: ten blocks with a graph for each channel, refined by the input.

    Args:
        layout: joints and bones of the input.
        classes: number of actions.
        people: person slots of a clip, each with its own input normalisation.
        in_channels: coordinates, and 1 for the confidence; 3 = x, y, confidence.
        width: channels of the first four blocks; twice this in the next three, four times in the last three.
        dropout: probability of dropping a value after each temporal convolution except the first block's
            (the released code drops pooled features instead, by default none).

    Raises:
        ConfigError: if the width is less than four, the number of temporal branches.
    """
    graph = torch.from_numpy(adjacency(layout, "spatial"))

    def block(shape: BlockShape) -> Block:
        relations = 8 if shape.number == 1 else max(1, shape.in_channels // 8)
        out_channels = shape.out_channels
        return Block(
            _spatial(shape.in_channels, out_channels, graph, relations),
            nn.Sequential(
                MultiScaleTemporalConvolution(out_channels, out_channels, 5, (1, 2), shape.stride),
                nn.Dropout(shape.dropout),
            ),
            shape.shortcut(),
        )

    blocks = build_blocks(block, in_channels, width, dropout)
    classify = nn.Linear(4 * width, classes)
    nn.init.normal_(classify.weight, std=math.sqrt(2 / classes))
    return GraphNetwork(
        normalise=PersonNorm(people, in_channels, len(layout)),
        blocks=blocks,
        classify=classify,
    )


def _spatial(channels: int, out_channels: int, graph: Tensor, relations: int) -> nn.Module:
    norm = nn.BatchNorm2d(out_channels)
    nn.init.constant_(norm.weight, 1e-6)  # at the start of training the shortcut dominates
    convolution = RefinedGraphConvolution(channels, out_channels, graph, relations)
    return with_shortcut(nn.Sequential(convolution, norm), channels, out_channels)


class RefinedGraphConvolution(nn.Module):
    """Graph convolution over all pairs of joints, with a graph for each channel, refined by the input.

    ``y_w = Σ_k Σ_v (A_k[v, w] + α R_k[v, w]) ⊙ (W_k x_v + b_k)`` with the refinement, one number for each
    channel, ``R_k[v, w] = T_k tanh(P_k x̄_w - Q_k x̄_v)`` (section 3.2), where ``x̄`` is the mean over frames
    and ``P``, ``Q`` and ``T`` also have biases. ``A``, ``(subset, joint, joint)``, is learned, initialised
    with the layout's graph; α is learned, initialised with zero.

    The stored weights of ``P`` are named ``listener``, after the target joint w; those of ``Q`` ``source``.

    Args:
        in_channels, out_channels: of the features.
        adjacency: ``(subset, joint, joint)``, the initial ``A``.
        relations: channels of ``P x̄`` and ``Q x̄``, in each subset.
    """

    def __init__(self, in_channels: int, out_channels: int, adjacency: Tensor, relations: int) -> None:
        super().__init__()
        subsets = len(adjacency)
        self.adjacency = nn.Parameter(adjacency.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.listener = nn.Conv2d(in_channels, subsets * relations, 1)
        self.source = nn.Conv2d(in_channels, subsets * relations, 1)
        self.refinement = nn.Conv2d(subsets * relations, subsets * out_channels, 1, groups=subsets)
        self.mix = nn.Conv2d(in_channels, subsets * out_channels, 1)
        for convolution in (self.listener, self.source, self.refinement, self.mix):
            for weight in convolution.weight.detach().chunk(subsets):
                nn.init.kaiming_normal_(weight, mode="fan_out")
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)

    def forward(self, x: Tensor) -> Tensor:
        row, _, joint, frame = x.shape
        subsets = len(self.adjacency)
        channels = self.mix.out_channels // subsets
        mixed = self.mix(x).view(row, subsets, channels, joint, frame).transpose(1, 2)
        topology = self.topology(x).transpose(1, 2)
        # The sum over subsets and over joints is one.
        y: Tensor = topology.flatten(2, 3).transpose(2, 3) @ mixed.flatten(2, 3)
        return y.contiguous(memory_format=torch.channels_last)

    def topology(self, x: Tensor) -> Tensor:
        """The weight of source joint v for target joint w, ``(row, subset, channel, v, w)``."""
        row, _, joint, _ = x.shape
        mean = x.mean(dim=3, keepdim=True)
        differences = torch.tanh(self.listener(mean).transpose(2, 3) - self.source(mean))
        subsets, channels = len(self.adjacency), self.refinement.out_channels // len(self.adjacency)
        refined: Tensor = self.refinement(differences).view(row, subsets, channels, joint, joint)
        return self.adjacency.unsqueeze(1) + self.alpha * refined
