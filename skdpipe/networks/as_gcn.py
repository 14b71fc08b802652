"""AS-GCN (Li, Chen, Chen, Zhang, Wang, Tian, CVPR 2019).

"Actional-Structural Graph Convolutional Networks for Skeleton-Based Action Recognition".

With 60 classes and 25 joints it has 4,982,742 parameters here and 6,987,478 in the released code; 4,797,267
are common to both. The released code also has a branch that predicts poses, 2,190,211, and counts the encoder
that infers links, 185,475, as a separate network.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from skdpipe.networks.blocks import BlockShape, build_blocks
from skdpipe.networks.graph import hop_distances
from skdpipe.networks.graph_network import GraphNetwork
from skdpipe.networks.layers import (
    Block,
    JointNorm,
    LinkConvolution,
    SpatialGraphConvolution,
    temporal_convolution,
)
from skdpipe.skeleton import Layout


def as_gcn(
    layout: Layout, classes: int, *, in_channels: int = 3, width: int = 64, dropout: float = 0.0
) -> GraphNetwork:
    """AS-GCN: nine blocks with structural links between joints up to four bones apart, and actional links.

    An encoder infers the actional links of each person. The paper first trains it alone, to predict the next
    pose, then freezes it and samples links from its output. Here the encoder is trained with the blocks, and
    links are weighted by their probability, so the output is deterministic. The parts that only add losses to
    the paper's training are left out: the decoder that trains the encoder, and the branch that predicts the
    clip's next poses from the features.

    Args:
        layout: joints and bones of the input.
        classes: number of actions.
        in_channels: coordinates, and 1 for the confidence; 3 = x, y, confidence.
        width: channels of the first three blocks; twice this in the next three, four times in the last three.
        dropout: probability of dropping a value after each temporal convolution, and in the encoder.
    """
    kinds = 2
    graph = torch.from_numpy(structural_links(layout, reach=4))

    def block(shape: BlockShape) -> Block:
        spatial = ActionalStructuralConvolution(
            SpatialGraphConvolution(shape.in_channels, shape.out_channels, graph),
            LinkConvolution(shape.in_channels, shape.out_channels, kinds),
            weight=0.05,  # two factors in the released code, 0.1 and λ = 0.5
        )
        temporal = temporal_convolution(shape.out_channels, 9, shape.stride, dropout)
        return Block(spatial, temporal, shape.shortcut())

    blocks = build_blocks(block, in_channels, width, dropout, without=(4,))
    infer = LinkInference(in_channels, len(layout), kinds, frames=50, hidden=2 * width, dropout=dropout)
    return GraphNetwork(
        normalise=JointNorm(in_channels, len(layout)),
        blocks=LinkedBlocks(infer, blocks),
        classify=nn.Linear(4 * width, classes),
    )


def structural_links(layout: Layout, reach: int) -> NDArray[np.float32]:
    """The normalised links of joints up to ``reach`` bones apart, ``(1 + 2 * reach, joint, joint)``.

    The first subset is the joint itself. Two subsets follow for each distance: the neighbours not nearer to
    the root than the joint, and the nearer ones. The links of a target joint sum to one over all subsets.
    """
    hops = hop_distances(layout)
    to_root = hops[layout.index(layout.root)]
    nearer = to_root[:, None] < to_root[None, :]
    kinds = [hops == 0]
    for distance in range(1, reach + 1):
        kinds += [(hops == distance) & ~nearer, (hops == distance) & nearer]
    links = np.stack(kinds).astype(np.float32)
    degree: NDArray[np.float32] = links.sum(axis=(0, 1))
    return links / degree


class LinkedBlocks(nn.Module):
    """Blocks that all use the links inferred from the input of the first."""

    def __init__(self, infer: LinkInference, blocks: nn.Sequential) -> None:
        super().__init__()
        self.infer = infer
        self.blocks = blocks

    def forward(self, x: Tensor) -> Tensor:
        links = self.infer(x)
        for block in self.blocks:
            x = block(x, links)
        return x


class ActionalStructuralConvolution(nn.Module):
    """``structural(x) + λ actional(x, links)``, the paper's actional-structural graph convolution."""

    def __init__(self, structural: SpatialGraphConvolution, actional: LinkConvolution, weight: float) -> None:
        super().__init__()
        self.structural = structural
        self.actional = actional
        self.weight = weight

    def forward(self, x: Tensor, links: Tensor) -> Tensor:
        y: Tensor = self.structural(x) + self.weight * self.actional(x, links)
        return y


class LinkInference(nn.Module):
    """The encoder of the actional link inference module: links between joints, inferred for each row.

    Two rounds of message passing between joints and ordered pairs (target, source): a pair aggregates its two
    joints, a joint the pairs of which it is the target (after Kipf et al., "Neural Relational Inference for
    Interacting Systems", ICML 2018). The output is a probability of each kind of link, and of no link, for
    every pair.

    Args:
        channels, joints: of the input.
        kinds: number of kinds of links.
        frames: number of evenly spaced frames that are used.
        hidden: channels of the hidden layers.
        dropout: probability of dropping a value in the hidden layers.
    """

    target: Tensor
    source: Tensor
    position: Tensor

    def __init__(
        self, channels: int, joints: int, kinds: int, *, frames: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.frames = frames
        self.joints_alone = Perceptron(frames * channels, hidden, dropout)
        self.pairs_alone = Perceptron(2 * hidden, hidden, dropout)
        self.joints_among_others = Perceptron(hidden, hidden, dropout)
        self.pairs_among_others = Perceptron(3 * hidden, hidden, dropout)
        self.judge = nn.Linear(hidden, 1 + kinds)
        others = ~torch.eye(joints, dtype=torch.bool)
        target, source = others.nonzero(as_tuple=True)
        self.register_buffer("target", target, persistent=False)
        self.register_buffer("source", source, persistent=False)
        # The number of each pair, from one; zero if target and source are the same joint.
        position = others.flatten().cumsum(dim=0).where(others.flatten(), 0)
        self.register_buffer("position", position, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The links of rows ``(row, channel, joint, frame)``: ``(row, kind, joint, joint)``.

        Each joint is also linked to itself, with weight one; the links of each target joint are then scaled
        to sum to one.
        """
        row, _, joint, _ = x.shape
        pairs = self._embed_pairs(x)
        shares = self.judge(pairs).softmax(dim=2)[:, :, 1:]
        itself = torch.ones_like(shares[:, :1])
        links = torch.cat([itself, shares], dim=1).index_select(1, self.position)
        links = links.view(row, joint, joint, links.shape[2]).permute(0, 3, 2, 1)
        return links / links.sum(dim=2, keepdim=True)

    def _embed_pairs(self, x: Tensor) -> Tensor:
        """The embedding of each pair, ``(row, pair, hidden)``."""
        row, _, joint, frame = x.shape
        selected = torch.arange(self.frames, device=x.device) * frame // self.frames
        joints = self.joints_alone(x.permute(0, 2, 3, 1).index_select(2, selected).flatten(2))
        pairs: Tensor = self.pairs_alone(self._pairs_of(joints))
        joints = self.joints_among_others(pairs.view(row, joint, joint - 1, pairs.shape[2]).mean(dim=2))
        embedded: Tensor = self.pairs_among_others(torch.cat([self._pairs_of(joints), pairs], dim=2))
        return embedded

    def _pairs_of(self, joints: Tensor) -> Tensor:
        return torch.cat([joints.index_select(1, self.target), joints.index_select(1, self.source)], dim=2)


class Perceptron(nn.Module):
    """Two linear layers with ELU, then batch norm, on ``(row, joint or pair, channel)``."""

    def __init__(self, in_channels: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(in_channels, channels),
            nn.ELU(),
            nn.Dropout(dropout),
            nn.Linear(channels, channels),
            nn.ELU(),
            nn.BatchNorm1d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x.flatten(0, 1))
        return y.view(x.shape[0], x.shape[1], y.shape[1])
