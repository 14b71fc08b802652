"""The ten blocks of ST-GCN; most later networks use the same sequence with blocks of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from torch import nn

from skdpipe.networks.layers import Block, residual_path

# Channels in multiples of the width, and temporal stride, of blocks 1 to 10.
_BLOCKS = ((1, 1), (1, 1), (1, 1), (1, 1), (2, 2), (2, 1), (2, 1), (4, 2), (4, 1), (4, 1))


@dataclass(frozen=True)
class BlockShape:
    """The settings that differ between blocks.

    Attributes:
        number: from 1.
        in_channels, out_channels: of the features.
        stride: of the temporal convolution, in frames.
        dropout: probability of dropping a value, zero in the first block.
    """

    number: int
    in_channels: int
    out_channels: int
    stride: int
    dropout: float

    def shortcut(self) -> nn.Module | None:
        """The residual connection; None in the first block."""
        return None if self.number == 1 else residual_path(self.in_channels, self.out_channels, self.stride)


def build_blocks(
    build: Callable[[BlockShape], Block],
    in_channels: int,
    width: int,
    dropout: float,
    *,
    without: Collection[int] = (),
) -> nn.Sequential:
    """The ten blocks in sequence; the last has ``4 * width`` channels.

    Each block is named by its number, so equal blocks of networks of different depth have equal names.

    Args:
        build: makes a block of a shape.
        in_channels: of the first block's input.
        width: channels of blocks 1 to 4; blocks 5 to 7 have ``2 * width``, blocks 8 to 10 ``4 * width``.
        dropout: of all blocks except the first.
        without: numbers of blocks to leave out; none of them may change the shape.
    """
    blocks = nn.Sequential()
    channels = in_channels
    for number, (multiple, stride) in enumerate(_BLOCKS, start=1):
        if number in without:
            assert (channels, 1) == (multiple * width, stride), f"block {number} changes the shape"
            continue
        shape = BlockShape(number, channels, multiple * width, stride, 0.0 if number == 1 else dropout)
        blocks.add_module(str(number), build(shape))
        channels = shape.out_channels
    return blocks
