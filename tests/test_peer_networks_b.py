"""What MS-G3D, CTR-GCN and ST-GCN++ must do alike: shapes, padding, people, gradients, revision by tape."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from skdpipe.distill.gradients import revised_gradients, revised_gradients_by_tape
from skdpipe.distill.losses import cross_entropy, kl_divergence, node_loss
from skdpipe.distill.tape import Tape
from skdpipe.networks import (
    GraphNetwork,
    Network,
    adaptation_layer,
    count_multiply_adds,
    ctr_gcn,
    deployed,
    ms_g3d,
    st_gcn_plus_plus,
)
from skdpipe.networks.layers import PlaceNorm
from skdpipe.skeleton import COCO_17, PENN_13, Layout

pytestmark = pytest.mark.usefixtures("one_thread")

Build = Callable[..., GraphNetwork]
BUILDERS: tuple[Build, ...] = (ms_g3d, ctr_gcn, st_gcn_plus_plus)
every_network = pytest.mark.parametrize("build", BUILDERS)

CHAIN = Layout("chain", ("a", "b", "c"), (("a", "b"), ("b", "c")), "a", (1.0,) * 3)
APART = Layout("apart", ("a", "b"), (), "a", (1.0,) * 2)
ONE_JOINT = Layout("one joint", ("a",), (), "a", (1.0,))


def trained(build: Build, layout: Layout = CHAIN, *, people: int = 2, **how: object) -> GraphNetwork:
    """As if trained: nothing is 0 or 1 that training changes, and statistics are those of some clips."""
    torch.manual_seed(0)
    network = build(layout, 4, people=people, **{"width": 6, **how}).double()
    generator = torch.Generator().manual_seed(2)
    for parameter in network.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.detach().add_(noise / (5 * math.sqrt(parameter[0].numel())))
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.detach().abs_().add_(0.5)  # of those that start at 1e-6 as well
        norm.momentum = 1.0
    network(clips(5, people, layout, seed=3), torch.ones(5, people, dtype=torch.bool))
    for norm in norms:
        norm.momentum = 0.1
    return network


def clips(batch: int, people: int = 2, layout: Layout = CHAIN, frames: int = 8, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, people, 3, frames, len(layout), generator=generator, dtype=torch.float64)


def step(network: nn.Module, x: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Everything a training step depends on: answers, gradients and running statistics."""
    logits, features = network(x, mask)
    (logits.square().sum() + features[mask].pow(3).sum()).backward()
    gradients = {
        f"gradient of {name}": p.grad for name, p in network.named_parameters() if p.grad is not None
    }
    return {"logits": logits, "features": features, **gradients, **dict(network.named_buffers())}


class TestAnswers:
    @pytest.mark.parametrize("layout", [COCO_17, PENN_13, APART, ONE_JOINT], ids=lambda layout: layout.name)
    @every_network
    def test_any_layout(self, build: Build, layout: Layout) -> None:
        network: Network = trained(build, layout)
        logits, features = network(clips(2, 2, layout), torch.ones(2, 2, dtype=torch.bool))
        assert logits.shape == (2, 4)
        assert network.feature_channels == 24  # four times the width
        assert features.shape == (2, 2, 24, 2, len(layout))
        assert logits.isfinite().all()

    @pytest.mark.parametrize(("people", "frames"), [(1, 8), (3, 11), (4, 14)])
    @every_network
    def test_any_number_of_people_and_frames(self, build: Build, people: int, frames: int) -> None:
        network = trained(build, people=people)
        x = clips(2, people, frames=frames)
        features = network(x, torch.ones(2, people, dtype=torch.bool)).features
        assert features.shape == (2, people, 24, math.ceil(frames / 4), 3)
        assert features.permute(0, 1, 4, 3, 2).is_contiguous()

    @pytest.mark.parametrize("in_channels", [2, 4])
    @every_network
    def test_any_number_of_channels(self, build: Build, in_channels: int) -> None:
        network = build(CHAIN, 4, width=6, in_channels=in_channels)
        x = torch.randn(2, 2, in_channels, 8, 3)
        assert network(x, torch.ones(2, 2, dtype=torch.bool)).logits.shape == (2, 4)

    @every_network
    def test_a_clips_answer_does_not_depend_on_the_others_in_evaluation(self, build: Build) -> None:
        network, x = trained(build).eval(), clips(3)
        mask = torch.tensor([[True, True], [False, True], [True, False]])
        together = network(x, mask)
        for clip in range(3):
            alone = network(x[clip : clip + 1], mask[clip : clip + 1])
            torch.testing.assert_close(alone.logits, together.logits[clip : clip + 1])
            torch.testing.assert_close(alone.features, together.features[clip : clip + 1])

    @every_network
    def test_features_are_each_persons_own(self, build: Build) -> None:
        network, x = trained(build).eval(), clips(2)
        changed = x.clone()
        changed[:, 1] += 1
        mask = torch.ones(2, 2, dtype=torch.bool)
        before, after = network(x, mask).features, network(changed, mask).features
        torch.testing.assert_close(before[:, 0], after[:, 0])
        assert (before[:, 1] - after[:, 1]).abs().max() > 1e-3

    @every_network
    def test_joints_and_frames_of_the_input_all_matter(self, build: Build) -> None:
        x = clips(1, frames=9).requires_grad_()
        logits = trained(build).eval()(x, torch.ones(1, 2, dtype=torch.bool)).logits
        (gradient,) = torch.autograd.grad(logits.square().sum(), x)
        assert (gradient != 0).all()

    @every_network
    def test_a_clip_with_nobody(self, build: Build) -> None:
        x = torch.full((1, 2, 3, 8, 3), torch.nan, dtype=torch.float64)
        logits, features = trained(build).eval()(x, torch.zeros(1, 2, dtype=torch.bool))
        assert logits.isfinite().all()
        assert (features == 0).all()

    @every_network
    def test_twice_the_same(self, build: Build) -> None:
        x, mask = clips(2), torch.tensor([[True, True], [True, False]])
        answers = []
        for _ in range(2):
            network = trained(build, dropout=0.5)
            torch.manual_seed(3)
            answers.append(step(network, x, mask))
        torch.testing.assert_close(*answers, rtol=0, atol=0)

    @every_network
    def test_dropout_drops_in_training_alone(self, build: Build) -> None:
        x, mask = clips(2), torch.ones(2, 2, dtype=torch.bool)
        network = trained(build, dropout=0.5)
        assert not torch.equal(network(x, mask).logits, network(x, mask).logits)
        network.eval()
        without = trained(build).eval()
        without.load_state_dict(network.state_dict())
        assert torch.equal(network(x, mask).logits, without(x, mask).logits)

    @every_network
    def test_as_it_is_used_it_is_the_network_itself(self, build: Build) -> None:
        network = trained(build)
        assert deployed(network) is network
        assert not network.training

    @every_network
    def test_multiply_adds_grow_with_people(self, build: Build) -> None:
        network = trained(build, people=4).float()
        two, four = (count_multiply_adds(network, (1, people, 3, 8, 3)) for people in (2, 4))
        assert two > 0
        # All but the classifier is done for each person.
        assert four - 4 * 24 == 2 * (two - 4 * 24) - shared_multiply_adds(build)


def shared_multiply_adds(build: Build) -> int:
    """What is done once for all people: ST-GCN++'s biases, heard by each joint."""
    blocks = (6, 6, 6, 6, 12, 12, 12, 24, 24, 24)
    return sum(3 * 3 * channels for channels in blocks) if build is st_gcn_plus_plus else 0


class TestGradients:
    @every_network
    def test_every_parameter_gets_one(self, build: Build) -> None:
        # In evaluation: while it trains, normalisation takes the gradient of the biases before it.
        network = trained(build, width=36).eval()
        logits, _ = network(clips(3), torch.ones(3, 2, dtype=torch.bool))
        logits.square().sum().backward()
        without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert without == []

    @every_network
    def test_from_the_start_every_parameter_is_reached(self, build: Build) -> None:
        torch.manual_seed(0)
        network = build(CHAIN, 4, width=6)
        network(clips(2).float(), torch.ones(2, 2, dtype=torch.bool)).logits.square().sum().backward()
        assert [name for name, p in network.named_parameters() if p.grad is None] == []

    @every_network
    def test_revision_by_tape_equals_the_explicit_one_with_dropout(self, build: Build) -> None:
        network = trained(build, PENN_13, dropout=0.4)
        adaptation = adaptation_layer(network.feature_channels, 5).double()
        parameters = [*network.parameters(), *adaptation.parameters()]
        torch.manual_seed(4)
        expected, explicit = revised_gradients(*losses_through(network, adaptation)[:2], parameters)
        torch.manual_seed(4)
        with Tape() as tape:
            task, others, through = losses_through(network, adaptation)
        gradients, report = revised_gradients_by_tape(task, others, parameters, through, tape)
        torch.testing.assert_close(gradients, expected, rtol=1e-8, atol=1e-10)
        assert explicit.revised["against"]
        assert report.revised == explicit.revised
        assert report.share == pytest.approx(dict(explicit.share))

    @every_network
    def test_the_derivative_along_a_direction_by_tape_is_that_of_two_backward_passes(
        self, build: Build
    ) -> None:
        network, x = trained(build, PENN_13), clips(2, layout=PENN_13)
        mask = torch.tensor([[True, True], [False, True]])
        generator = torch.Generator().manual_seed(5)
        direction = {
            p: torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in network.parameters()
        }
        with Tape() as tape:
            logits = network(x, mask).logits
        (derivative,) = tape.derivative(direction, [logits])
        # <v J, d> is linear in v: its gradient is J d.
        v = torch.ones_like(logits, requires_grad=True)
        gradients = torch.autograd.grad(logits, list(direction), v, create_graph=True)
        along = sum((g * d).sum() for g, d in zip(gradients, direction.values(), strict=True))
        (expected,) = torch.autograd.grad(along, v)
        torch.testing.assert_close(derivative, expected, rtol=1e-8, atol=1e-10)


def losses_through(
    network: nn.Module, adaptation: nn.Module
) -> tuple[Tensor, dict[str, Tensor], tuple[Tensor, Tensor]]:
    """Task loss, other losses of which one goes against it, and the results that they come from."""
    generator = torch.Generator().manual_seed(8)
    mask = torch.tensor([[True, True], [True, False], [True, True]])
    teacher = 3 * torch.randn(3, 4, generator=generator, dtype=torch.float64)
    features = torch.randn(int(mask.sum()), 5, 2, 13, generator=generator, dtype=torch.float64)
    logits, seen = network(clips(3, layout=PENN_13), mask)
    adapted = adaptation(seen[mask])
    task, node = cross_entropy(logits, teacher.argmin(dim=1)), node_loss(adapted, features)
    others = {"kl": kl_divergence(logits, teacher, 1.0), "against": 0.1 * node - task}
    return task, others, (logits, adapted)


class TestPeople:
    @every_network
    def test_their_order_matters_only_where_places_are_normalised_for_themselves(self, build: Build) -> None:
        network = trained(build, people=3).eval()
        mask = torch.tensor([[True, True, True], [True, False, True]])
        if isinstance(network.normalise, PlaceNorm):
            assert build in (ms_g3d, ctr_gcn)
            before, after = exchanged(network, mask)
            assert (before - after).abs().max() > 1e-3
            first, *others = network.normalise.norms
            for norm in others:
                norm.load_state_dict(first.state_dict())
        torch.testing.assert_close(*exchanged(network, mask))

    @every_network
    def test_features_follow_the_person(self, build: Build) -> None:
        network = trained(build, people=2).eval()
        if isinstance(network.normalise, PlaceNorm):
            first, second = network.normalise.norms
            second.load_state_dict(first.state_dict())
        x, mask = clips(2), torch.tensor([[True, True], [False, True]])
        straight, flipped = network(x, mask).features, network(x.flip(1), mask.flip(1)).features
        torch.testing.assert_close(straight, flipped.flip(1))


def exchanged(network: nn.Module, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Logits with people in one order and in another."""
    x, order = clips(2, 3), [2, 0, 1]
    return network(x, mask).logits, network(x[:, order], mask[:, order]).logits


@pytest.mark.parametrize("build", BUILDERS)
@settings(max_examples=8, deadline=None)
@given(
    mask=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=3),
    garbage=st.sampled_from([7.0, -1e30, float("nan"), float("inf")]),
)
def test_padding_changes_nothing(build: Build, mask: list[tuple[bool, bool]], garbage: float) -> None:
    """Neither logits, features, gradients nor running statistics."""
    network, real = trained(build, people=3), torch.tensor(mask)
    x = clips(len(mask))
    clean = torch.where(real[..., None, None, None], x, 0)
    padded = torch.where(real[..., None, None, None], x, garbage)
    padded = torch.cat([padded, torch.full_like(padded[:, :1], garbage)], dim=1)
    padded_mask = torch.cat([real, torch.zeros(len(mask), 1, dtype=torch.bool)], dim=1)

    without = step(copy.deepcopy(network), clean, real)
    with_padding = step(copy.deepcopy(network), padded, padded_mask)

    features = with_padding.pop("features")
    assert (features[~padded_mask] == 0).all()
    torch.testing.assert_close(features[:, :2], without.pop("features"), rtol=0, atol=0)
    torch.testing.assert_close(with_padding, without, rtol=0, atol=0)
