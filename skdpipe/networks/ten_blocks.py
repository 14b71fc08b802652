"""The ten blocks of ST-GCN, that most networks after it have too, each with blocks of another kind."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from torch import nn

from skdpipe.networks.layers import Block, residual_path

# Channels in multiples of the width, and temporal stride, of blocks 1 to 10.
_BLOCKS = ((1, 1), (1, 1), (1, 1), (1, 1), (2, 2), (2, 1), (2, 1), (4, 2), (4, 1), (4, 1))


@dataclass(frozen=True)
class BlockShape:
    """What distinguishes one of the blocks from the others.

    Attributes:
        number: from 1.
        in_channels, out_channels: of the features.
        stride: frames from output to output.
        dropout: probability of dropping a value, zero in the first block.
    """

    number: int
    in_channels: int
    out_channels: int
    stride: int
    dropout: float

    def way_around(self) -> nn.Module | None:
        """The residual path; the first block has none."""
        return None if self.number == 1 else residual_path(self.in_channels, self.out_channels, self.stride)


def ten_blocks(
    build: Callable[[BlockShape], Block],
    in_channels: int,
    width: int,
    dropout: float,
    *,
    without: Collection[int] = (),
) -> nn.Sequential:
    """The blocks one after another, with four times the width as channels in the end.

    They have their numbers for names, so that equal blocks of networks with more and with fewer have equal
    names.

    Args:
        build: makes a block of a shape.
        in_channels: of the first block's input.
        width: channels of blocks 1 to 4; blocks 5 to 7 have twice as many, 8 to 10 four times.
        dropout: of all blocks but the first.
        without: numbers of blocks left out, none of which may change the shape.
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
