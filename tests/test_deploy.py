"""Deployed networks: the output of evaluation mode, in PyTorch, exported, and in ONNX Runtime."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from network_contract import perturbed
from torch import Tensor, nn

from skdpipe.networks import NETWORKS, GraphNetwork, Network, NetworkOutput, build_network, deployed, to_onnx
from skdpipe.skeleton import PENN_13

each_network = pytest.mark.parametrize("name", NETWORKS)

# Both people, the first, the second, and nobody.
MASK = torch.tensor([[True, True], [True, False], [False, True], [False, False]])


def trained(name: str = "st_2sgcn") -> GraphNetwork:
    """In evaluation mode, with no weight or statistic at its initial value."""
    torch.manual_seed(0)
    return perturbed(build_network(name, PENN_13, 5, people=2, width=6, dropout=0.5))


def clips(mask: Tensor = MASK, frames: int = 8) -> Tensor:
    return torch.randn(*mask.shape, 3, frames, 13, generator=torch.Generator().manual_seed(1))


def assert_same(found: NetworkOutput, expected: NetworkOutput, tolerance: float = 1e-5) -> None:
    """Equal to a tolerance relative to the largest value."""
    for one, other in zip(found, expected, strict=True):
        scale = float(other.detach().abs().max())
        torch.testing.assert_close(one, other.detach(), rtol=0, atol=tolerance * scale)


@each_network
def test_output_equals_evaluation_mode(name: str) -> None:
    network = trained(name)
    module = deployed(network)
    assert module.feature_channels == network.feature_channels
    assert_same(module(clips(), MASK), network(clips(), MASK))
    double = network.double()
    assert_same(deployed(double)(clips().double(), MASK), double(clips().double(), MASK), 1e-12)


@each_network
def test_padding_has_no_effect(name: str) -> None:
    module = deployed(trained(name))
    expected = module(clips(), MASK)
    for value in (torch.nan, torch.inf, -1e30):
        padded = clips().masked_fill(~MASK[..., None, None, None], value)
        output = module(padded, MASK)
        assert (output.features[~MASK] == 0).all()
        torch.testing.assert_close(output, expected, rtol=0, atol=0)


@each_network
def test_no_dropout_and_no_norm_after_a_convolution(name: str) -> None:
    for module in deployed(trained(name)).modules():
        assert not isinstance(module, nn.Dropout | nn.Dropout2d)
        if isinstance(module, nn.Sequential):
            for layer, following in pairwise(module):
                assert not (isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d))


@pytest.mark.slow
@each_network
def test_it_is_exported_with_any_batch_size(name: str) -> None:
    network = trained(name)
    batch: Any = torch.export.Dim("batch")
    program = torch.export.export(
        deployed(network), (clips(), MASK), dynamic_shapes={"x": {0: batch}, "mask": {0: batch}}
    )
    for rows in (slice(1, 3), slice(0, 4)):
        assert_same(program.module()(clips()[rows], MASK[rows]), network(clips()[rows], MASK[rows]))


def assert_onnx_equals_evaluation_mode(name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    network = trained(name)
    model = to_onnx(deployed(network), (2, *clips().shape[1:]), features=True)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    for rows in (slice(0, 4), slice(2, 3)):
        inputs = {"x": clips()[rows].numpy(), "mask": MASK[rows].numpy()}
        found = map(torch.from_numpy, session.run(["logits", "features"], inputs))
        assert_same(NetworkOutput(*found), network(clips()[rows], MASK[rows]))


def test_onnx_equals_evaluation_mode() -> None:
    assert_onnx_equals_evaluation_mode("st_2sgcn")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "st_2sgcn"])
def test_onnx_of_every_network_equals_evaluation_mode(name: str) -> None:
    assert_onnx_equals_evaluation_mode(name)


def test_fewer_person_slots_than_norms_are_accepted_and_more_refused() -> None:
    network = trained("agcn")
    one, three = torch.ones(2, 1, dtype=torch.bool), torch.ones(2, 3, dtype=torch.bool)
    assert_same(deployed(network)(clips(one), one), network(clips(one), one))
    with pytest.raises(AssertionError, match="a clip of 3 person slots, but norms for people=2"):
        deployed(network)(clips(three), three)


def test_the_network_does_not_change() -> None:
    network = trained().train()
    network.normalise.eval()
    before = copy.deepcopy(network.state_dict())
    deployed(network)(clips(), MASK)
    assert network.training
    assert not network.normalise.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    torch.testing.assert_close(dict(network.state_dict()), dict(before), rtol=0, atol=0)


@each_network
def test_later_changes_of_the_network_have_no_effect(name: str) -> None:
    network = trained(name)
    module = deployed(network)
    before = module(clips(), MASK)
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.zero_()
    torch.testing.assert_close(module(clips(), MASK), before, rtol=0, atol=0)


def test_a_network_in_training_mode_is_deployed_in_evaluation_mode() -> None:
    network = trained()
    expected = deployed(network)(clips(), MASK)
    torch.testing.assert_close(deployed(network.train())(clips(), MASK), expected, rtol=0, atol=0)


def test_weights_have_no_gradients() -> None:
    module: Network = deployed(trained())
    assert not any(tensor.requires_grad for tensor in module(clips(), MASK))


def test_features_have_the_memory_order_of_the_network() -> None:
    network = trained()
    assert deployed(network)(clips(), MASK).features.stride() == network(clips(), MASK).features.stride()


def test_half_precision() -> None:
    network = trained()
    expected = network(clips(), MASK)
    with torch.autocast("cpu", torch.bfloat16):
        half = deployed(network)(clips(), MASK)
    for found, single in zip(half, expected, strict=True):
        difference = (found.float() - single).square().mean().sqrt()
        assert difference < 0.03 * single.square().mean().sqrt()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@each_network
def test_on_a_gpu(name: str) -> None:
    network = trained(name)
    output = deployed(network).cuda()(clips().cuda(), MASK.cuda())
    assert_same(NetworkOutput(*(tensor.cpu() for tensor in output)), network(clips(), MASK), 1e-3)
