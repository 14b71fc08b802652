"""Continual networks: the outputs of the whole network on a long sequence, each frame computed once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
import torch
from network_contract import NTU_25, perturbed
from plain_st_gcn import plain_block
from torch import Tensor, nn

from skdpipe.errors import ConfigError
from skdpipe.networks import (
    NETWORKS,
    ContinualNetwork,
    GraphNetwork,
    build_network,
    continual_to_onnx,
    multiply_adds_in,
    st_2sgcn,
)
from skdpipe.runtimes import open_session
from skdpipe.skeleton import COCO_17, PENN_13, Layout

FAMILY = {"st_gcn": 153, "st_sgcn": 97, "st_2sgcn": 41, "st_gcn_plus_plus": 153}  # receptive fields
FRAMES = 24  # 6 outputs

each_network = pytest.mark.parametrize("name", FAMILY)


def trained(name: str, layout: Layout = PENN_13, width: int = 6, **settings: str) -> GraphNetwork:
    torch.manual_seed(0)
    return perturbed(build_network(name, layout, 5, people=2, width=width, dropout=0.5, **settings))


def footage(rows: int, frames: int, joints: int = 13) -> Tensor:
    """``(row, channel, frame, joint)``."""
    return torch.randn(rows, 3, frames, joints, generator=torch.Generator().manual_seed(1))


def run(network: ContinualNetwork, x: Tensor, first: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Logits and features of all steps ``(step, row, ...)``; row i begins at position ``first[i]``."""
    state = network.start(first)
    outputs = []
    for step in x.split(network.stride, dim=2):
        output, state = network(step, state)
        outputs.append(output)
    logits, features = zip(*outputs, strict=True)
    return torch.stack(logits), torch.stack(features)


def from_phase(network: ContinualNetwork, x: Tensor) -> Tensor:
    """With zeros before the first frame, so that strides are those of the whole network, in whole steps."""
    padded = nn.functional.pad(x, (0, 0, network.phase, 0))
    return padded[:, :, : padded.shape[2] // network.stride * network.stride]


def whole(network: GraphNetwork, x: Tensor) -> Tensor:
    """Features of the last block for the whole sequence ``(output, row, channel, joint)``."""
    mask = torch.ones(len(x), 1, dtype=torch.bool)
    features: Tensor = network(x[:, None], mask).features[:, 0]
    return features.permute(2, 0, 1, 3)


def assert_same(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    """Equal to a tolerance relative to the largest value."""
    scale = float(expected.detach().abs().max())
    torch.testing.assert_close(found, expected.detach(), rtol=0, atol=tolerance * scale)


def assert_equals_whole_network(network: GraphNetwork, layout: Layout, tolerance: float = 1e-5) -> None:
    continual = ContinualNetwork(network, FRAMES)
    x = footage(3, continual.receptive_field + 4 * 8, len(layout)).to(continual.scale.dtype)
    logits, features = run(continual, from_phase(continual, x), [continual.phase] * 3)
    expected = whole(network, x)
    outputs = (x.shape[2] - 1 - continual.delay) // 4 + 1  # without those that the end's padding affects
    before = continual.delay // 4
    assert logits[:before].isnan().all()
    assert_same(features[before:][:outputs], expected[:outputs], tolerance)
    means = [expected[max(0, last - FRAMES // 4 + 1) : last + 1].mean(dim=(0, 3)) for last in range(outputs)]
    assert_same(logits[before:][:outputs], network.classify(torch.stack(means)), tolerance)


@each_network
@pytest.mark.parametrize("layout", [PENN_13, COCO_17, NTU_25], ids=lambda layout: layout.name)
def test_outputs_equal_those_of_the_whole_network(name: str, layout: Layout) -> None:
    assert_equals_whole_network(trained(name, layout), layout)


@each_network
def test_equal_in_double_precision(name: str) -> None:
    assert_equals_whole_network(trained(name, width=16).double(), PENN_13, 1e-12)


@pytest.mark.parametrize("partitioning", ["uniform", "distance", "spatial"])
def test_equal_with_every_partitioning(partitioning: str) -> None:
    assert_equals_whole_network(trained("st_2sgcn", partitioning=partitioning), PENN_13)


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_equal_with_other_temporal_kernels(kernel: int) -> None:
    network = perturbed(st_2sgcn(PENN_13, 5, width=6, temporal_kernel=kernel))
    x = footage(2, 64)
    continual = ContinualNetwork(network, FRAMES)
    features = run(continual, from_phase(continual, x), [continual.phase] * 2)[1]
    expected = whole(network, x)[: (63 - continual.delay) // 4 + 1]
    begin = -(-(continual.delay - 3 + continual.phase) // 4)
    assert_same(features[begin : begin + len(expected)], expected)


def test_equal_to_the_released_code() -> None:
    """Blocks operation by operation, with explicit zero padding, on ``(row, channel, frame, joint)``."""
    network = trained("st_2sgcn")
    x = footage(2, 61)
    rows = network.normalise(x.transpose(2, 3), torch.zeros(2)).transpose(2, 3)
    for block in network.blocks:
        rows = plain_block(block, rows)
    continual = ContinualNetwork(network, FRAMES)
    features = run(continual, from_phase(continual, x), [continual.phase] * 2)[1]
    assert_same(features[5:16], rows.permute(2, 0, 1, 3)[:11])


@each_network
def test_receptive_field_is_that_of_the_gradient(name: str) -> None:
    network, field = trained(name, width=36).double(), FAMILY[name]
    continual = ContinualNetwork(network, FRAMES)
    assert (continual.stride, continual.receptive_field, continual.delay) == (4, field, field // 2)
    x = footage(1, 2 * field + 1).double().requires_grad_()
    middle = (field // 2 + 3) // 4 + 2
    (gradient,) = torch.autograd.grad(whole(network, x)[middle].sum(), x)
    frames = gradient.abs().sum(dim=(0, 1, 3)).nonzero()[:, 0]
    assert (int(frames[0]), int(frames[-1])) == (4 * middle - field // 2, 4 * middle + field // 2)


def test_rows_are_independent_and_may_come_and_go() -> None:
    network = ContinualNetwork(trained("st_2sgcn"), FRAMES)
    x = footage(3, 80)
    alone = [run(network, x[row : row + 1, :, 4 * row :], [0])[0][:, 0] for row in range(3)]
    state = network.start([0])
    rows = [0]
    for step in range(20):
        if step in (1, 2):  # another person comes
            state = tuple(torch.cat(pair) for pair in zip(state, network.start([0]), strict=True))
            rows.append(step)
        if step == 12:  # the first person leaves
            state = tuple(each[1:] for each in state)
            rows = rows[1:]
        output, state = network(x[rows, :, 4 * step : 4 * step + 4], state)
        for row, logits in zip(rows, output.logits, strict=True):
            expected = alone[row][step - row]
            torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5, equal_nan=True)


def test_what_comes_before_the_first_frame_has_no_effect() -> None:
    """A row may begin within a step: frames before its first one are no input."""
    network = trained("st_2sgcn")
    continual = ContinualNetwork(network, FRAMES)
    x = footage(1, 80)
    for first in range(4):
        features = run(continual, x, [first])[1]
        aligned = first + -(first + 1) % 4  # the frame from which the whole network has the same strides
        expected = whole(network, x[:, :, aligned:])
        outputs = torch.arange(5, (79 - aligned - 20) // 4 + 1)  # those without padding
        assert_same(features[(aligned + 4 * outputs + 20) // 4], expected[outputs])


def test_a_long_time_changes_nothing() -> None:
    network = ContinualNetwork(trained("st_2sgcn"), FRAMES)
    x = footage(1, 80)
    state = network.start([0])
    state = (state[0] + 1e6, *state[1:])
    for step in x.split(4, dim=2):
        output, state = network(step, state)
    torch.testing.assert_close(output.logits, run(network, x, [0])[0][-1])
    assert float(state[0]) < 100


def test_each_frame_is_computed_once() -> None:
    """The multiply-adds of a step are those that four more frames cost the whole network."""
    network = trained("st_gcn")
    continual = ContinualNetwork(network, FRAMES)
    classifier = 24 * 5
    step = multiply_adds_in(partial(continual, footage(1, 4), continual.start([0]))) - classifier
    mask = torch.ones(1, 1, dtype=torch.bool)
    shorter, longer = (
        multiply_adds_in(partial(network, footage(1, frames)[:, None], mask)) for frames in (400, 404)
    )
    assert step == longer - shorter


def test_the_network_does_not_change() -> None:
    network = trained("st_gcn_plus_plus")
    x, mask = footage(2, 32)[:, None], torch.ones(2, 1, dtype=torch.bool)
    before = network(x, mask).logits
    ContinualNetwork(network, FRAMES)
    torch.testing.assert_close(network(x, mask).logits, before, rtol=0, atol=0)


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - set(FAMILY)))
def test_other_networks_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"expected st_gcn, st_sgcn, st_2sgcn or st_gcn_plus_plus: use sl"):
        ContinualNetwork(trained(name), FRAMES)


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_exported_with_states_as_inputs_and_outputs(runtime: str) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip({"onnx": "onnxruntime"}.get(runtime, runtime))
    network = ContinualNetwork(trained("st_2sgcn"), FRAMES)
    session = open_session(continual_to_onnx(network), runtime)  # type: ignore[arg-type]
    x, first = footage(3, 48), [3, 0, 1]
    expected = run(network, x, first)[0]
    state = [each.numpy() for each in network.start(first)]
    for step, logits in zip(x.split(4, dim=2), expected, strict=True):
        found, *state = session({"x": step.numpy(), **{f"state_{i}": s for i, s in enumerate(state)}})
        torch.testing.assert_close(torch.from_numpy(found), logits, rtol=1e-4, atol=1e-5, equal_nan=True)
