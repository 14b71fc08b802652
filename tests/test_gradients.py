"""Gradient revision: by hand, as a property, and against Algorithm 1 written out on a real network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from skdpipe.distill import tape as tape_module
from skdpipe.distill.edge_loss import edge_loss
from skdpipe.distill.gradients import (
    RevisionReport,
    inner_product,
    revise,
    revised_gradients,
    revised_gradients_by_tape,
)
from skdpipe.distill.losses import cross_entropy, kl_divergence, node_loss
from skdpipe.distill.tape import Tape
from skdpipe.networks import GraphNetwork, adaptation_layer, st_2sgcn, st_gcn, st_sgcn, temporal
from skdpipe.networks.output import NetworkOutput
from skdpipe.skeleton import PENN_13


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

    @settings(max_examples=200, deadline=None)
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
        # g_T = (1, 0), g_q = (-4, 3): the task says nothing about the second.
        torch.testing.assert_close(gradients, (torch.tensor([1.0]), torch.tensor([3.0])))
        assert report.cosine["q"] == pytest.approx(-4 / 5)

    def test_task_without_gradient_leaves_the_rest_alone(self) -> None:
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
        """A loss scaler must find something to skip the step for, and so must the report."""
        w = torch.zeros(3, requires_grad=True)
        poisoned = (w * torch.tensor([bad, 1.0, -1.0])).sum()
        healthy = (w * torch.tensor([0.0, -1.0, 1.0])).sum()
        task, other = (poisoned, healthy) if where == "task" else (healthy, poisoned)
        (total,), report = revised_gradients(task, {"q": other}, [w])
        assert not total.isfinite().all()
        assert not report.finite


Losses = tuple[Tensor, dict[str, Tensor]]


def student_network() -> tuple[GraphNetwork, nn.Conv2d]:
    torch.manual_seed(0)
    network = st_2sgcn(PENN_13, classes=4, width=4, temporal_kernel=3).double()
    return network, adaptation_layer(network.feature_channels, 6).double()


def batch() -> tuple[Tensor, Tensor, Tensor, NetworkOutput]:
    """Clips, mask, labels and a teacher's answer: KL and edge conflict with the task, node does not."""
    generator = torch.Generator().manual_seed(8)
    x = torch.randn(3, 2, 3, 8, 13, generator=generator, dtype=torch.float64)
    mask = torch.tensor([[True, True], [True, False], [True, True]])
    logits = 3 * torch.randn(3, 4, generator=generator, dtype=torch.float64)
    features = torch.randn(3, 2, 6, 2, 13, generator=generator, dtype=torch.float64)
    return x, mask, logits.argmin(dim=1), NetworkOutput(logits, features)  # the teacher is wrong


def losses(network: nn.Module, adaptation: nn.Module, dtype: torch.dtype = torch.float64) -> Losses:
    """Task loss and distillation losses from one forward pass."""
    task, others, _ = losses_through(network, adaptation, dtype)
    return task, others


def losses_of(logits: Tensor, adapted: Tensor, mask: Tensor, label: Tensor, teacher: NetworkOutput) -> Losses:
    return cross_entropy(logits, label), {
        "kl": kl_divergence(logits, teacher.logits.to(logits), 1.0),
        "node": 0.5 * node_loss(adapted, teacher.features[mask].to(adapted)),
        "edge": 0.5 * edge_loss(adapted, teacher.features[mask].to(adapted)),
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
    """Algorithm 1 word by word: a forward and a backward pass for each loss, on a copy of its own."""

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

    def test_batch_norm_moves_once_a_step(self) -> None:
        network, adaptation = student_network()
        once = copy.deepcopy(network)
        x, mask, *_ = batch()
        once(x, mask)
        parameters = [*network.parameters(), *adaptation.parameters()]
        revised_gradients(*losses(network, adaptation), parameters)
        torch.testing.assert_close(dict(network.named_buffers()), dict(once.named_buffers()), rtol=0, atol=0)
        counts = [b.item() for name, b in network.named_buffers() if name.endswith("num_batches_tracked")]
        assert set(counts) == {1}

    def test_adaptation_layer_learns(self) -> None:
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

    def test_a_common_scale_goes_through(self) -> None:
        """What a loss scaler does to the losses, unscaling undoes in the gradients."""
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
        """As the docstring shows it: a healthy step is taken, an overflowing one is skipped."""
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


def assert_tape_equals_the_explicit_way(network: GraphNetwork) -> None:
    adaptation = adaptation_layer(network.feature_channels, 6).double()
    parameters = [*network.parameters(), *adaptation.parameters()]
    torch.manual_seed(1)
    expected, explicit = revised_gradients(*losses(network, adaptation), parameters)
    torch.manual_seed(1)
    gradients, report = by_tape(network, adaptation)
    torch.testing.assert_close(gradients, expected, rtol=1e-8, atol=1e-11)
    assert report.share == pytest.approx(dict(explicit.share))
    assert report.cosine == {}


class TestByTape:
    """The cheap way against the explicit one."""

    def test_equals_algorithm_1_written_out(self) -> None:
        network, adaptation = student_network()
        expected = written_out_algorithm_1(network, adaptation)
        gradients, report = by_tape(network, adaptation)
        assert report.revised == {"kl": True, "node": False, "edge": True}
        torch.testing.assert_close(
            torch.cat([g.flatten() for g in gradients]), expected, rtol=1e-5, atol=1e-10
        )

    @pytest.mark.parametrize("build", [st_gcn, st_sgcn, st_2sgcn])
    def test_equals_the_explicit_way_on_every_network_with_dropout(
        self, build: Callable[..., GraphNetwork]
    ) -> None:
        torch.manual_seed(0)
        assert_tape_equals_the_explicit_way(build(PENN_13, classes=4, width=3, dropout=0.4).double())

    def test_equals_the_explicit_way_in_single_precision(self) -> None:
        network, adaptation = (module.float() for module in student_network())
        parameters = [*network.parameters(), *adaptation.parameters()]
        expected, _ = revised_gradients(*losses(network, adaptation, torch.float32), parameters)
        gradients, _ = by_tape(network, adaptation, dtype=torch.float32)
        for one, other in zip(gradients, expected, strict=True):
            assert (one - other).norm() <= 1e-4 * other.norm() + 1e-6

    def test_equals_the_explicit_way_where_the_temporal_convolution_is_fast(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(temporal, "_CHANNELS", 1)
        monkeypatch.setattr(temporal, "_WASTE", 100.0)
        network, adaptation = student_network()
        parameters = [*network.parameters(), *adaptation.parameters()]
        expected, _ = revised_gradients(*losses(network, adaptation), parameters)
        gradients, _ = by_tape(network, adaptation)
        torch.testing.assert_close(gradients, expected, rtol=1e-6, atol=1e-9)

    def test_half_precision_with_a_loss_scale(self) -> None:
        """Under autocast the products are as good as half precision allows, at any scale."""
        network, adaptation = (module.float() for module in student_network())
        parameters = [*network.parameters(), *adaptation.parameters()]
        shares = []
        for scale in (1.0, 2.0**16):
            with Tape() as tape, torch.autocast("cpu", torch.bfloat16):
                task, others, through = losses_through(network, adaptation, torch.float32)
            gradients, report = revised_gradients_by_tape(
                scale * task, {name: scale * loss for name, loss in others.items()}, parameters, through, tape
            )
            assert report.finite
            shares.append(report.share)
        with torch.autocast("cpu", torch.bfloat16):
            found = losses(network, adaptation, torch.float32)
        expected, explicit = revised_gradients(*found, parameters)
        for share in shares:
            assert share == pytest.approx(dict(explicit.share), rel=0.1, abs=0.05)
        scaled, wanted = (torch.cat([g.flatten() for g in each]) for each in (gradients, expected))
        assert (scaled / 2.0**16 - wanted).norm() < 0.1 * wanted.norm()

    def test_batch_norm_moves_once_a_step(self) -> None:
        network, adaptation = student_network()
        once = copy.deepcopy(network)
        x, mask, *_ = batch()
        once(x, mask)
        by_tape(network, adaptation)
        torch.testing.assert_close(dict(network.named_buffers()), dict(once.named_buffers()), rtol=0, atol=0)

    def test_in_evaluation_mode_too(self) -> None:
        network, adaptation = student_network()
        network.eval()
        parameters = [*network.parameters(), *adaptation.parameters()]
        expected, _ = revised_gradients(*losses(network, adaptation), parameters)
        torch.testing.assert_close(by_tape(network, adaptation)[0], expected, rtol=1e-8, atol=1e-11)

    @pytest.mark.parametrize("bad", [float("inf"), float("nan")])
    def test_overflow_shows(self, bad: float) -> None:
        network, adaptation = student_network()
        parameters = [*network.parameters(), *adaptation.parameters()]
        with Tape() as tape:
            task, others, through = losses_through(network, adaptation)
        gradients, report = revised_gradients_by_tape(bad * task, others, parameters, through, tape)
        assert not all(g.isfinite().all() for g in gradients)
        assert not report.finite

    def test_task_without_gradient_leaves_the_rest_alone(self) -> None:
        w = torch.ones(2, requires_grad=True)
        with Tape() as tape:
            y = 2 * w
        (total,), report = revised_gradients_by_tape((0 * y).sum(), {"q": -y.sum()}, [w], [y], tape)
        torch.testing.assert_close(total, torch.tensor([-2.0, -2.0]))
        assert report.share == {"q": 0.0}


class TestTape:
    def test_rates_of_change_against_forward_mode(self) -> None:
        """Operations of every kind the tape has a rule for, and some it leaves to PyTorch."""
        torch.manual_seed(0)
        a, b = (torch.randn(3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
        directions = torch.randn_like(a), torch.randn_like(b)

        def results(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
            c = torch.addmm(b[:, :3], a, b.t()) * 2 - a[:, 1:].relu()
            d = torch.cat([c, torch.stack([a[0], b[1]])[:, :3], 1 - c])
            e = torch.baddbmm(
                a[:, None], d[None, :3].expand(3, -1, -1)[:, :1], b.view(3, 1, 4)[:, :, :].expand(3, 3, 4)
            )
            f = a[:, :1] / (1 + b.square()) + 2 / b.exp() + b / 3 + a.div(b, rounding_mode="floor")
            left, right = (3 - torch.rsub(b, a, alpha=2)).split([1, 3], dim=1)
            f = f + left.tanh() * F.elu(a) + F.elu(b, 0.5) * torch.rsub(a, 2, alpha=3) + right.sum()
            f = f + F.max_pool2d(torch.stack([a, b])[None], (3, 1), stride=1, padding=(1, 0))[0].sum(dim=0)
            still = torch.zeros_like(a) + a.new_zeros(())
            e = (e / (1 + b.square()[:, None])).mean(dim=1)
            return c, d.sigmoid().softmax(dim=1), e, a.exp().sum(), f - still

        with Tape() as tape:
            found = results(a, b)
        rates = tape.derivative(dict(zip((a, b), directions, strict=True)), found)
        _, expected = torch.func.jvp(results, (a.detach(), b.detach()), directions)
        torch.testing.assert_close(tuple(rates), expected)

    def test_what_does_not_move_has_no_rate(self) -> None:
        a, b = (torch.ones(2, requires_grad=True) for _ in range(2))
        with Tape() as tape:
            c, d = 2 * a, 3 * b
        moved, still = tape.derivative({a: torch.ones(2)}, [c, d])
        torch.testing.assert_close(moved, torch.full((2,), 2.0))
        torch.testing.assert_close(still, torch.zeros(2))

    def test_rates_are_kept_only_until_their_last_use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Memory does not grow with the way; what is used late, or wanted, is still there then."""
        alive = []

        def push(step: tape_module._Step, tangents: tape_module._Tangents) -> None:
            _push(step, tangents)
            alive.append(len(tangents))

        _push = tape_module._push
        monkeypatch.setattr(tape_module, "_push", push)
        a = torch.ones(2, requires_grad=True)
        with Tape() as tape:
            early = b = a + 1
            for _ in range(30):
                b = b.relu() + 1
            late = b * early
        rates = tape.derivative({a: torch.tensor([1.0, 2.0])}, [late, early])
        torch.testing.assert_close(rates[0], torch.tensor([34.0, 68.0]))  # (a + 31) (a + 1)
        torch.testing.assert_close(rates[1], torch.tensor([1.0, 2.0]))
        assert len(alive) > 60
        assert max(alive) == 3  # what is wanted, the last, and the next

    def test_positions_stand_still_and_parts_of_a_step_move(self) -> None:
        """Linear interpolation between neighbours, at positions that are themselves parameters."""
        at = torch.tensor([0.3, 2.9, 1.0], dtype=torch.float64, requires_grad=True)
        values = torch.tensor([1.0, 4.0, 9.0, 7.0], dtype=torch.float64, requires_grad=True)
        with Tape() as tape:
            whole = at.floor()
            early = values.index_select(0, whole.long())
            late = values.index_select(0, (whole.long() + 1).clamp(0, 3))
            result = early + (at - whole) * (late - early)
        (alone,) = tape.derivative({at: torch.ones_like(at)}, [result])
        torch.testing.assert_close(alone, torch.tensor([3.0, -2.0, 5.0], dtype=torch.float64))
        values_move = torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=torch.float64)
        (both,) = tape.derivative({at: torch.ones_like(at), values: values_move}, [result])
        torch.testing.assert_close(both, torch.tensor([3.0, -1.9, 5.0], dtype=torch.float64))

    @pytest.mark.parametrize(
        ("spoil", "kind"), [(torch.rand_like, "random"), (lambda b: b.add_(b), "in-place")]
    )
    def test_random_and_in_place_operations_are_refused(
        self, spoil: Callable[[Tensor], Tensor], kind: str
    ) -> None:
        a = torch.ones(2, requires_grad=True)
        with Tape() as tape:
            c = 3 * spoil(0.5 * a)
        with pytest.raises(NotImplementedError, match=kind):
            tape.derivative({a: torch.ones(2)}, [c])


def losses_through(
    network: nn.Module, adaptation: nn.Module, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, dict[str, Tensor], tuple[Tensor, Tensor]]:
    """As `losses`, with the results through which they reach the parameters."""
    x, mask, label, teacher = batch()
    logits, features = network(x.to(dtype), mask)
    logits, adapted = logits.to(dtype), adaptation(features[mask]).to(dtype)
    return *losses_of(logits, adapted, mask, label, teacher), (logits, adapted)


def by_tape(
    network: nn.Module, adaptation: nn.Module, dtype: torch.dtype = torch.float64
) -> tuple[tuple[Tensor, ...], RevisionReport]:
    with Tape() as tape:
        task, others, through = losses_through(network, adaptation, dtype)
    parameters = [*network.parameters(), *adaptation.parameters()]
    return revised_gradients_by_tape(task, others, parameters, through, tape)
