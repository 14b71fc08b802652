"""The folded network against the one it was folded from, and against the released order of operations."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from plain_st_gcn import PlainStGcn
from torch import Tensor

from skdpipe.networks import (
    FoldedStGcn,
    GraphNetwork,
    Network,
    NetworkOutput,
    Partitioning,
    folded,
    st_2sgcn,
    st_gcn,
    st_sgcn,
)
from skdpipe.networks.folded import frames_with_gap
from skdpipe.skeleton import PENN_13, Layout

pytestmark = pytest.mark.usefixtures("one_thread")

Build = Callable[..., GraphNetwork]
BUILDERS: tuple[Build, ...] = (st_gcn, st_sgcn, st_2sgcn)
PARTITIONINGS: tuple[Partitioning, ...] = get_args(Partitioning)
ONE_JOINT = Layout("one joint", ("a",), (), "a", (1.0,))

# Everybody, some, one who is not the first, and nobody.
MASK = torch.tensor([[True, True, True], [True, False, True], [False, True, False], [False, False, False]])


@pytest.fixture(params=["direct", "fast"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Either way through the blocks, however small networks and clips are."""
    chosen: str = request.param
    if chosen == "fast":
        take_the_fast_path(monkeypatch)
    return chosen


def take_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folded, "_FAST_CHANNELS", 0)
    monkeypatch.setattr(folded, "_FAST_WASTE", 1e9)
    monkeypatch.setattr(folded, "direct_block", refuse)


def refuse(*args: object, **kwargs: object) -> Tensor:
    raise AssertionError("the other path was expected")


def trained(build: Build = st_2sgcn, layout: Layout = PENN_13, **settings: object) -> GraphNetwork:
    """As if trained: nothing is 0 or 1 that a training would change; some importances are, or negative."""
    torch.manual_seed(0)
    network = build(layout, 5, **{"width": 4, **settings})
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias)
    for name, parameter in network.named_parameters():
        if name.endswith("importance"):
            torch.nn.init.normal_(parameter, 1)
            parameter.data[0, 0, 0] = 0
            parameter.data[-1, -1, -1] = -1
    return network.eval()


def clips(frames: int, joints: int = 13, mask: Tensor = MASK, padding: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(*mask.shape, 3, frames, joints, generator=generator)
    return torch.where(mask[..., None, None, None], x, padding)


def assert_same(found: NetworkOutput, expected: NetworkOutput) -> None:
    """As good as equal, each measured by its own size."""
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        torch.testing.assert_close(
            one, other.detach(), rtol=1e-5, atol=1e-5 * max(1, float(other.abs().max()))
        )


def assert_folds(network: GraphNetwork, x: Tensor, mask: Tensor = MASK) -> None:
    with torch.no_grad():
        assert_same(FoldedStGcn(network)(x, mask), network(x, mask))


# The same answers


@pytest.mark.parametrize("partitioning", PARTITIONINGS)
@pytest.mark.parametrize("build", BUILDERS)
def test_answers_are_those_of_the_network(build: Build, partitioning: Partitioning, path: str) -> None:
    assert_folds(trained(build, partitioning=partitioning), clips(20))


@pytest.mark.parametrize("partitioning", PARTITIONINGS)
@pytest.mark.parametrize("build", BUILDERS)
def test_answers_are_those_of_the_released_code(build: Build, partitioning: Partitioning, path: str) -> None:
    network, everybody = trained(build, partitioning=partitioning), torch.ones(2, 2, dtype=torch.bool)
    x = clips(20, mask=everybody)
    with torch.no_grad():
        expected = NetworkOutput(*PlainStGcn(network)(x, everybody))
    assert_same(FoldedStGcn(network)(x, everybody), expected)


@pytest.mark.parametrize("frames", [1, 2, 15, 16, 17, 63, 64])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 9])
def test_any_kernel_and_any_length(kernel: int, frames: int, path: str) -> None:
    assert_folds(trained(temporal_kernel=kernel), clips(frames))


def test_one_joint_and_one_channel(path: str) -> None:
    assert_folds(trained(layout=ONE_JOINT, width=1, in_channels=3), clips(9, joints=1))


def test_double_precision_stays_double(path: str) -> None:
    network, x = trained().double(), clips(20).double()
    with torch.no_grad():
        torch.testing.assert_close(FoldedStGcn(network)(x, MASK), network(x, MASK), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("cached", [1, 2000, 5000])
def test_people_may_be_looked_at_few_at_a_time(
    cached: int, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, x = trained(), clips(20)
    whole = FoldedStGcn(network)(x, MASK)
    monkeypatch.setattr(folded, "_CACHED", cached)  # one, one or two, two or four people: uneven parts too
    assert_same(FoldedStGcn(network)(x, MASK), whole)


def test_features_lie_in_memory_as_the_networks_do(path: str) -> None:
    network, x = trained(), clips(20)
    features = FoldedStGcn(network)(x, MASK).features
    assert features.stride() == network(x, MASK).features.stride()
    assert (features[~MASK] == 0).all()


# Which path


def is_fast(network: GraphNetwork, frames: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    taken = []
    for name in ("direct_block", "fast_block"):
        block = getattr(folded, name)
        monkeypatch.setattr(folded, name, lambda *a, block=block, name=name: taken.append(name) or block(*a))
    one = torch.ones(1, 1, dtype=torch.bool)
    assert_folds(network, clips(frames, mask=one), one)
    assert len(set(taken)) == 1
    return taken[0] == "fast_block"


@pytest.mark.parametrize(("frames", "width", "fast"), [(300, 64, True), (50, 64, False), (300, 63, False)])
def test_long_and_wide_clips_take_the_fast_path(
    frames: int, width: int, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_fast(trained(width=width), frames, monkeypatch) == fast


def test_the_gap_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # Blocks 1, 4, 5, 8 of kernel 9, with a lead of 4 frames each; 5 and 8 halve. At their inputs 60, 60, 60
    # and 30 frames: 64, 64, 64 and 34 with the gap, the last 68 of the input's. Whole tiles of 16 after
    # both strides are 64 frames of the input: so 128. Of 56 frames, 2 * (28 + 4) = 64 do.
    blocks = [folded._fold(block) for block in trained(width=64).blocks]
    assert [frames_with_gap(blocks, frames) for frames in (60, 56, 57)] == [128, 64, 128]
    assert frames_with_gap([folded._fold(block) for block in trained().blocks], 60) == float("inf")


# Nothing else


def test_the_network_stays_as_it_was(path: str) -> None:
    network = trained().train()
    network.normalise.eval()
    before = copy.deepcopy(network.state_dict())
    FoldedStGcn(network)(clips(20), MASK)
    assert network.training
    assert not network.normalise.training
    torch.testing.assert_close(dict(network.state_dict()), dict(before), rtol=0, atol=0)


def test_it_answers_as_in_evaluation_whatever_the_networks_mode() -> None:
    network = trained(dropout=0.5)
    expected = FoldedStGcn(network)(clips(20), MASK)
    torch.testing.assert_close(FoldedStGcn(network.train())(clips(20), MASK), expected, rtol=0, atol=0)


def test_later_changes_of_the_network_do_not_reach_it(path: str) -> None:
    network, x = trained(), clips(20)
    answers = FoldedStGcn(network)
    before = answers(x, MASK)
    for value in network.state_dict().values():
        value.zero_()
    torch.testing.assert_close(answers(x, MASK), before, rtol=0, atol=0)


@pytest.mark.parametrize("garbage", [7.0, -1e30, float("nan"), float("inf")])
def test_padding_changes_nothing(garbage: float, path: str) -> None:
    answers = FoldedStGcn(trained())
    expected = answers(clips(20), MASK)
    torch.testing.assert_close(answers(clips(20, padding=garbage), MASK), expected, rtol=0, atol=0)


def test_the_clips_stay_as_they_were(path: str) -> None:
    x = clips(20)
    before = x.clone()
    FoldedStGcn(trained())(x, MASK)
    assert torch.equal(x, before)


def test_no_gradient_passes(path: str) -> None:
    answers = FoldedStGcn(trained())
    output = answers(clips(20).requires_grad_(), MASK)
    assert not output.logits.requires_grad
    assert not output.features.requires_grad


def test_it_is_a_network_also_in_inference_mode(path: str) -> None:
    network = trained()
    answers: Network = FoldedStGcn(network)
    assert answers.feature_channels == network.feature_channels
    with torch.inference_mode():
        assert_same(answers(clips(20), MASK), network(clips(20), MASK))


# Half precision


def assert_near(found: NetworkOutput, expected: NetworkOutput) -> None:
    for one, other in zip(found, expected, strict=True):
        difference = (one.float() - other.float()).square().mean().sqrt()
        assert difference < 0.03 * other.float().square().mean().sqrt()


@pytest.mark.parametrize("build", BUILDERS)
def test_half_precision_on_a_cpu_takes_the_direct_path(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folded, "_FAST_CHANNELS", 0)
    monkeypatch.setattr(folded, "_FAST_WASTE", 1e9)
    monkeypatch.setattr(folded, "fast_block", refuse)
    network, x = trained(build), clips(20)
    with torch.no_grad():
        single = network(x, MASK)
        with torch.autocast("cpu", torch.bfloat16):
            half = FoldedStGcn(network)(x, MASK)
    assert half.logits.dtype == torch.bfloat16
    assert_near(half, single)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("build", BUILDERS)
def test_on_a_gpu(build: Build, half: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folded, "_FAST_CHANNELS", 0)  # not on a GPU, whatever the width
    network, x = trained(build), clips(300)
    with torch.no_grad():
        expected = network(x, MASK)
    answers = FoldedStGcn(network.cuda())
    with torch.autocast("cuda", torch.float16, enabled=half):
        output = answers(x.cuda(), MASK.cuda())
    assert output.features.device.type == "cuda"
    assert output.logits.dtype == (torch.float16 if half else torch.float32)
    assert_near(NetworkOutput(output.logits.cpu(), output.features.cpu()), expected)
