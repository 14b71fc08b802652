"""ST-GCN++: its learned graph against loops, initial weights, parameters layer by layer."""

from __future__ import annotations

import itertools

import pytest
import torch
from network_contract import CHAIN, CHECKS, NTU_25, Check
from torch import Tensor, nn

from skdpipe.errors import ConfigError
from skdpipe.networks import count_parameters, st_gcn_plus_plus
from skdpipe.networks.graph import adjacency
from skdpipe.networks.layers import SpatialGraphConvolution
from skdpipe.networks.st_gcn_plus_plus import learned_graph_convolution
from skdpipe.skeleton import PENN_13

GRAPH = torch.from_numpy(adjacency(CHAIN, "spatial"))


def rows(frames: int = 6, channels: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, channels, 3, frames, generator=generator, dtype=torch.float64)


def by_loops(graph: Tensor, layer: SpatialGraphConvolution, x: Tensor) -> Tensor:
    """Mix for each kind of neighbour, then aggregate along the graph."""
    assert layer.mix.bias is not None
    out_channels = len(layer.mix.bias) // len(graph)
    expected = torch.zeros(len(x), out_channels, 3, x.shape[3], dtype=x.dtype)
    for k, v, w in itertools.product(range(3), range(3), range(3)):
        subset = slice(k * out_channels, (k + 1) * out_channels)
        mixed = torch.einsum("oc,nct->not", layer.mix.weight[subset, :, 0, 0], x[:, :, v])
        expected[:, :, w] += graph[k, v, w] * (mixed + layer.mix.bias[subset, None])
    return expected


class TestLearnedGraph:
    def test_the_initial_graph_is_the_layouts(self) -> None:
        layer = learned_graph_convolution(2, 4, GRAPH).double()
        torch.testing.assert_close(layer(rows()), by_loops(GRAPH.double(), layer, rows()))

    def test_learned_against_loops(self) -> None:
        torch.manual_seed(0)
        layer = learned_graph_convolution(2, 4, GRAPH).double()
        learned = torch.randn(3, 3, 3, dtype=torch.float64)
        layer.importance.detach().copy_(learned)
        torch.testing.assert_close(layer(rows()), by_loops(learned, layer, rows()))

    def test_links_that_are_not_in_the_layout_are_learned(self) -> None:
        torch.manual_seed(0)
        layer = learned_graph_convolution(2, 4, GRAPH).double()
        layer(rows()).square().sum().backward()
        assert layer.importance.grad is not None
        assert (GRAPH == 0).any()
        assert (layer.importance.grad != 0).all()

    def test_every_block_has_its_own_graph(self) -> None:
        network = st_gcn_plus_plus(CHAIN, 2, width=6)
        graphs = [p for name, p in network.named_parameters() if name.endswith("importance")]
        assert len({graph.data_ptr() for graph in graphs}) == 10
        for graph in graphs:
            torch.testing.assert_close(graph.detach(), GRAPH, rtol=0, atol=0)


def parameters_layer_by_layer(joints: int, classes: int) -> int:
    """As released: ``unit_gcn`` with a learned graph and a shortcut, ``mstcn``, ``unit_tcn``."""
    total, channels = 2 * 3 * joints, 3  # input normalisation of every channel of every joint
    for out, stride in [(64, 1)] * 4 + [(128, 2)] + [(128, 1)] * 2 + [(256, 2)] + [(256, 1)] * 2:
        shortcut = channels * out + out + 2 * out  # a 1x1 convolution, normalised
        total += 3 * joints**2  # the graph
        total += channels * 3 * out + 3 * out + 2 * out  # three subsets, normalised
        total += shortcut if channels != out else 0  # shortcut of the graph convolution
        narrow = out // 6
        first = out - 5 * narrow
        for width, taps in ((first, 3), (narrow, 3), (narrow, 3), (narrow, 3), (narrow, 0)):
            total += out * width + width + 2 * width  # 1x1 convolution, normalised
            total += taps * width**2 + width if taps else 0  # then along time, or max pooling
        total += out * narrow + narrow  # the 1x1 branch
        total += 2 * out + out * out + out + 2 * out  # joined: normalised, 1x1 convolution, normalised
        total += shortcut if channels not in (3, out) or stride > 1 else 0  # of each block except the first
        channels = out
    return total + channels * classes + classes


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_keeps_the_contract(check: Check) -> None:
    check(st_gcn_plus_plus)


class TestNetwork:
    def test_parameters_of_the_released_code(self) -> None:
        assert parameters_layer_by_layer(25, 60) == 1_403_144
        assert count_parameters(st_gcn_plus_plus(NTU_25, 60)) == 1_403_144

    def test_a_block_in_the_papers_order(self) -> None:
        torch.manual_seed(0)
        block = st_gcn_plus_plus(CHAIN, 2, width=6).blocks[4].double()
        x = rows(channels=6)
        gather, norm = block.spatial[0].paths[0]
        shortcut, shortcut_norm = block.spatial[0].paths[1]
        y = (norm(by_loops(GRAPH.double(), gather, x)) + shortcut_norm(shortcut(x))).relu()
        branches, _, mix, last_norm, _ = block.temporal
        # A bias before the normalisation would change nothing.
        y = last_norm(torch.einsum("oc,ncvt->novt", mix.weight[:, :, 0, 0], branches(y).relu()))
        y = y + block.residual[1](block.residual[0](x))
        torch.testing.assert_close(block(x), y.relu())

    def test_the_initial_classifier_is_that_of_the_released_code(self) -> None:
        torch.manual_seed(0)
        classify = st_gcn_plus_plus(CHAIN, 50, width=8).classify
        assert classify.weight.std().item() == pytest.approx(0.01, rel=0.1)
        assert (classify.bias == 0).all()

    def test_the_first_block_has_no_dropout(self) -> None:
        network = st_gcn_plus_plus(PENN_13, 2, width=6, dropout=0.3)
        assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.0] + [0.3] * 9

    def test_too_small_a_width_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="5 channels for 6 temporal branches"):
            st_gcn_plus_plus(CHAIN, 2, width=5)
