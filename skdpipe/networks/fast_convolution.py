"""Convolution along time with fewer multiplications.

A convolution of r taps that gives m outputs costs m·r multiplications for each pair of channels. In the
frequency domain it costs one complex product for each frequency of L = m + r - 1 samples, and a complex
product costs three real ones (Gauss): about 1.5 L, which for r = 9 and m = 16 is 35 instead of 144. The
transforms are small matrices of cosines and sines, so well-conditioned that single precision loses
nothing. All in all ``y = synthesis ((filters w) ⊙ (analysis x))``, the form of Winograd's algorithms
(Lavin, Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Transforms(NamedTuple):
    """The three matrices of a fast convolution, double precision.

    Attributes:
        analysis: ``(product, sample)``, of a tile of the input.
        filters: ``(product, tap)``, of the taps.
        synthesis: ``(output, product)``, of the products.
    """

    analysis: Tensor
    filters: Tensor
    synthesis: Tensor


def transforms(outputs: int, taps: int) -> Transforms:
    """The matrices of a convolution of so many taps, in tiles of so many outputs.

    As everywhere in networks, a correlation: ``y_i = Σ_j w_j x_{i+j}``. The first product belongs to
    frequency zero: its synthesis is ``1 / samples`` for each output, so a bias times ``samples`` may be
    added there, at next to no cost.
    """
    samples = outputs + taps - 1
    time = torch.arange(samples, dtype=torch.float64)
    analysis, filters, synthesis = [], [], []
    for frequency in range(samples // 2 + 1):
        angle = 2 * math.pi * frequency * time / samples
        cos, sin = angle.cos(), -angle.sin()
        if 2 * frequency in (0, samples):  # a real number
            analysis.append(cos)
            filters.append(cos)
            synthesis.append(cos / samples)
        else:  # (a + ib)(u - iv), the taps conjugate: Gauss' products (a + b)u, a(-v - u), b(u - v)
            analysis += [cos + sin, cos, sin]
            filters += [cos, -sin - cos, cos - sin]
            synthesis += [2 * (cos + sin) / samples, 2 * sin / samples, -2 * cos / samples]
    return Transforms(
        torch.stack(analysis), torch.stack(filters)[:, :taps], torch.stack(synthesis, dim=1)[:outputs]
    )
