"""Gradient revision: hand-derived values, properties, and Algorithm 1 written out on a real network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from skdpipe.distill.edge_loss import edge_loss
from skdpipe.distill.gradients import (
    RevisionReport,
    inner_product,
    revise,
    revised_gradients,
    summed_revised_gradients,
)
from skdpipe.distill.losses import cross_entropy, kl_divergence, node_loss
from skdpipe.networks import GraphNetwork, NetworkOutput, adaptation_layer, st_2sgcn
from skdpipe.skeleton import PENN_13

Direction = Callable[
    [Tensor, Mapping[str, Tensor], Sequence[Tensor]], tuple[tuple[Tensor, ...], RevisionReport]
]


def vector(*values: float) -> tuple[Tensor, Tensor]:
    """A vector spread over two tensors of different shape."""
    whole = torch.tensor(values, dtype=torch.float64)
    return whole[:1], whole[1:].view(1, -1)


class TestRevise:
    @pytest.mark.parametrize(
        ("task", "other", "expected"),
        [
            ((1.0, 0.0, 0.0), (2.0, 3.0, 0.0), (2.0, 3.0, 0.0)),  # agree
            ((2.0, 0.0, 0.0), (-1.0, 3.0, 0.0), (0.0, 3.0, 0.0)),  # conflict: the part along the task goes
            ((1.0, 1.0, 0.0), (-2.0, 0.0, 1.0), (-1.0, 1.0, 1.0)),  # conflict: <g, g_T>/|g_T|² = -1
            ((1.0, 2.0, 3.0), (-2.0, -4.0, -6.0), (0.0, 0.0, 0.0)),  # opposite: nothing is left
            ((1.0, 0.0, 0.0), (0.0, 3.0, 0.0), (0.0, 3.0, 0.0)),  # orthogonal
            ((0.0, 0.0, 0.0), (-1.0, 3.0, 2.0), (-1.0, 3.0, 2.0)),  # no task
            ((1.0, 2.0, 3.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),  # no other
        ],
    )
    def test_by_hand(
        self, task: tuple[float, ...], other: tuple[float, ...], expected: tuple[float, ...]
    ) -> None:
        revised = revise(vector(*task), vector(*other))
        torch.testing.assert_close(revised, vector(*expected), rtol=0, atol=1e-15)

    @settings(max_examples=200)
    @given(data=st.data())
    def test_is_the_nearest_gradient_that_does_not_climb_the_task(self, data: st.DataObject) -> None:
        numbers = st.floats(-10, 10, allow_subnormal=False).map(lambda x: round(x, 3))
        task, other, rival = (
            vector(*data.draw(st.lists(numbers, min_size=4, max_size=4), label=name))
            for name in ("task", "other", "rival")
        )
        revised = revise(task, other)
        assert inner_product(revised, task) >= -1e-11
        if inner_product(other, task) < 0:
            assert inner_product(revised, task).item() == pytest.approx(0, abs=1e-11)
        else:
            torch.testing.assert_close(revised, other, rtol=0, atol=0)
        if inner_product(rival, task) >= 0:  # Eq. 13: nothing admissible is nearer
            assert squared_distance(other, revised) <= squared_distance(other, rival) + 1e-11

    def test_dtypes_are_kept_even_of_scalars(self) -> None:
        task = (torch.tensor(1.0), torch.ones(3, dtype=torch.float64))
        other = (torch.tensor(-9.0), torch.ones(3, dtype=torch.float64))
        assert [g.dtype for g in revise(task, other)] == [torch.float32, torch.float64]

    def test_inner_product_of_finite_single_precision_is_finite(self) -> None:
        huge = (torch.full((4,), 1e38),)
        tiny = (torch.full((4,), 1e-38),)
        assert inner_product(huge, huge).item() == pytest.approx(4e76)
        assert inner_product(tiny, tiny).item() == pytest.approx(4e-76)


def squared_distance(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> float:
    difference = [x - y for x, y in zip(a, b, strict=True)]
    return inner_product(difference, difference).item()


class TestRevisedGradients:
    def test_each_loss_is_revised_alone(self) -> None:
        w = torch.zeros(2, requires_grad=True)
        along, against, across = w[0], w[1] - 2 * w[0], 5 * w[1]
        (total,), report = revised_gradients(
            3 * w[0], {"along": along, "against": against, "across": across}, [w]
        )
        # (3, 0) + (1, 0) + (0, 1), which was (-2, 1), + (0, 5)
        torch.testing.assert_close(total, torch.tensor([4.0, 6.0]))
        assert report.revised == {"along": False, "against": True, "across": False}
        assert report.cosine == pytest.approx({"along": 1.0, "against": -2 / 5**0.5, "across": 0.0})
        assert report.finite

    def test_parameters_a_loss_does_not_reach_count_as_zero(self) -> None:
        shared, extra = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
        gradients, report = revised_gradients(
            shared.sum(), {"q": (3 * extra - 4 * shared).sum()}, [shared, extra]
        )
        # g_T = (1, 0), g_q = (-4, 3): the task does not depend on the second.
        torch.testing.assert_close(gradients, (torch.tensor([1.0]), torch.tensor([3.0])))
        assert report.cosine["q"] == pytest.approx(-4 / 5)

    def test_task_without_gradient_revises_nothing(self) -> None:
        w = torch.ones(2, requires_grad=True)
        (total,), report = revised_gradients((0 * w).sum(), {"q": -w.sum()}, [w])
        torch.testing.assert_close(total, -torch.ones(2))
        assert report.cosine == {"q": 0.0}
        assert not report.revised["q"]

    def test_without_distillation_it_is_the_task_gradient(self) -> None:
        w = torch.ones(2, requires_grad=True)
        (total,), report = revised_gradients(w.square().sum(), {}, [w])
        torch.testing.assert_close(total, 2 * torch.ones(2))
        assert report.cosine == {}

    def test_same_loss_under_two_names(self) -> None:
        w = torch.ones(2, requires_grad=True)
        loss = w.square().sum()
        (total,), _ = revised_gradients(loss, {"a": loss, "b": loss}, [w])
        torch.testing.assert_close(total, 6 * torch.ones(2))

    @pytest.mark.parametrize("bad", [float("inf"), -float("inf"), float("nan")])
    @pytest.mark.parametrize("where", ["task", "q"])
    def test_overflow_shows(self, bad: float, where: str) -> None:
        """The loss scaler skips the step, and the report is not finite."""
        w = torch.zeros(3, requires_grad=True)
        overflowing = (w * torch.tensor([bad, 1.0, -1.0])).sum()
        finite = (w * torch.tensor([0.0, -1.0, 1.0])).sum()
        task, other = (overflowing, finite) if where == "task" else (finite, overflowing)
        (total,), report = revised_gradients(task, {"q": other}, [w])
        assert not total.isfinite().all()
        assert not report.finite


numbers = st.floats(-10, 10, allow_subnormal=False).map(lambda x: round(x, 3))
gradients_of_four = st.lists(numbers, min_size=4, max_size=4).map(
    lambda values: torch.tensor(values, dtype=torch.float64)
)


class TestSummedRevisedGradients:
    def test_the_sum_is_revised_as_one_gradient(self) -> None:
        w = torch.zeros(2, requires_grad=True)
        against, across = w[1] - 2 * w[0], 5 * w[1] - w[0]
        (total,), report = summed_revised_gradients(3 * w[0], {"against": against, "across": across}, [w])
        # (3, 0) + (0, 6), which was (-2, 1) + (-1, 5) = (-3, 6)
        torch.testing.assert_close(total, torch.tensor([3.0, 6.0]))
        assert report.share == pytest.approx({"sum": -1.0})
        assert report.cosine == pytest.approx({"sum": -3 / 45**0.5})
        assert report.revised == {"sum": True}

    def test_conflicts_of_single_losses_may_cancel(self) -> None:
        def found(direction: Direction) -> tuple[Tensor, RevisionReport]:
            w = torch.zeros(2, requires_grad=True)
            (total,), report = direction(w[0] * 1, {"against": w[1] - w[0], "along": 4 * w[0]}, [w])
            return total, report

        total, report = found(summed_revised_gradients)
        torch.testing.assert_close(total, torch.tensor([4.0, 1.0]))
        assert not report.revised["sum"]
        torch.testing.assert_close(found(revised_gradients)[0], torch.tensor([5.0, 1.0]))

    def test_without_distillation_it_is_the_task_gradient(self) -> None:
        w = torch.ones(2, requires_grad=True)
        (total,), report = summed_revised_gradients(w.square().sum(), {}, [w])
        torch.testing.assert_close(total, 2 * torch.ones(2))
        assert report.share == report.cosine == {}

    def test_two_backward_passes_for_any_number_of_losses(self) -> None:
        passes = []
        w = torch.ones(3, requires_grad=True)
        shared = w.square()
        shared.register_hook(passes.append)
        summed_revised_gradients(shared.sum(), {str(q): shared[q % 3] for q in range(7)}, [w])
        assert len(passes) == 2

    @given(task=gradients_of_four, other=gradients_of_four)
    def test_one_loss_is_revised_as_by_algorithm_1(self, task: Tensor, other: Tensor) -> None:
        w = torch.zeros(4, dtype=torch.float64, requires_grad=True)
        (summed,), report = summed_revised_gradients(task @ w, {"q": other @ w}, [w])
        (per_loss,), explicit = revised_gradients(task @ w, {"q": other @ w}, [w])
        torch.testing.assert_close(summed, per_loss, rtol=0, atol=0)
        assert report.share["sum"] == explicit.share["q"]


@pytest.mark.parametrize("direction", [revised_gradients, summed_revised_gradients])
class TestBothWays:
    @given(task=gradients_of_four, others=st.lists(gradients_of_four, max_size=3))
    def test_the_distillation_part_never_climbs_the_task(
        self, direction: Direction, task: Tensor, others: list[Tensor]
    ) -> None:
        w = torch.zeros(4, dtype=torch.float64, requires_grad=True)
        (total,), _ = direction(task @ w, {str(q): other @ w for q, other in enumerate(others)}, [w])
        assert task @ (total - task) >= -1e-9

    @given(task=gradients_of_four, others=st.lists(gradients_of_four, max_size=3))
    def test_without_conflict_it_is_the_plain_sum(
        self, direction: Direction, task: Tensor, others: list[Tensor]
    ) -> None:
        agreeing = [other if other @ task >= 0 else -other for other in others]
        w = torch.zeros(4, dtype=torch.float64, requires_grad=True)
        (total,), report = direction(task @ w, {str(q): other @ w for q, other in enumerate(agreeing)}, [w])
        torch.testing.assert_close(total, sum(agreeing, task))
        assert not any(report.revised.values())

    def test_a_small_step_lowers_the_task_loss_by_the_task_gradient_or_more(
        self, direction: Direction
    ) -> None:
        """Finite difference of the task loss along the direction, of a real network in double precision."""
        network, adaptation = student_network()
        parameters = [*network.parameters(), *adaptation.parameters()]
        step, report = direction(*losses(network, adaptation), parameters)
        assert any(report.revised.values())
        task_gradient = flat_gradient(losses(network, adaptation)[0], parameters)
        rate = (torch.cat([g.flatten() for g in step]) @ task_gradient).item()
        size, values = 1e-7, []
        for sign in (1, -2):
            with torch.no_grad():
                for parameter, gradient in zip(parameters, step, strict=True):
                    parameter.add_(gradient, alpha=sign * size)
            values.append(losses(network, adaptation)[0].item())
        assert (values[0] - values[1]) / (2 * size) == pytest.approx(rate, rel=1e-4)
        assert rate >= (task_gradient @ task_gradient).item() * (1 - 1e-9)

    @pytest.mark.parametrize("bad", [float("inf"), float("nan")])
    @pytest.mark.parametrize("where", ["task", "one", "two"])
    def test_overflow_reaches_the_result(self, direction: Direction, bad: float, where: str) -> None:
        w = torch.zeros(2, requires_grad=True)
        named = {"task": w[0] + w[1], "one": -w[0], "two": w[1]}
        named[where] = named[where] + bad * w[0]
        (total,), report = direction(named.pop("task"), named, [w])
        assert not total.isfinite().all()
        assert not report.finite


Losses = tuple[Tensor, dict[str, Tensor]]


def student_network() -> tuple[GraphNetwork, nn.Conv2d]:
    torch.manual_seed(0)
    network = st_2sgcn(PENN_13, classes=4, width=4, temporal_kernel=3).double()
    return network, adaptation_layer(network.feature_channels, 6).double()


def batch() -> tuple[Tensor, Tensor, Tensor, NetworkOutput]:
    """Clips, mask, labels and a teacher's output: KL and edge conflict with the task, node does not."""
    generator = torch.Generator().manual_seed(8)
    x = torch.randn(3, 2, 3, 8, 13, generator=generator, dtype=torch.float64)
    mask = torch.tensor([[True, True], [True, False], [True, True]])
    logits = 3 * torch.randn(3, 4, generator=generator, dtype=torch.float64)
    features = torch.randn(3, 2, 6, 2, 13, generator=generator, dtype=torch.float64)
    return x, mask, logits.argmin(dim=1), NetworkOutput(logits, features)  # the teacher is wrong


def losses(network: nn.Module, adaptation: nn.Module) -> Losses:
    """Task loss and distillation losses from one forward pass."""
    x, mask, label, teacher = batch()
    logits, features = network(x, mask)
    adapted = adaptation(features[mask])
    return cross_entropy(logits, label), {
        "kl": kl_divergence(logits, teacher.logits, 1.0),
        "node": 0.5 * node_loss(adapted, teacher.features[mask]),
        "edge": 0.5 * edge_loss(adapted, teacher.features[mask]),
    }


def flat_gradient(loss: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.cat(
        [
            torch.zeros(p.numel(), dtype=p.dtype) if g is None else g.flatten()
            for p, g in zip(parameters, gradients, strict=True)
        ]
    )


def written_out_algorithm_1(network: GraphNetwork, adaptation: nn.Conv2d) -> Tensor:
    """Algorithm 1 literally: a forward and a backward pass for each loss, each on a copy."""

    def gradient(pick: Callable[[Losses], Tensor]) -> Tensor:
        pair = copy.deepcopy(nn.ModuleList([network, adaptation]))
        return flat_gradient(pick(losses(pair[0], pair[1])), list(pair.parameters()))

    g_t = gradient(lambda found: found[0])
    total = g_t.clone()
    for name in ("kl", "node", "edge"):
        g_q = gradient(lambda found, name=name: found[1][name])  # type: ignore[misc]
        if g_q @ g_t < 0:
            g_q = g_q - (g_q @ g_t) / (g_t @ g_t) * g_t
        total += g_q
    return total


def assign(parameters: list[nn.Parameter], gradients: tuple[Tensor, ...]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient


class TestOnStGcn:
    def test_equals_algorithm_1_written_out(self) -> None:
        network, adaptation = student_network()
        expected = written_out_algorithm_1(network, adaptation)
        parameters = [*network.parameters(), *adaptation.parameters()]
        gradients, report = revised_gradients(*losses(network, adaptation), parameters)
        assert report.revised == {"kl": True, "node": False, "edge": True}
        torch.testing.assert_close(
            torch.cat([g.flatten() for g in gradients]), expected, rtol=1e-5, atol=1e-10
        )

    def test_equals_the_sum_of_two_gradients(self) -> None:
        """``(1 + Σ a_q) g_T + ∇ Σ L_q`` with ``a_q = max(0, -<g_q, g_T>/|g_T|²)``."""
        network, adaptation = student_network()
        parameters = [*network.parameters(), *adaptation.parameters()]
        gradients, report = revised_gradients(*losses(network, adaptation), parameters)
        assert any(report.revised.values())

        task, others = losses(network, adaptation)
        g_t = flat_gradient(losses(network, adaptation)[0], parameters)
        g_q = [flat_gradient(losses(network, adaptation)[1][name], parameters) for name in others]
        shares = [max(0.0, -(g @ g_t / (g_t @ g_t)).item()) for g in g_q]
        whole = (1 + sum(shares)) * task + torch.stack(list(others.values())).sum()
        torch.testing.assert_close(
            torch.cat([g.flatten() for g in gradients]),
            flat_gradient(whole, parameters),
            rtol=1e-9,
            atol=1e-12,
        )

    def test_batch_norm_statistics_are_updated_once_a_step(self) -> None:
        network, adaptation = student_network()
        once = copy.deepcopy(network)
        x, mask, *_ = batch()
        once(x, mask)
        parameters = [*network.parameters(), *adaptation.parameters()]
        revised_gradients(*losses(network, adaptation), parameters)
        torch.testing.assert_close(dict(network.named_buffers()), dict(once.named_buffers()), rtol=0, atol=0)
        counts = [b.item() for name, b in network.named_buffers() if name.endswith("num_batches_tracked")]
        assert set(counts) == {1}

    def test_adaptation_layer_is_trained(self) -> None:
        network, adaptation = student_network()
        before = copy.deepcopy(adaptation)
        parameters = [*network.parameters(), *adaptation.parameters()]
        optimizer = torch.optim.SGD(parameters, lr=0.02)
        history = []
        for _ in range(8):
            task, others = losses(network, adaptation)
            history.append(others["node"].item())
            gradients, _ = revised_gradients(task, others, parameters)
            assign(parameters, gradients)
            optimizer.step()
        assert history[-1] < 0.9 * history[0]
        assert not torch.equal(adaptation.weight, before.weight)
        assert adaptation.bias is not None
        assert before.bias is not None
        assert not torch.equal(adaptation.bias, before.bias)

    def test_revision_commutes_with_a_common_scale(self) -> None:
        """Unscaling the gradients removes the factor that a loss scaler applies to the losses."""
        network, adaptation = student_network()
        parameters = [*network.parameters(), *adaptation.parameters()]
        plain, report = revised_gradients(*losses(network, adaptation), parameters)
        task, others = losses(network, adaptation)
        scaled, scaled_report = revised_gradients(
            1024 * task, {name: 1024 * loss for name, loss in others.items()}, parameters
        )
        torch.testing.assert_close(tuple(g / 1024 for g in scaled), plain)
        assert scaled_report.revised == report.revised
        assert scaled_report.cosine == pytest.approx(dict(report.cosine))

    def test_works_with_a_loss_scaler(self) -> None:
        """The example of the docstring: a finite step is taken, an overflowing one is skipped."""
        network, adaptation = student_network()
        parameters = [*network.parameters(), *adaptation.parameters()]
        optimizer = torch.optim.SGD(parameters, lr=0.1)
        scaler = GradScaler("cpu", init_scale=2.0**10)

        def step(task: Tensor, others: Mapping[str, Tensor]) -> bool:
            """Whether the weights moved."""
            before = network.classify.weight.detach().clone()
            scaled = {name: scaler.scale(loss) for name, loss in others.items()}
            gradients, _ = revised_gradients(scaler.scale(task), scaled, parameters)
            assign(parameters, gradients)
            scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
            return not torch.equal(before, network.classify.weight)

        task, others = losses(network, adaptation)
        assert step(task, others)
        task, others = losses(network, adaptation)
        assert not step(task, {**others, "kl": others["kl"] * float("inf")})
        assert scaler.get_scale() == 2.0**9
        assert all(p.isfinite().all() for p in parameters)
