"""MS-G3D (Liu, Zhang, Chen, Wang, Ouyang, CVPR 2020).

"Disentangling and Unifying Graph Convolutions for Skeleton-Based Action Recognition".
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skdpipe.networks.graph import Array, hop_distances
from skdpipe.networks.graph_network import GraphNetwork
from skdpipe.networks.layers import PlaceNorm, Sum, gather, residual_path
from skdpipe.networks.multi_scale_temporal import MultiScaleTemporalConvolution
from skdpipe.skeleton import Layout


def ms_g3d(
    layout: Layout,
    classes: int,
    *,
    people: int = 2,
    in_channels: int = 3,
    width: int = 96,
    dropout: float = 0.0,
    scales: int = 13,
    window_scales: int = 6,
) -> GraphNetwork:
    """MS-G3D: three stages, each a path through frames beside paths through windows of 3 and 5 frames.

    Args:
        layout: the joints and bones of the input.
        classes: how many actions there are.
        people: places in a clip, each with an input normalisation of its own.
        in_channels: 3 = x, y, confidence.
        width: channels of the first stage; the second has twice as many, the third four times.
        dropout: probability of dropping a value after the temporal convolution that ends a stage (the
            released code drops nothing).
        scales: a joint hears of those at most ``scales - 1`` bones away; 13 in the paper for NTU, 8 for
            Kinetics.
        window_scales: the same within a window; 6 in the paper for NTU, 8 for Kinetics.

    Raises:
        ConfigError: if the width is less than six, the temporal branches.
    """
    graph = torch.from_numpy(disentangled(hop_distances(layout), scales))
    windows = {
        size: torch.from_numpy(disentangled(window_hops(hop_distances(layout), size), window_scales))
        for size in (3, 5)
    }
    stages = []
    channels, heard = in_channels, width
    for out_channels, stride in ((width, 1), (2 * width, 2), (4 * width, 2)):
        around = (
            _through_windows(channels, heard, out_channels, window, size, stride)
            for size, window in windows.items()
        )
        stages += [
            Sum(_through_frames(channels, heard, out_channels, graph, stride), *around),
            nn.ReLU(),
            _temporal(out_channels, out_channels, 1, dropout),
            nn.ReLU(),
        ]
        channels = heard = out_channels
    return GraphNetwork(
        normalise=PlaceNorm(people, in_channels, len(layout)),
        blocks=nn.Sequential(*stages),
        classify=nn.Linear(channels, classes),
    )


def disentangled(hops: Array, scales: int) -> Array:
    """Who is exactly so many bones away, ``(scale, joint, joint)``: scales 0 to ``scales - 1``.

    ``D^-1/2 (A_k + I) D^-1/2`` with ``A_k`` the links between joints exactly k hops apart (Eq. 3, 4); scale 0
    is the joint itself.

    Args:
        hops: between two joints, ``(joint, joint)``; infinite if they do not hang together.
        scales: how many.
    """
    links = np.stack([(hops == scale) | (hops == 0) for scale in range(scales)]).astype(np.float32)
    degree = links.sum(axis=2)
    normalised: Array = links / np.sqrt(degree[:, :, None] * degree[:, None, :])
    return normalised


def window_hops(hops: Array, frames: int) -> Array:
    """How far joints of a window are apart, ``(frame * joint, frame * joint)``.

    In every frame of the window a joint is linked to its neighbours in all of them, and to itself in all
    others (Eq. 5): frames do not count, but that a joint is one hop away from itself at another time.
    """
    tiled = np.tile(hops, (frames, frames))
    return np.where((tiled == 0) & ~np.eye(len(tiled), dtype=np.bool_), np.float32(1), tiled)


class DisentangledGraphConvolution(nn.Module):
    """Each joint gathers from those exactly k hops away, each k through its own weights.

    ``y_w = b + Σ_k W_k Σ_v (A_k[v, w] + M_k[v, w]) x_v``, with adjacency ``A`` and a learned mask ``M``, both
    ``(scale, joint, joint)``. The adjacency follows from the layout and is not stored with the weights.
    """

    adjacency: Tensor

    def __init__(self, in_channels: int, out_channels: int, adjacency: Tensor) -> None:
        super().__init__()
        scales, joints, _ = adjacency.shape
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.mask = nn.Parameter(torch.empty_like(adjacency).uniform_(-1e-6, 1e-6))
        # Steps from scale to scale.
        self.mix = nn.Conv2d(in_channels, out_channels, (scales, 1), dilation=(joints, 1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mix(gather(x, (self.adjacency + self.mask).transpose(1, 2).flatten(0, 1)))
        return y


class Windows(nn.Module):
    """The frames around every ``stride``-th frame side by side, as if their joints were one frame's.

    From ``(row, channel, joint, frame)`` to ``(row, channel, size * joint, frame / stride)``, zeros before
    and after the clip.
    """

    def __init__(self, size: int, stride: int) -> None:
        super().__init__()
        self.size, self.stride = size, stride

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[3]
        padded = F.pad(x, (self.size // 2, self.size // 2))
        return torch.cat([padded[..., i : i + frames : self.stride] for i in range(self.size)], dim=2)


def _through_frames(channels: int, heard: int, out_channels: int, graph: Tensor, stride: int) -> nn.Module:
    return nn.Sequential(
        DisentangledGraphConvolution(channels, heard, graph),
        nn.BatchNorm2d(heard),
        nn.ReLU(),
        _temporal(heard, out_channels, stride),
        nn.ReLU(),
        _temporal(out_channels, out_channels, 1),
    )


def _through_windows(
    channels: int, heard: int, out_channels: int, graph: Tensor, size: int, stride: int
) -> nn.Module:
    joints = graph.shape[1] // size
    return nn.Sequential(
        Windows(size, stride),
        DisentangledGraphConvolution(channels, heard, graph),
        nn.BatchNorm2d(heard),
        nn.ReLU(),
        nn.Conv2d(heard, out_channels, (size, 1), dilation=(joints, 1)),  # a window to one frame
        nn.BatchNorm2d(out_channels),
    )


def _temporal(in_channels: int, out_channels: int, stride: int, dropout: float = 0.0) -> nn.Module:
    convolution = MultiScaleTemporalConvolution(in_channels, out_channels, 3, (1, 2, 3, 4), stride)
    return Sum(
        nn.Sequential(convolution, nn.Dropout(dropout)), residual_path(in_channels, out_channels, stride)
    )
