"""The parts ST-GCN is put together from; all map ``(row, channel, joint, frame)`` to the like.

In memory channels come last: a joint's channels at a frame lie together, and so do its frames. Then each
convolution is one matrix product over whole cache lines, on CPU and GPU, and so is the way along the graph.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skdpipe.errors import ConfigError
from skdpipe.networks.temporal import TemporalConvolution


class JointNorm(nn.Module):
    """Batch normalisation of the input, each channel of each joint for itself, all people alike."""

    def __init__(self, channels: int, joints: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(joints * channels)

    def forward(self, x: Tensor, place: Tensor) -> Tensor:
        row, channel, joint, frame = x.shape
        y: Tensor = self.norm(x.transpose(1, 2).reshape(row, joint * channel, frame))
        y = y.view(row, joint, channel, frame).transpose(1, 2)
        return y.contiguous(memory_format=torch.channels_last)


class PlaceNorm(nn.Module):
    """Batch normalisation of the input, each channel of each joint of each place in the clip for itself.

    2s-AGCN and its successors have it: the first person of a clip is not scaled like the second, so that
    exchanging people changes the answer. The statistics of a place are those of the people who fill it.
    """

    def __init__(self, people: int, channels: int, joints: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(JointNorm(channels, joints) for _ in range(people))

    def forward(self, x: Tensor, place: Tensor) -> Tensor:
        people = len(self.norms)
        assert (place < people).all(), f"a person in place {place.max() + 1}, but norms for people={people}"
        y = torch.zeros_like(x, memory_format=torch.channels_last)
        for number, norm in enumerate(self.norms):
            here = place == number
            if here.any():
                y = y.index_put((here,), norm(x[here], place[here]))
        return y


class SpatialGraphConvolution(nn.Module):
    """Each joint gathers from its neighbours, each kind of neighbour through its own weights.

    ``y_w = Σ_k Σ_v (W_k x_v + b_k) A_k[v, w] M_k[v, w]``, with adjacency ``A`` and learned edge
    importance ``M``, both ``(subset, joint, joint)``. The adjacency follows from the layout and is
    not stored with the weights.

    Joints gather first and are mixed afterwards, which costs less where channels grow: one product with
    the adjacencies of all subsets, then one convolution whose kernel steps from subset to subset.
    """

    adjacency: Tensor

    def __init__(self, in_channels: int, out_channels: int, adjacency: Tensor) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.importance = nn.Parameter(torch.ones_like(adjacency))
        self.mix = nn.Conv2d(in_channels, out_channels * len(adjacency), kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(
            gather(x, self.stacked()), self.kernel(), dilation=(x.shape[2], 1)
        ) + self.bias().unsqueeze(2)

    def stacked(self) -> Tensor:
        """How much each joint hears of each, subset under subset: ``(subset * joint, joint)``."""
        return (self.adjacency * self.importance).transpose(1, 2).flatten(0, 1)

    def kernel(self) -> Tensor:
        """The weights as a convolution over subsets, ``(out, in, subset, 1)``."""
        return kernel_over_subsets(self.mix, len(self.adjacency))

    def bias(self) -> Tensor:
        """What a joint hears of its neighbours' biases, ``(out, joint)``."""
        assert self.mix.bias is not None
        heard = (self.adjacency * self.importance).sum(dim=1)
        return self.mix.bias.view(len(heard), -1).t() @ heard


class LinkConvolution(nn.Module):
    """Each joint gathers along links that each row brings itself, each kind of link through its own weights.

    ``y_w = Σ_k (W_k Σ_v x_v L_k[v, w] + b_k)`` with links ``L``, ``(row, kind, joint, joint)``.
    """

    def __init__(self, in_channels: int, out_channels: int, kinds: int) -> None:
        super().__init__()
        self.kinds = kinds
        self.mix = nn.Conv2d(in_channels, out_channels * kinds, kernel_size=1)

    def forward(self, x: Tensor, links: Tensor) -> Tensor:
        assert self.mix.bias is not None
        return F.conv2d(
            gather(x, links.transpose(2, 3).flatten(1, 2)),
            kernel_over_subsets(self.mix, self.kinds),
            self.mix.bias.view(self.kinds, -1).sum(dim=0),
            dilation=(x.shape[2], 1),
        )


def kernel_over_subsets(mix: nn.Conv2d, subsets: int) -> Tensor:
    """The weights of a 1x1 convolution to ``subset * out`` channels as ``(out, in, subset, 1)``."""
    weight = mix.weight.view(subsets, -1, mix.in_channels).permute(1, 2, 0).unsqueeze(3)
    return weight.contiguous(memory_format=torch.channels_last)


def gather(x: Tensor, stacked: Tensor) -> Tensor:
    """What each joint hears of the others, subset under subset.

    From ``(row, channel, joint, frame)`` to ``(row, channel, subset * joint, frame)``; ``stacked`` is
    ``(subset * joint, joint)``, or the like for each row.
    """
    row, channel, joint, frame = x.shape
    flat = x.permute(0, 2, 3, 1).reshape(row, joint, frame * channel)
    heard = torch.bmm(stacked.expand(row, -1, -1), flat)
    return heard.view(row, -1, frame, channel).permute(0, 3, 1, 2)


class Block(nn.Module):
    """A GCN block (Eq. 1): spatial graph convolution, temporal convolution, residual, ReLU.

    What is given besides ``x`` goes to the spatial convolution.
    """

    def __init__(self, spatial: nn.Module, temporal: nn.Module, residual: nn.Module | None) -> None:
        super().__init__()
        self.spatial = spatial
        self.temporal = temporal
        self.residual = residual

    def forward(self, x: Tensor, *links: Tensor) -> Tensor:
        y: Tensor = self.temporal(self.spatial(x, *links))
        if self.residual is not None:
            y = y + self.residual(x)
        return torch.relu(y)


class Sum(nn.Module):
    """What several paths make of the same input, added up."""

    def __init__(self, *paths: nn.Module) -> None:
        super().__init__()
        self.paths = nn.ModuleList(paths)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.paths
        y: Tensor = first(x)
        for path in others:
            y = y + path(x)
        return y


def temporal_convolution(channels: int, kernel: int, stride: int, dropout: float) -> nn.Module:
    """Normalise, ReLU, convolve each joint along time, normalise, drop out.

    Raises:
        ConfigError: if the kernel has no middle frame.
    """
    if kernel % 2 == 0:
        raise ConfigError(f"temporal kernel of {kernel} frames; expected an odd number, e.g. {kernel + 1}")
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        TemporalConvolution(channels, kernel, stride),
        nn.BatchNorm2d(channels),
        nn.Dropout(dropout),
    )


def residual_path(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """The way around a block: nothing to do, or a 1x1 convolution where the shape changes."""
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    return nn.Sequential(
        PointwiseConvolution(in_channels, out_channels, stride),
        nn.BatchNorm2d(out_channels),
    )


def with_way_around(path: nn.Module, in_channels: int, out_channels: int) -> nn.Module:
    """``relu(path(x) + x)``, or what a 1x1 convolution makes of ``x`` where the path changes the channels."""
    return nn.Sequential(Sum(path, residual_path(in_channels, out_channels, 1)), nn.ReLU())


class PointwiseConvolution(nn.Conv2d):
    """A 1x1 convolution of every ``stride``-th frame.

    The frames are chosen first: with few channels, channels last and several threads the gradient of a
    strided 1x1 convolution writes beyond its memory (torch 2.12.1, oneDNN 3.11.2).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1)
        self.step = stride

    def forward(self, x: Tensor) -> Tensor:
        chosen = x.permute(0, 2, 3, 1)[
            :, :, :: self.step
        ].contiguous()  # in memory order, and so its gradient
        return super().forward(chosen.permute(0, 3, 1, 2))


def initialise_convolutions(network: nn.Module) -> None:
    """Draw the weights of all 2-D convolutions as 2s-AGCN and its successors do.

    Normal, of variance ``2 / (out * taps)`` (He et al., ICCV 2015, by what goes out); biases are zero.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def adaptation_layer(student_channels: int, teacher_channels: int) -> nn.Conv2d:
    """``r(x; μ) = μ_weight x + μ_bias`` of Eq. 7: the student's features on the teacher's scale.

    A 1x1 convolution, trained with the student and used for distillation only.
    """
    return nn.Conv2d(student_channels, teacher_channels, kernel_size=1)
