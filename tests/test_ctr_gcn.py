"""CTR-GCN: its graph convolution against loops, initial weights, parameters of the released code."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from network_contract import CHAIN, CHECKS, NTU_25, Check
from torch import Tensor, nn

from skdpipe.errors import ConfigError
from skdpipe.networks import count_parameters, ctr_gcn
from skdpipe.networks.ctr_gcn import RefinedGraphConvolution
from skdpipe.networks.graph import adjacency
from skdpipe.skeleton import PENN_13


def convolution(alpha: float) -> RefinedGraphConvolution:
    torch.manual_seed(0)
    layer = RefinedGraphConvolution(2, 5, torch.from_numpy(adjacency(CHAIN, "spatial")), 4).double()
    for module in layer.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.normal_(module.bias)
    nn.init.constant_(layer.alpha, alpha)
    return layer


def rows(frames: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 2, 3, frames, generator=generator, dtype=torch.float64)


def by_loops(layer: RefinedGraphConvolution, x: Tensor) -> Tensor:
    """Subset by subset, pair by pair: relations of every frame, then their mean."""

    def mixed(convolution: nn.Conv2d, subset: int, x: Tensor) -> Tensor:
        assert convolution.bias is not None
        weight, bias = (each.chunk(3)[subset] for each in (convolution.weight, convolution.bias))
        return torch.einsum("oc,nct->not", weight[:, :, 0, 0], x) + bias[:, None]

    expected = torch.zeros(3, 5, 3, x.shape[3], dtype=x.dtype)
    for k, v, w in itertools.product(range(3), range(3), range(3)):
        target = mixed(layer.listener, k, x[:, :, w]).mean(dim=2)
        source = mixed(layer.source, k, x[:, :, v]).mean(dim=2)
        relation = torch.tanh(target - source)
        refinement = mixed(layer.refinement, k, relation[:, :, None])
        link = layer.adjacency[k, v, w] + layer.alpha * refinement
        expected[:, :, w] += link * mixed(layer.mix, k, x[:, :, v])
    return expected


class TestRefinedGraphConvolution:
    @pytest.mark.parametrize("alpha", [0.0, -1.3])
    def test_against_loops(self, alpha: float) -> None:
        layer = convolution(alpha)
        torch.testing.assert_close(layer(rows()), by_loops(layer, rows()))

    def test_gradients(self) -> None:
        layer = convolution(0.7)
        parameters = tuple(layer.parameters())
        names = [name for name, _ in layer.named_parameters()]

        def function(x: Tensor, *values: Tensor) -> Tensor:
            return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

        assert torch.autograd.gradcheck(function, (rows(2).requires_grad_(), *parameters))

    def test_the_initial_topology_is_the_layouts(self) -> None:
        topology = convolution(0.0).topology(rows())
        expected = torch.from_numpy(adjacency(CHAIN, "spatial")).double()[None, :, None].expand(3, 3, 5, 3, 3)
        torch.testing.assert_close(topology, expected, rtol=0, atol=0)

    def test_the_refined_topology_differs_between_samples_and_channels(self) -> None:
        refined = convolution(1.0).topology(rows()) - convolution(0.0).topology(rows())
        assert refined.std(dim=0).min() > 1e-3
        assert refined.std(dim=2).min() > 1e-3

    def test_the_topology_does_not_depend_on_the_order_of_frames(self) -> None:
        layer = convolution(1.0)
        torch.testing.assert_close(layer.topology(rows()), layer.topology(rows().flip(3)))

    def test_initial_weights(self) -> None:
        torch.manual_seed(0)
        layer = RefinedGraphConvolution(16, 64, torch.from_numpy(adjacency(CHAIN, "spatial")), 32)
        assert layer.alpha.item() == 0
        for module, fan_out in (
            (layer.listener, 32),
            (layer.source, 32),
            (layer.refinement, 64),
            (layer.mix, 64),
        ):
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.1)
            assert module.bias is not None
            assert (module.bias == 0).all()

    def test_channels_stay_last_in_memory(self) -> None:
        x = rows().contiguous(memory_format=torch.channels_last)
        assert convolution(1.0)(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_keeps_the_contract(check: Check) -> None:
    check(ctr_gcn)


class TestNetwork:
    def test_parameters_of_the_released_code(self) -> None:
        assert count_parameters(ctr_gcn(NTU_25, 60)) == 1_446_672

    def test_a_block_is_initially_its_shortcut(self) -> None:
        torch.manual_seed(0)
        block = ctr_gcn(CHAIN, 2, width=8).blocks[1]
        x = torch.randn(2, 8, 3, 6).relu()
        torch.testing.assert_close(block.spatial(x), x, rtol=0, atol=1e-5)

    def test_the_initial_classifier_is_that_of_the_released_code(self) -> None:
        torch.manual_seed(0)
        weight = ctr_gcn(CHAIN, 50, width=8).classify.weight
        assert weight.std().item() == pytest.approx(math.sqrt(2 / 50), rel=0.1)

    def test_the_first_block_has_no_dropout(self) -> None:
        network = ctr_gcn(PENN_13, 2, width=8, dropout=0.3)
        assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.0] + [0.3] * 9

    def test_too_small_a_width_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="3 channels for 4 temporal branches"):
            ctr_gcn(CHAIN, 2, width=3)
