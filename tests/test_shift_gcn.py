"""Shift-GCN: the contract, the parameters of the released code, both shifts against loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from network_contract import CHECKS, NTU_25, Check

from skdpipe.networks import count_parameters, shift_gcn
from skdpipe.networks.shift_gcn import ShiftGraphConvolution, TemporalShift


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_keeps_the_contract(check: Check) -> None:
    check(shift_gcn)


def test_parameters_of_the_released_code() -> None:
    """It also has shifts across joints, to which its kernel gives no gradient."""
    network = shift_gcn(NTU_25, 60)
    never_trained = sum(len(m.shift) for m in network.modules() if isinstance(m, TemporalShift))
    assert never_trained == 2 * (4 * 64 + 3 * 128 + 3 * 256)
    assert count_parameters(network) + never_trained == 693_107


@settings(max_examples=20)
@given(joints=st.integers(1, 7), channels=st.integers(1, 9), out_channels=st.integers(1, 9))
def test_shift_graph_convolution_against_loops(joints: int, channels: int, out_channels: int) -> None:
    torch.manual_seed(0)
    layer = ShiftGraphConvolution(channels, out_channels, joints).double().eval()
    for each in (layer.mask, layer.mix.bias, layer.norm.weight, layer.norm.bias):
        torch.nn.init.normal_(each)
    assert layer.norm.running_mean is not None
    layer.norm.running_mean.normal_()
    x = torch.randn(2, channels, joints, 3, dtype=torch.float64)
    shifted = torch.zeros_like(x)
    for v in range(joints):
        for c in range(channels):
            shifted[:, c, v] = x[:, c, (v + c) % joints] * (layer.mask[v, c].tanh() + 1)
    mixed = torch.einsum("oc,ncvt->novt", layer.mix.weight, shifted) + layer.mix.bias[:, None, None]
    expected = torch.zeros_like(mixed)
    for v in range(joints):
        for c in range(out_channels):
            number = v * out_channels + c
            scale = layer.norm.weight[number] / math.sqrt(1 + layer.norm.eps)
            centred = mixed[:, c, (v - c) % joints] - layer.norm.running_mean[number]
            expected[:, c, v] = centred * scale + layer.norm.bias[number]
    torch.testing.assert_close(layer(x), expected)


@settings(max_examples=50)
@given(
    shifts=st.lists(st.floats(-12, 12), min_size=1, max_size=4),
    frames=st.integers(1, 9),
    stride=st.integers(1, 3),
    offset=st.sampled_from([0.0, 0.5]),
)
def test_temporal_shift_against_loops(shifts: list[float], frames: int, stride: int, offset: float) -> None:
    layer = TemporalShift(len(shifts), stride, offset).double()
    layer.shift.data = torch.tensor(shifts, dtype=torch.float64)
    x = torch.randn(2, len(shifts), 3, frames, dtype=torch.float64)
    steps = math.ceil(frames / stride)
    expected = torch.zeros(2, len(shifts), 3, steps, dtype=torch.float64)
    for c, shift in enumerate(shifts):
        for t in range(steps):
            at = t * stride + shift + offset
            for frame in range(frames):  # linear interpolation
                expected[:, c, :, t] += max(0.0, 1 - abs(at - frame)) * x[:, c, :, frame]
    torch.testing.assert_close(layer(x), expected)


def test_gradients_of_the_temporal_shift() -> None:
    torch.manual_seed(0)
    layer = TemporalShift(4, 2, 0.5).double()
    shift = torch.tensor([-1.3, 0.2, 2.7, -0.9], dtype=torch.float64, requires_grad=True)
    x = torch.randn(2, 4, 3, 7, dtype=torch.float64, requires_grad=True)

    def shifted(x: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, {"shift": shift}, (x,))

    assert torch.autograd.gradcheck(shifted, (x, shift))


def test_initial_weights_are_those_of_the_released_code() -> None:
    torch.manual_seed(0)
    network = shift_gcn(NTU_25, 60)
    block = network.blocks[5]
    spatial = block.spatial[0].paths[0]
    assert (spatial.mask == 0).all()
    assert (spatial.mix.bias == 0).all()
    assert spatial.mix.weight.std().item() == pytest.approx(math.sqrt(1 / 128), rel=0.05)
    for shift in (block.temporal[1].shift, block.temporal[4].shift):
        assert -1 <= shift.min() < -0.8
        assert 0.8 < shift.max() <= 1
    assert network.classify.weight.std().item() == pytest.approx(math.sqrt(2 / 60), rel=0.05)
    strided = network.blocks[4].temporal[4]
    assert (strided.stride, strided.offset) == (2, 0.5)
