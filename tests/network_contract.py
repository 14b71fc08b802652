"""What every network promises, whatever it is made of: checks that take its builder.

A test module of a network runs them all::

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_keeps_the_contract(check: Check) -> None:
        check(build)
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import torch
from test_gradients import assert_tape_equals_the_explicit_way
from test_networks import CHAIN, NTU_25, clips, step
from torch import Tensor, nn

from skdpipe.networks import GraphNetwork, deployed
from skdpipe.networks.layers import PlaceNorm
from skdpipe.skeleton import COCO_17, PENN_13

# Called as ``build(layout, classes, people=..., width=..., dropout=...)``.
Build = Callable[..., GraphNetwork]
Check = Callable[[Build], None]


def small(
    build: Build, *, classes: int = 5, people: int = 2, dropout: float = 0.0, seed: int = 0
) -> GraphNetwork:
    """Narrow, double precision, moved away from where it starts: there some weights do nothing yet."""
    torch.manual_seed(seed)
    network = build(PENN_13, classes, people=people, width=4, dropout=dropout).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return network


def trained(build: Build, *, people: int = 2) -> GraphNetwork:
    """In evaluation mode, with running statistics of its own."""
    network = small(build, people=people)
    for number in range(3):
        network(clips(4, people, seed=number).double(), torch.ones(4, people, dtype=torch.bool))
    return network.eval()


def shapes_for_any_layout_people_and_frames(build: Build) -> None:
    for layout, people, frames in ((CHAIN, 1, 8), (PENN_13, 3, 9), (COCO_17, 2, 15), (NTU_25, 2, 10)):
        network = build(layout, 7, people=people, width=4)
        mask = torch.ones(2, people, dtype=torch.bool)
        logits, features = network(clips(2, people, layout, frames), mask)
        assert logits.shape == (2, 7)
        later = -(-frames // 4)  # two strides of two, rounded up
        assert features.shape == (2, people, network.feature_channels, later, len(layout))


def channels_come_last_in_memory(build: Build) -> None:
    network, seen = small(build), []

    def look(module: nn.Module, _: object, output: Tensor) -> None:
        seen.append(module)
        assert output.is_contiguous(memory_format=torch.channels_last), module

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            module.register_forward_hook(look)
    network.blocks.register_forward_hook(look)
    network(clips(2, 2).double(), torch.ones(2, 2, dtype=torch.bool))
    assert seen[-1] is network.blocks


def gradients_reach_every_parameter(build: Build) -> None:
    """In evaluation, since normalisation by a batch takes what a bias before it does."""
    network = trained(build)
    logits, features = network(clips(3, 2).double(), torch.ones(3, 2, dtype=torch.bool))
    (logits.square().sum() + features.pow(3).sum()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def samples_are_independent_in_evaluation(build: Build) -> None:
    network, x = trained(build), clips(3, 2).double()
    mask = torch.tensor([[True, True], [True, False], [True, True]])
    logits, features = network(x, mask)
    for number in range(3):
        alone = network(x[number : number + 1], mask[number : number + 1])
        torch.testing.assert_close(alone.logits[0], logits[number])
        torch.testing.assert_close(alone.features[0], features[number])
    assert (logits[0] - logits[2]).abs().max() > 1e-6


def padding_changes_nothing(build: Build) -> None:
    """Neither logits, features, gradients nor running statistics, whatever lies there."""
    network, x = small(build, people=3), clips(3, 3).double()
    mask = torch.tensor([[True, True, False], [True, False, False], [True, True, False]])
    found = []
    for garbage in (0.0, float("nan"), -1e30):
        padded = torch.where(mask[..., None, None, None], x, garbage)
        logits, features = (copied := copy.deepcopy(network))(padded, mask)
        assert (features[~mask] == 0).all()
        (logits.square().sum() + features[mask].pow(3).sum()).backward()
        gradients = {name: p.grad for name, p in copied.named_parameters()}
        found.append((logits, features, gradients, dict(copied.named_buffers())))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=0)


def a_clip_with_nobody_gets_logits(build: Build) -> None:
    network, x = trained(build), clips(2, 2).double()
    mask = torch.tensor([[True, True], [False, False]])
    logits, features = network(x, mask)
    assert logits.isfinite().all()
    assert (features[1] == 0).all()
    torch.testing.assert_close(logits[0], network(x[:1], mask[:1]).logits[0])


def people_may_change_places(build: Build) -> None:
    """Where places have norms of their own, only if these are alike; otherwise it matters."""
    network, x = trained(build, people=3), clips(2, 3).double()
    mask, order = torch.ones(2, 3, dtype=torch.bool), [2, 0, 1]
    if isinstance(network.normalise, PlaceNorm):
        before, after = network(x, mask).logits, network(x[:, order], mask).logits
        assert (before - after).abs().max() > 1e-6
        first, *others = network.normalise.norms
        for norm in others:
            norm.load_state_dict(first.state_dict())
    logits, features = network(x, mask)
    moved = network(x[:, order], mask)
    torch.testing.assert_close(moved.logits, logits)
    torch.testing.assert_close(moved.features, features[:, order])


def twice_the_same(build: Build) -> None:
    def once() -> dict[str, Tensor]:
        network = small(build, dropout=0.5)
        torch.manual_seed(7)
        return step(network, clips(2, 2).double(), torch.tensor([[True, True], [True, False]]))

    torch.testing.assert_close(once(), once(), rtol=0, atol=0)


def dropout_is_what_the_builder_says(build: Build) -> None:
    shares = {m.p for m in small(build, dropout=0.3).modules() if isinstance(m, nn.Dropout)}
    assert 0.3 in shares
    assert shares <= {0.0, 0.3}
    assert {m.p for m in small(build).modules() if isinstance(m, nn.Dropout)} == {0.0}


def all_that_is_learned_is_stored(build: Build) -> None:
    network, x, mask = trained(build), clips(2, 2).double(), torch.ones(2, 2, dtype=torch.bool)
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    other = small(build, seed=1).eval()
    other.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(other(x, mask), network(x, mask), rtol=0, atol=0)


def deployed_it_answers_the_same(build: Build) -> None:
    network, x, mask = trained(build), clips(2, 2).double(), torch.ones(2, 2, dtype=torch.bool)
    expected = network(x, mask)
    torch.testing.assert_close(deployed(network.train())(x, mask), expected)


def revision_by_tape_equals_the_explicit_way(build: Build) -> None:
    assert_tape_equals_the_explicit_way(small(build, classes=4, dropout=0.4))


def blocks_can_be_exported(build: Build) -> None:
    """No way through them depends on values; one program serves any number of rows."""
    network = trained(build)
    rows = torch.randn(3, 3, 13, 8, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    shape: Any = ({0: torch.export.Dim("row")},)
    program = torch.export.export(network.blocks, (rows,), dynamic_shapes=shape)
    more = torch.randn(5, 3, 13, 8, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(program.module()(more), network.blocks(more))


CHECKS: tuple[Check, ...] = (
    shapes_for_any_layout_people_and_frames,
    channels_come_last_in_memory,
    gradients_reach_every_parameter,
    samples_are_independent_in_evaluation,
    padding_changes_nothing,
    a_clip_with_nobody_gets_logits,
    people_may_change_places,
    twice_the_same,
    dropout_is_what_the_builder_says,
    all_that_is_learned_is_stored,
    deployed_it_answers_the_same,
    revision_by_tape_equals_the_explicit_way,
    blocks_can_be_exported,
)
