"""A trained ST-GCN as it is used: the same answers with fewer and larger operations.

Batch normalisation is folded into the weights beside it, biases into as few places as may be, the residual
into the product that it is added to. On a CPU long clips are convolved along time in the frequency domain
(:mod:`skdpipe.networks.fast_convolution`), and people are looked at few at a time, so that what one
operation leaves is still in cache when the next one wants it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skdpipe.networks.fast_convolution import transforms
from skdpipe.networks.graph_network import GraphNetwork
from skdpipe.networks.layers import Block, JointNorm, SpatialGraphConvolution, gather
from skdpipe.networks.output import Network, NetworkOutput
from skdpipe.networks.people import mean_over_people, scatter_people, with_stand_in

# Outputs of a tile in the frequency domain: 12 to 24 measure alike, and 16 divides well.
_TILE: Final = 16
# Below so many channels the transforms cost more than they save.
_FAST_CHANNELS: Final = 64
# How much longer a clip may become by the gaps between people.
_FAST_WASTE: Final = 1.1
# Values of a feature map that are worked on at once on a CPU: 3 MB, which with all that is made of them
# stays in a cache of 32 MB.
_CACHED: Final = 750_000


def deployed(network: GraphNetwork) -> Network:
    """A trained network as it is used: an ST-GCN folded, any other as it is, in evaluation mode."""
    if isinstance(network.blocks, nn.Sequential) and all(
        isinstance(each, Block) and isinstance(each.spatial, SpatialGraphConvolution)
        for each in network.blocks
    ):
        return FoldedStGcn(network)
    return network.eval()


class FoldedStGcn:
    """An ST-GCN in evaluation, as a function of its weights as they are now; no gradient passes.

    Args:
        network: of the blocks that :func:`skdpipe.networks.st_gcn` and its smaller relatives are made of.
            It stays as it is, and changing or moving it later does not change this.
    """

    def __init__(self, network: GraphNetwork) -> None:
        assert isinstance(network.blocks, nn.Sequential)
        assert isinstance(network.normalise, JointNorm)
        self.feature_channels = network.feature_channels
        with torch.no_grad():
            self._norm = _scale_and_shift(network.normalise.norm)
            self._blocks = [_fold(block) for block in network.blocks]
            self._classify = (network.classify.weight.clone(), network.classify.bias.clone())

    @torch.no_grad()
    def __call__(self, x: Tensor, mask: Tensor) -> NetworkOutput:
        """Names the action of each clip; arguments as for :meth:`GraphNetwork.forward`."""
        x, present = with_stand_in(x, mask)
        rows = self._features(x[present])
        pooled = mean_over_people(rows.mean(dim=(1, 2)), present)
        features = scatter_people(rows[mask[present]], mask).permute(0, 1, 4, 3, 2)
        return NetworkOutput(F.linear(pooled, *self._classify), features)

    def _features(self, rows: Tensor) -> Tensor:
        """``(row, channel, frame, joint)`` to features ``(row, joint, frame, channel)``."""
        _, channel, frames, joint = rows.shape
        scale, shift = (each.view(joint, 1, channel) for each in self._norm)
        rows = torch.addcmul(shift, rows.permute(0, 3, 2, 1), scale)
        length = frames_with_gap(self._blocks, frames)
        # The frequency domain wants single precision.
        fast = length <= _FAST_WASTE * frames and not torch.is_autocast_enabled("cpu")
        if fast:
            rows = F.pad(rows, (0, 0, 0, int(length) - frames))
        at_once = max(1, _CACHED // (joint * rows.shape[2] * self._blocks[0].channels))
        parts = torch.split(rows, at_once) if rows.device.type == "cpu" else (rows,)
        return torch.cat([self._through_blocks(part, frames, fast=fast) for part in parts])

    def _through_blocks(self, x: Tensor, frames: int, *, fast: bool) -> Tensor:
        for block in self._blocks:
            x = fast_block(x, block, frames) if fast else direct_block(x, block)
            frames = math.ceil(frames / block.stride)
        return x[:, :, :frames]


class FastWeights(NamedTuple):
    """A temporal convolution in the frequency domain; with a stride, of that many frames as one.

    Attributes:
        analysis, synthesis: see :class:`skdpipe.networks.fast_convolution.Transforms`.
        weight: ``(product, stride * in, out)``.
        lead: frames before a tile that it sees, a multiple of the stride.
    """

    analysis: Tensor
    weight: Tensor
    synthesis: Tensor
    lead: int


class FoldedBlock(NamedTuple):
    """The weights of a block, normalisation folded in.

    Attributes:
        stacked: how much each joint hears of each, ``(subset * joint, joint)``.
        mix: ``(out, in, subset, 1)``.
        mix_bias: ``(joint, 1, out)``.
        temporal: ``(out, out, 1, tap)``.
        offset: ``(out,)``, bias of the temporal convolution and of the way around.
        stride: of the temporal convolution.
        residual: whether the input is added in the end.
        way_around: 1x1 convolution ``(out, in, 1, 1)``, or None where it is added as it is.
        fast: the temporal convolution in the frequency domain, where that may pay: on a CPU.
    """

    stacked: Tensor
    mix: Tensor
    mix_bias: Tensor
    temporal: Tensor
    offset: Tensor
    stride: int
    residual: bool
    way_around: Tensor | None
    fast: FastWeights | None

    @property
    def channels(self) -> int:
        """How many channels leave the block."""
        return len(self.offset)


def direct_block(x: Tensor, block: FoldedBlock) -> Tensor:
    """A block on ``(row, joint, frame, channel)``, every convolution as such."""
    half, stride = block.temporal.shape[3] // 2, (1, block.stride)
    y = _mixed(x, block).add_(block.mix_bias).relu_()
    y = F.conv2d(y.permute(0, 3, 1, 2), block.temporal, block.offset, stride=stride, padding=(0, half))
    if block.residual:
        y += _around(x, block).permute(0, 3, 1, 2)
    return y.relu_().permute(0, 2, 3, 1)


def fast_block(x: Tensor, block: FoldedBlock, frames: int) -> Tensor:
    """A block on ``(row, joint, frame, channel)``, along time in the frequency domain.

    All joints of all rows lie in one long sequence of frames; those after the first ``frames`` of each are
    the gap that keeps neighbours apart. A strided convolution is one over groups of frames. What leaves the
    gap is garbage, and the last tile before a neighbour sees it, but for rounding, with weight zero.
    """
    fast = block.fast
    assert fast is not None
    row, joint, length, _ = x.shape
    tile, samples = len(fast.synthesis), fast.analysis.shape[1]
    wide = block.stride * block.channels
    tiles = row * joint * length // block.stride // tile

    tail = (samples - tile) * block.stride - fast.lead
    padded = x.new_zeros(fast.lead + row * joint * length + tail, block.channels)
    y = padded[fast.lead : len(padded) - tail].view(row, joint, length, block.channels)
    torch.add(_mixed(x, block), block.mix_bias, out=y).relu_()
    y[:, :, frames:] = 0

    windows = padded.as_strided((tiles, samples, wide), (tile * wide, wide, 1))
    spectrum = torch.bmm(fast.analysis.expand(tiles, -1, -1), windows)
    product = torch.bmm(spectrum.transpose(0, 1), fast.weight)
    product[0] += samples * block.offset
    product = product.transpose(0, 1)
    synthesis = fast.synthesis.expand(tiles, -1, -1)
    if block.residual:
        z = torch.baddbmm(_around(x, block).reshape(tiles, tile, -1), synthesis, product)
    else:
        z = torch.bmm(synthesis, product)
    return z.relu_().view(row, joint, length // block.stride, -1)


def _mixed(x: Tensor, block: FoldedBlock) -> Tensor:
    heard = gather(x.permute(0, 3, 1, 2), block.stacked)
    return F.conv2d(heard, block.mix, dilation=(x.shape[1], 1)).permute(0, 2, 3, 1)


def _around(x: Tensor, block: FoldedBlock) -> Tensor:
    if block.way_around is None:
        return x
    y = F.conv2d(x.permute(0, 3, 1, 2), block.way_around, stride=(1, block.stride))
    return y.permute(0, 2, 3, 1)


def frames_with_gap(blocks: Sequence[FoldedBlock], frames: int) -> float:
    """How long a clip must be made so that every block's convolution has a gap and whole tiles.

    Infinite where a block knows no fast convolution.
    """
    longest, stride = 0, 1
    for block in blocks:
        if block.fast is None:
            return math.inf
        longest = max(longest, stride * (frames + block.fast.lead))
        stride *= block.stride
        frames = math.ceil(frames / block.stride)
    return math.ceil(longest / (stride * _TILE)) * stride * _TILE


def _fold(block: nn.Module) -> FoldedBlock:
    assert isinstance(block, Block)
    assert isinstance(block.spatial, SpatialGraphConvolution)
    assert isinstance(block.temporal, nn.Sequential)
    norm, _, convolution, second_norm, _ = block.temporal
    assert isinstance(convolution, nn.Conv2d)
    scale, shift = _scale_and_shift(norm)
    temporal, offset = _normalised(convolution, second_norm)
    way_around = None
    if isinstance(block.residual, nn.Sequential):
        way_around, more = _normalised(*block.residual)
        offset = offset + more
    stride = convolution.stride[1]
    return FoldedBlock(
        stacked=block.spatial.stacked(),
        mix=_times(block.spatial.kernel(), scale),
        mix_bias=(block.spatial.bias().t() * scale + shift).unsqueeze(1),
        temporal=temporal,
        offset=offset,
        stride=stride,
        residual=block.residual is not None,
        way_around=way_around,
        fast=_in_the_frequency_domain(temporal.squeeze(2), stride),
    )


def _in_the_frequency_domain(weight: Tensor, stride: int) -> FastWeights | None:
    """The weights ``(out, in, tap)`` of a temporal convolution for :func:`fast_block`, where that may pay.

    A convolution of stride s is one over groups of s frames, each group's frames side by side as channels.
    """
    channels, taps = weight.shape[1:]
    if channels < _FAST_CHANNELS or weight.device.type != "cpu":
        return None
    lead = math.ceil(taps // 2 / stride) * stride
    before = lead - taps // 2
    groups = math.ceil((before + taps) / stride)
    weight = F.pad(weight, (before, groups * stride - before - taps))
    grouped = weight.reshape(channels, channels, groups, stride).permute(2, 3, 1, 0).flatten(1, 2)
    analysis, filters, synthesis = transforms(_TILE, groups)
    spectrum = torch.einsum("pg,gio->pio", filters, grouped.double())
    return FastWeights(
        analysis.to(weight.dtype), spectrum.to(weight.dtype).contiguous(), synthesis.to(weight.dtype), lead
    )


def _normalised(convolution: nn.Module, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution together with the normalisation that follows it."""
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    scale, shift = _scale_and_shift(norm)
    return _times(convolution.weight, scale), convolution.bias * scale + shift


def _scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Batch normalisation in evaluation as ``scale x + shift``."""
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale, norm.bias - norm.running_mean * scale


def _times(weight: Tensor, scale: Tensor) -> Tensor:
    """A convolution's weights with its outputs scaled, laid out for channels-last."""
    return (weight * scale[:, None, None, None]).contiguous(memory_format=torch.channels_last)
