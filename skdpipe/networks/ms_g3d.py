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
from skdpipe.networks.layers import PersonNorm, Sum, gather, residual_path
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
    """MS-G3D: three stages, each with a path over frames and paths over windows of 3 and 5 frames.

    Args:
        layout: joints and bones of the input.
        classes: number of actions.
        people: person slots of a clip, each with its own input normalisation.
        in_channels: coordinates, and 1 for the confidence; 3 = x, y, confidence.
        width: channels of the first stage; the second has twice as many, the third four times.
        dropout: probability of dropping a value after the last temporal convolution of a stage (the
            released code has no dropout).
        scales: joints at most ``scales - 1`` bones apart are linked; 13 in the paper for NTU, 8 for Kinetics.
        window_scales: the same within a window; 6 in the paper for NTU, 8 for Kinetics.

    Raises:
        ConfigError: if the width is less than six, the number of temporal branches.
    """
    graph = torch.from_numpy(disentangled(hop_distances(layout), scales))
    windows = {
        size: torch.from_numpy(disentangled(window_hops(hop_distances(layout), size), window_scales))
        for size in (3, 5)
    }
    stages = []
    channels, hidden = in_channels, width
    for out_channels, stride in ((width, 1), (2 * width, 2), (4 * width, 2)):
        over_windows = (
            _over_windows(channels, hidden, out_channels, window, size, stride)
            for size, window in windows.items()
        )
        stages += [
            Sum(_over_frames(channels, hidden, out_channels, graph, stride), *over_windows),
            nn.ReLU(),
            _temporal(out_channels, out_channels, 1, dropout),
            nn.ReLU(),
        ]
        channels = hidden = out_channels
    return GraphNetwork(
        normalise=PersonNorm(people, in_channels, len(layout)),
        blocks=nn.Sequential(*stages),
        classify=nn.Linear(channels, classes),
    )


def disentangled(hops: Array, scales: int) -> Array:
    """The links between joints exactly k bones apart, ``(scale, joint, joint)``, k from 0 to ``scales - 1``.

    ``D^-1/2 (A_k + I) D^-1/2`` with ``A_k`` the links between joints exactly k hops apart (Eq. 3, 4); scale 0
    is the joint itself.

    Args:
        hops: between two joints, ``(joint, joint)``; infinite if they are not connected.
        scales: their number.
    """
    links = np.stack([(hops == scale) | (hops == 0) for scale in range(scales)]).astype(np.float32)
    degree = links.sum(axis=2)
    normalised: Array = links / np.sqrt(degree[:, :, None] * degree[:, None, :])
    return normalised


def window_hops(hops: Array, frames: int) -> Array:
    """The hop distances within a window, ``(frame * joint, frame * joint)``.

    In every frame of the window a joint is linked to its neighbours in all frames, and to itself in all other
    frames (Eq. 5): distances do not depend on the frames, except that a joint is one hop from itself in
    another frame.
    """
    tiled = np.tile(hops, (frames, frames))
    return np.where((tiled == 0) & ~np.eye(len(tiled), dtype=np.bool_), np.float32(1), tiled)


class DisentangledGraphConvolution(nn.Module):
    """Graph convolution along links between joints exactly k hops apart, with its own weights for each k.

    ``y_w = b + Σ_k W_k Σ_v (A_k[v, w] + M_k[v, w]) x_v``, with adjacency ``A`` and a learned mask ``M``, both
    ``(scale, joint, joint)``. The adjacency follows from the layout and is not stored with the weights.
    """

    adjacency: Tensor

    def __init__(self, in_channels: int, out_channels: int, adjacency: Tensor) -> None:
        super().__init__()
        scales, joints, _ = adjacency.shape
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.mask = nn.Parameter(torch.empty_like(adjacency).uniform_(-1e-6, 1e-6))
        # The kernel runs over the scales, which are stacked on the joint axis.
        self.mix = nn.Conv2d(in_channels, out_channels, (scales, 1), dilation=(joints, 1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mix(gather(x, (self.adjacency + self.mask).transpose(1, 2).flatten(0, 1)))
        return y


class Windows(nn.Module):
    """The frames around every ``stride``-th frame, stacked on the joint axis.

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


def _over_frames(channels: int, hidden: int, out_channels: int, graph: Tensor, stride: int) -> nn.Module:
    return nn.Sequential(
        DisentangledGraphConvolution(channels, hidden, graph),
        nn.BatchNorm2d(hidden),
        nn.ReLU(),
        _temporal(hidden, out_channels, stride),
        nn.ReLU(),
        _temporal(out_channels, out_channels, 1),
    )


def _over_windows(
    channels: int, hidden: int, out_channels: int, graph: Tensor, size: int, stride: int
) -> nn.Module:
    joints = graph.shape[1] // size
    return nn.Sequential(
        Windows(size, stride),
        DisentangledGraphConvolution(channels, hidden, graph),
        nn.BatchNorm2d(hidden),
        nn.ReLU(),
        nn.Conv2d(hidden, out_channels, (size, 1), dilation=(joints, 1)),  # from a window to one frame
        nn.BatchNorm2d(out_channels),
    )


def _temporal(in_channels: int, out_channels: int, stride: int, dropout: float = 0.0) -> nn.Module:
    convolution = MultiScaleTemporalConvolution(in_channels, out_channels, 3, (1, 2, 3, 4), stride)
    return Sum(
        nn.Sequential(convolution, nn.Dropout(dropout)), residual_path(in_channels, out_channels, stride)
    )
