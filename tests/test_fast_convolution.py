"""The fast convolution against the plain one, the price it promises, and what rounding does to it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from skdpipe.networks.fast_convolution import transforms


def convolved(x: Tensor, weight: Tensor, outputs: int, bias: Tensor | None = None) -> Tensor:
    """One tile ``(in, sample)`` under ``(out, in, tap)``, by the definition: ``(out, output)``."""
    analysis, filters, synthesis = (each.to(x.dtype) for each in transforms(outputs, weight.shape[2]))
    products = torch.einsum("ocp,cp->op", weight @ filters.t(), x @ analysis.t())
    if bias is not None:
        products[:, 0] += x.shape[1] * bias
    return products @ synthesis.t()


def tile_and_taps(outputs: int, taps: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, outputs + taps - 1, dtype=torch.float64, generator=generator)
    return x, torch.randn(2, 3, taps, dtype=torch.float64, generator=generator)


sizes = {"outputs": st.integers(1, 24), "taps": st.integers(1, 12), "seed": st.integers(0, 99)}


@given(**sizes)
def test_it_is_a_convolution(outputs: int, taps: int, seed: int) -> None:
    x, weight = tile_and_taps(outputs, taps, seed)
    torch.testing.assert_close(convolved(x, weight, outputs), F.conv1d(x[None], weight)[0])


@given(**sizes)
def test_a_bias_may_be_added_to_the_first_product(outputs: int, taps: int, seed: int) -> None:
    x, weight = tile_and_taps(outputs, taps, seed)
    bias = weight[:, 0, 0] + 1
    torch.testing.assert_close(convolved(x, weight, outputs, bias), F.conv1d(x[None], weight, bias)[0])


@given(outputs=sizes["outputs"], taps=sizes["taps"])
def test_shapes_and_the_number_of_products(outputs: int, taps: int) -> None:
    """One for frequency zero, one for the highest where samples are even, three for each other frequency."""
    samples = outputs + taps - 1
    products = (3 * samples - 2) // 2 if samples % 2 == 0 else (3 * samples - 1) // 2
    analysis, filters, synthesis = transforms(outputs, taps)
    assert analysis.shape == (products, samples)
    assert filters.shape == (products, taps)
    assert synthesis.shape == (outputs, products)
    assert {each.dtype for each in (analysis, filters, synthesis)} == {torch.float64}


@pytest.mark.parametrize(
    ("outputs", "taps", "products"),
    [(1, 1, 1), (1, 2, 2), (2, 2, 4), (2, 3, 5), (16, 5, 29), (16, 9, 35), (12, 9, 29), (24, 9, 47)],
)
def test_products_by_hand(outputs: int, taps: int, products: int) -> None:
    assert len(transforms(outputs, taps).analysis) == products


@pytest.mark.parametrize("taps", [3, 5, 9])
def test_single_precision_loses_nothing(taps: int) -> None:
    """Compared with double precision, no worse than a few times the error of the plain convolution."""
    x, weight = torch.randn(64, 15 + taps).double(), torch.randn(8, 64, taps).double()
    exact = F.conv1d(x[None], weight)[0]
    fast = (convolved(x.float(), weight.float(), 16) - exact).square().mean().sqrt()
    plain = (F.conv1d(x[None].float(), weight.float())[0] - exact).square().mean().sqrt()
    assert fast < 10 * plain
    assert fast < 1e-6 * exact.square().mean().sqrt()
