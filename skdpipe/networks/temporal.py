"""The temporal convolution of a block."""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skdpipe.networks.fast_convolution import transforms

# Outputs of a tile in the frequency domain: with more of them less is held and moved, and 40 leave little
# over of a clip of 300 frames, or of its half or quarter (measured, forward and backward: 16 to 50).
_TILE: Final = 40
# With fewer channels the transforms cost more than they save (measured on a CPU, forward and backward).
_CHANNELS: Final = 64
# How much longer a clip may become by the gaps between joints.
_WASTE: Final = 1.25


class TemporalConvolution(nn.Conv2d):
    """A convolution of each joint along time, as many channels out as in, zeros before and after the clip.

    While it trains wide layers on long clips on a CPU it works in the frequency domain
    (:mod:`skdpipe.networks.fast_convolution`); in evaluation :class:`skdpipe.networks.FoldedStGcn` does.

    Args:
        channels: in and out.
        kernel: frames that an output sees, an odd number.
        stride: frames from output to output.
    """

    analysis: Tensor
    filters: Tensor
    synthesis: Tensor

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(channels, channels, (1, kernel), stride=(1, stride), padding=(0, kernel // 2))
        self._step, self._taps = stride, kernel
        self._lead = math.ceil(kernel // 2 / stride) * stride  # whole steps
        self._groups = math.ceil((self._lead - kernel // 2 + kernel) / stride)
        matrices = transforms(_TILE, self._groups)
        for name, matrix in zip(matrices._fields, matrices, strict=True):
            self.register_buffer(name, matrix.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self._by_frequencies(x) if self._pays(x) else super().forward(x)

    def _pays(self, x: Tensor) -> bool:
        long = self._length(x.shape[3]) <= _WASTE * x.shape[3]
        wide = self.in_channels >= _CHANNELS
        on_cpu = x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
        return self.training and long and wide and on_cpu

    def _length(self, frames: int) -> int:
        """A clip with the gap that keeps joints apart, in whole tiles."""
        return math.ceil((frames + self._lead) / (_TILE * self._step)) * _TILE * self._step

    def _by_frequencies(self, x: Tensor) -> Tensor:
        """All joints of all rows in one sequence; a strided convolution is one over groups of frames."""
        row, channel, joint, frame = x.shape
        length = self._length(frame)
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, self._lead, length - frame - self._lead))
        tiles = padded.reshape(-1, _TILE, self._step * channel)
        following = F.pad(tiles[1:, : self._groups - 1], (0, 0, 0, 0, 0, 1))
        windows = torch.cat([tiles, following], dim=1)
        spectrum = torch.bmm(self.analysis.expand(len(tiles), -1, -1), windows).transpose(0, 1)
        products = torch.bmm(spectrum, self._spectral_weight()).transpose(0, 1)
        assert self.bias is not None
        y = torch.baddbmm(self.bias, self.synthesis.expand(len(tiles), -1, -1), products)
        y = y.view(row, joint, length // self._step, -1)[:, :, : math.ceil(frame / self._step)]
        return y.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    def _spectral_weight(self) -> Tensor:
        """The taps as the products want them, ``(product, step * in, out)``."""
        early = self._lead - self._taps // 2
        late = self._groups * self._step - early - self._taps
        grouped = F.pad(self.weight.squeeze(2), (early, late))
        grouped = grouped.view(self.out_channels, self.in_channels, self._groups, self._step)
        flat = grouped.permute(2, 3, 1, 0).reshape(self._groups, -1)
        return torch.mm(self.filters, flat).view(len(self.filters), -1, self.out_channels)
