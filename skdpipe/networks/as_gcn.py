"""AS-GCN (Li, Chen, Chen, Zhang, Wang, Tian, CVPR 2019).

"Actional-Structural Graph Convolutional Networks for Skeleton-Based Action Recognition".

With 60 classes and 25 joints it has 4,982,742 parameters here and 6,987,478 in the released code: both have
4,797,267 in common; there is a branch there that foretells poses, 2,190,211, while the encoder that infers
links, 185,475, is a network apart there, whose parameters do not count.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from skdpipe.networks.graph import hop_distances
from skdpipe.networks.graph_network import GraphNetwork
from skdpipe.networks.layers import (
    Block,
    JointNorm,
    LinkConvolution,
    SpatialGraphConvolution,
    temporal_convolution,
)
from skdpipe.networks.ten_blocks import BlockShape, ten_blocks
from skdpipe.skeleton import Layout


def as_gcn(
    layout: Layout, classes: int, *, in_channels: int = 3, width: int = 64, dropout: float = 0.0
) -> GraphNetwork:
    """AS-GCN: nine blocks along structural links, joints up to four bones apart, and actional ones.

    Which joints act on which, the actional links, an encoder infers for each person. The paper trains it
    first and by itself, to foretell the next pose; then, fixed, it gives links drawn at random. Here it
    learns from the same losses as the blocks, and links have the weight of their probability, so that the
    answer depends on the input alone. Left out is what only adds losses to the paper's training: the
    decoder that trains the encoder, and a branch that foretells the clip's next poses from the features.

    Args:
        layout: the joints and bones of the input.
        classes: how many actions there are.
        in_channels: 3 = x, y, confidence.
        width: channels of the first three blocks; the next three have twice as many, the last three
            four times.
        dropout: probability of dropping a value after each temporal convolution, and in the encoder.
    """
    kinds = 2
    graph = torch.from_numpy(structural_links(layout, reach=4))

    def block(shape: BlockShape) -> Block:
        spatial = ActionalStructuralConvolution(
            SpatialGraphConvolution(shape.in_channels, shape.out_channels, graph),
            LinkConvolution(shape.in_channels, shape.out_channels, kinds),
            weight=0.05,  # released as two factors, 0.1 and λ = 0.5
        )
        temporal = temporal_convolution(shape.out_channels, 9, shape.stride, dropout)
        return Block(spatial, temporal, shape.way_around())

    blocks = ten_blocks(block, in_channels, width, dropout, without=(4,))
    infer = LinkInference(in_channels, len(layout), kinds, frames=50, hidden=2 * width, dropout=dropout)
    return GraphNetwork(
        normalise=JointNorm(in_channels, len(layout)),
        blocks=LinkedBlocks(infer, blocks),
        classify=nn.Linear(4 * width, classes),
    )


def structural_links(layout: Layout, reach: int) -> NDArray[np.float32]:
    """The normalised links of joints up to ``reach`` bones apart, ``(1 + 2 * reach, joint, joint)``.

    The first subset is the joint itself; then for each distance come the neighbours no nearer to the root
    than the joint, and those nearer. Over all subsets together a joint's links sum to one.
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
    """Blocks that are all given the links inferred from what enters the first."""

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
    """The encoder of the actional link inference module: which joints act on which in a clip.

    Joints and ordered pairs of joints tell each other twice what they are: a pair hears of its two joints, a
    joint of the pairs in which it listens (after Kipf et al., "Neural Relational Inference for Interacting
    Systems", ICML 2018). In the end every pair has a probability for each kind of link, and for none.

    Args:
        channels, joints: of the input.
        kinds: of links.
        frames: how many frames, evenly spaced, are looked at.
        hidden: channels within.
        dropout: probability of dropping a value within.
    """

    listener: Tensor
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
        listener, source = others.nonzero(as_tuple=True)
        self.register_buffer("listener", listener, persistent=False)
        self.register_buffer("source", source, persistent=False)
        # For each listener and source the number of the pair, from one; zero where they are the same.
        position = others.flatten().cumsum(dim=0).where(others.flatten(), 0)
        self.register_buffer("position", position, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The links of rows ``(row, channel, joint, frame)``: ``(row, kind, joint, joint)``.

        Each joint is linked to itself besides, with weight one; then what a joint hears is scaled to sum to
        one.
        """
        row, _, joint, _ = x.shape
        pairs = self._infer(x)
        shares = self.judge(pairs).softmax(dim=2)[:, :, 1:]
        itself = torch.ones_like(shares[:, :1])
        links = torch.cat([itself, shares], dim=1).index_select(1, self.position)
        links = links.view(row, joint, joint, -1).permute(0, 3, 2, 1)
        return links / links.sum(dim=2, keepdim=True)

    def _infer(self, x: Tensor) -> Tensor:
        """What is known of each pair, ``(row, pair, hidden)``."""
        row, _, joint, frame = x.shape
        looked_at = torch.arange(self.frames, device=x.device) * frame // self.frames
        joints = self.joints_alone(x.permute(0, 2, 3, 1).index_select(2, looked_at).flatten(2))
        pairs: Tensor = self.pairs_alone(self._pairs_of(joints))
        heard = pairs.view(row, joint, joint - 1, -1).mean(dim=2)
        joints = self.joints_among_others(heard)
        known: Tensor = self.pairs_among_others(torch.cat([self._pairs_of(joints), pairs], dim=2))
        return known

    def _pairs_of(self, joints: Tensor) -> Tensor:
        return torch.cat([joints.index_select(1, self.listener), joints.index_select(1, self.source)], dim=2)


class Perceptron(nn.Module):
    """Two linear layers with ELU and normalisation of each channel, on ``(row, thing, channel)``."""

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
        return y.view(x.shape[0], x.shape[1], -1)
