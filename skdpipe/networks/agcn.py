"""2s-AGCN, one of its two streams (Shi, Zhang, Cheng, Lu, CVPR 2019).

"Two-Stream Adaptive Graph Convolutional Networks for Skeleton-Based Action Recognition". The
input of a stream is joints or bones; the paper adds the scores of both streams.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from skdpipe.networks.blocks import BlockShape, build_blocks
from skdpipe.networks.graph import adjacency
from skdpipe.networks.graph_network import GraphNetwork
from skdpipe.networks.layers import (
    Block,
    LinkConvolution,
    PersonNorm,
    convolution_over_frames,
    initialise_convolutions,
    with_shortcut,
)
from skdpipe.skeleton import Layout


def agcn(
    layout: Layout,
    classes: int,
    *,
    people: int = 2,
    in_channels: int = 3,
    width: int = 64,
    dropout: float = 0.0,
) -> GraphNetwork:
    """One stream of 2s-AGCN: ten blocks with links that are partly computed from each clip.

    Args:
        layout: joints and bones of the input.
        classes: number of actions.
        people: person slots of a clip, each with its own input normalisation.
        in_channels: coordinates, and 1 for the confidence; 3 = x, y, confidence.
        width: channels of the first four blocks; twice this in the next three, four times in the last three.
        dropout: probability of dropping a value after each temporal convolution except the first block's
            (the released code has no dropout).
    """
    graph = torch.from_numpy(adjacency(layout, "spatial"))

    def block(shape: BlockShape) -> Block:
        temporal = nn.Sequential(
            convolution_over_frames(shape.out_channels, 9, shape.stride),
            nn.BatchNorm2d(shape.out_channels),
            nn.Dropout(shape.dropout),
        )
        return Block(_spatial(shape.in_channels, shape.out_channels, graph), temporal, shape.shortcut())

    network = GraphNetwork(
        normalise=PersonNorm(people, in_channels, len(layout)),
        blocks=build_blocks(block, in_channels, width, dropout),
        classify=nn.Linear(4 * width, classes),
    )
    _initialise(network)
    return network


def _spatial(in_channels: int, out_channels: int, graph: Tensor) -> nn.Module:
    norm = nn.BatchNorm2d(out_channels)
    nn.init.constant_(norm.weight, 1e-6)  # at the start of training the shortcut dominates
    convolution = AdaptiveGraphConvolution(in_channels, out_channels, graph, max(1, out_channels // 4))
    return with_shortcut(nn.Sequential(convolution, norm), in_channels, out_channels)


class AdaptiveGraphConvolution(nn.Module):
    """Graph convolution along the layout's links, learned links, and links computed from each row.

    ``y_w = Σ_k (W_k Σ_v x_v (A_k + B_k + C_k)[v, w] + b_k)`` (Eq. 3) with the adjacency ``A``, learned links
    ``B``, the same for all clips, and ``C`` from the similarity of two joints, embedded in E channels at each
    of T frames: ``C_k[v, w] = softmax_v (Σ_t <θ_k x_vt, φ_k x_wt> / (E T))``, where ``θ`` and ``φ`` also have
    biases. The adjacency follows from the layout and is not stored with the weights.

    Args:
        in_channels, out_channels: of the features.
        adjacency: ``(subset, joint, joint)``.
        embedding: channels E of the embeddings, in each subset.
    """

    adjacency: Tensor

    def __init__(self, in_channels: int, out_channels: int, adjacency: Tensor, embedding: int) -> None:
        super().__init__()
        subsets = len(adjacency)
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.learned = nn.Parameter(torch.full_like(adjacency, 1e-6))
        self.theta = nn.Conv2d(in_channels, subsets * embedding, kernel_size=1)
        self.phi = nn.Conv2d(in_channels, subsets * embedding, kernel_size=1)
        self.along = LinkConvolution(in_channels, out_channels, subsets)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.along(x, self.adjacency + self.learned + self.similarity(x))
        return y

    def similarity(self, x: Tensor) -> Tensor:
        """The links ``C`` of each row, ``(row, subset, joint, joint)``."""
        theta, phi = self._by_joint(self.theta(x)), self._by_joint(self.phi(x))
        products = torch.bmm(theta, phi.transpose(1, 2)) / theta.shape[2]
        return products.softmax(dim=1).view(x.shape[0], len(self.adjacency), x.shape[2], x.shape[2])

    def _by_joint(self, embedded: Tensor) -> Tensor:
        """``(row, subset * channel, joint, frame)`` to ``(row * subset, joint, frame * channel)``."""
        row, channel, joint, frame = embedded.shape
        subsets, size = len(self.adjacency), channel // len(self.adjacency)
        split = embedded.permute(0, 2, 3, 1).reshape(row, joint, frame, subsets, size)
        return split.permute(0, 3, 1, 2, 4).reshape(row * subsets, joint, frame * size)


def _initialise(network: GraphNetwork) -> None:
    """Draw weights as in the released code, where each subset has its own convolutions."""
    initialise_convolutions(network)
    for module in network.modules():
        if isinstance(module, AdaptiveGraphConvolution):
            subsets = len(module.adjacency)
            for embedding in (module.theta, module.phi):
                nn.init.normal_(embedding.weight, std=math.sqrt(2 * subsets / embedding.out_channels))
            nn.init.normal_(module.along.mix.weight, std=math.sqrt(2 / module.along.mix.weight.numel()))
    nn.init.normal_(network.classify.weight, std=math.sqrt(2 / network.classify.out_features))
