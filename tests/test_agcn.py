"""2s-AGCN: the contract, the parameters of the released code, the adaptive adjacency against loops."""

from __future__ import annotations

import math

import pytest
import torch
from network_contract import CHAIN, CHECKS, NTU_25, Check

from skdpipe.networks import agcn, count_parameters
from skdpipe.networks.agcn import AdaptiveGraphConvolution
from skdpipe.networks.graph import adjacency


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_keeps_the_contract(check: Check) -> None:
    check(agcn)


def test_parameters_of_the_released_code() -> None:
    assert count_parameters(agcn(NTU_25, 60)) == 3_469_510


def test_adaptive_graph_convolution_against_loops() -> None:
    torch.manual_seed(0)
    graph = torch.from_numpy(adjacency(CHAIN, "spatial"))
    layer = AdaptiveGraphConvolution(2, 5, graph, embedding=4).double()
    torch.nn.init.normal_(layer.learned)
    rows, frames = 2, 6
    x = torch.randn(rows, 2, 3, frames, dtype=torch.float64)
    theta, phi, mix = (each.weight.flatten(1) for each in (layer.theta, layer.phi, layer.along.mix))
    for bias in (layer.theta.bias, layer.phi.bias, layer.along.mix.bias):
        assert bias is not None
    expected = torch.zeros(rows, 5, 3, frames, dtype=torch.float64)
    for n in range(rows):
        for k in range(3):
            here = slice(4 * k, 4 * (k + 1))
            similarity = torch.zeros(3, 3, dtype=torch.float64)
            for v in range(3):
                for w in range(3):
                    for t in range(frames):
                        one = theta[here] @ x[n, :, v, t] + layer.theta.bias[here]
                        other = phi[here] @ x[n, :, w, t] + layer.phi.bias[here]
                        similarity[v, w] += one @ other / (4 * frames)
            out = slice(5 * k, 5 * (k + 1))
            for w in range(3):
                weights = similarity[:, w].exp() / similarity[:, w].exp().sum()
                for t in range(frames):
                    aggregated = sum(
                        (layer.adjacency[k, v, w] + layer.learned[k, v, w] + weights[v]) * x[n, :, v, t]
                        for v in range(3)
                    )
                    expected[n, :, w, t] += mix[out] @ aggregated + layer.along.mix.bias[out]
    torch.testing.assert_close(layer(x), expected)


def test_initial_weights_are_those_of_the_released_code() -> None:
    torch.manual_seed(0)
    network = agcn(NTU_25, 60)
    block = network.blocks[5]
    convolution, norm = block.spatial[0].paths[0]
    assert (norm.weight == 1e-6).all()
    assert (convolution.learned == 1e-6).all()
    spread = {
        convolution.theta: math.sqrt(2 / 32),  # the convolution of each subset has 128 / 4 output channels
        convolution.phi: math.sqrt(2 / 32),
        convolution.along.mix: math.sqrt(2 / (128 * 128 * 3)),
        block.temporal[0]: math.sqrt(2 / (128 * 9)),
        network.classify: math.sqrt(2 / 60),
    }
    for layer, expected in spread.items():
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)
        if layer is not network.classify:
            assert (layer.bias == 0).all()
