"""Losses: zero at the optimum, hand-derived values, gradcheck, loops as references, invariances."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from skdpipe.distill.losses import (
    binary_cross_entropy_per_class,
    cross_entropy,
    kl_divergence,
    node_loss,
    relative_node_loss,
    reverse_kl_divergence,
)

FeatureLoss = Callable[[Tensor, Tensor], Tensor]
DivergenceLoss = Callable[[Tensor, Tensor, float], Tensor]
FEATURE_LOSSES = [node_loss, relative_node_loss]
DIVERGENCES = [kl_divergence, reverse_kl_divergence]


def features(seed: int, rows: int = 2, channels: int = 3, frames: int = 3, joints: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, channels, frames, joints, generator=generator, dtype=torch.float64)


def logits(seed: int, batch: int = 3, classes: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, classes, generator=generator, dtype=torch.float64)


def points(*values: float) -> Tensor:
    """One row, one channel, one frame: joints on a line."""
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


class TestTaskLosses:
    LABEL = torch.tensor([2, 0, 3])

    def test_cross_entropy_by_hand(self) -> None:
        # softmax([0, log 3]) = [1/4, 3/4]
        x = torch.tensor([[0.0, math.log(3)]])
        assert cross_entropy(x, torch.tensor([0])).item() == pytest.approx(math.log(4))
        assert cross_entropy(x, torch.tensor([1])).item() == pytest.approx(math.log(4 / 3))

    def test_smoothing_by_hand(self) -> None:
        # With ε = 0.2 and two classes the label has 0.9, the other 0.1.
        x = torch.tensor([[0.0, math.log(3)]])
        expected = 0.9 * math.log(4) + 0.1 * math.log(4 / 3)
        assert cross_entropy(x, torch.tensor([0]), smoothing=0.2).item() == pytest.approx(expected)

    def test_per_class_by_hand(self) -> None:
        # softmax = [1/6, 2/6, 3/6]; label 1: -(log 5/6 + log 2/6 + log 3/6)
        x = torch.tensor([[0.0, math.log(2), math.log(3)]])
        expected = -math.log(5 / 6 * 2 / 6 * 3 / 6)
        assert binary_cross_entropy_per_class(x, torch.tensor([1])).item() == pytest.approx(expected)

    def test_per_class_as_printed(self) -> None:
        x = logits(0)
        p = x.softmax(dim=1)
        total = 0.0
        for i in range(3):
            for j in range(4):
                y = float(self.LABEL[i] == j)
                total -= y * math.log(p[i, j]) + (1 - y) * math.log(1 - p[i, j])
        assert binary_cross_entropy_per_class(x, self.LABEL).item() == pytest.approx(total / 3)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_per_class_is_finite_for_confident_wrong_predictions(self, dtype: torch.dtype) -> None:
        # P ≈ [1, e^-200, e^-200], label 1: -log(2 e^-200) - log(e^-200) - log 1 = 400 - log 2
        x = torch.tensor([[200.0, 0.0, 0.0]], dtype=dtype, requires_grad=True)
        loss = binary_cross_entropy_per_class(x, torch.tensor([1]))
        torch.autograd.backward(loss)
        assert loss.item() == pytest.approx(400 - math.log(2), rel=1e-6)
        assert x.grad is not None
        torch.testing.assert_close(x.grad, torch.tensor([[2.0, -1.5, -0.5]], dtype=dtype))

    def test_per_class_gradcheck(self) -> None:
        x = logits(1).requires_grad_()
        assert torch.autograd.gradcheck(lambda x: binary_cross_entropy_per_class(x, self.LABEL), (x,))


class TestDivergences:
    STUDENT = torch.tensor([[0.0, 0.0]])  # 1/2, 1/2
    TEACHER = torch.tensor([[0.0, math.log(3)]])  # 1/4, 3/4

    def test_usual_direction_by_hand(self) -> None:
        expected = 1 / 4 * math.log(1 / 2) + 3 / 4 * math.log(3 / 2)
        assert kl_divergence(self.STUDENT, self.TEACHER, 1.0).item() == pytest.approx(expected)

    def test_printed_direction_by_hand(self) -> None:
        expected = 1 / 2 * math.log(2) + 1 / 2 * math.log(2 / 3)
        assert reverse_kl_divergence(self.STUDENT, self.TEACHER, 1.0).item() == pytest.approx(expected)

    @pytest.mark.parametrize("divergence", DIVERGENCES)
    def test_temperature_divides_logits_and_multiplies_by_its_square(
        self, divergence: DivergenceLoss
    ) -> None:
        student, teacher = logits(0), logits(1)
        expected = 9 * divergence(student / 3, teacher / 3, 1.0)
        torch.testing.assert_close(divergence(student, teacher, 3.0), expected)

    @pytest.mark.parametrize("divergence", DIVERGENCES)
    def test_mean_over_the_batch(self, divergence: DivergenceLoss) -> None:
        student, teacher = logits(0), logits(1)
        single = [divergence(student[i : i + 1], teacher[i : i + 1], 2.0) for i in range(3)]
        torch.testing.assert_close(divergence(student, teacher, 2.0), torch.stack(single).mean())

    @pytest.mark.parametrize("divergence", DIVERGENCES)
    def test_zero_with_zero_gradient_at_equality(self, divergence: DivergenceLoss) -> None:
        student = (logits(0) + 5).requires_grad_()  # a shift of logits is no difference
        loss = divergence(student, logits(0), 2.0)
        (gradient,) = torch.autograd.grad(loss, student)
        assert loss.item() == pytest.approx(0, abs=1e-12)
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)

    @pytest.mark.parametrize("divergence", DIVERGENCES)
    def test_gradcheck_and_constant_teacher(self, divergence: DivergenceLoss) -> None:
        student, teacher = logits(0).requires_grad_(), logits(1).requires_grad_()
        torch.autograd.backward(divergence(student, teacher, 2.0))
        assert teacher.grad is None
        assert torch.autograd.gradcheck(lambda s: divergence(s, teacher.detach(), 2.0), (student,))


def naive_node_loss(student: Tensor, teacher: Tensor) -> float:
    rows, _, frames, joints = student.shape
    total = 0.0
    for i in range(rows):
        for j in range(frames):
            for k in range(joints):
                total += float((student[i, :, j, k] - teacher[i, :, j, k]).square().sum())
    return total / (rows * frames * joints)


class TestFeatureLosses:
    def test_node_loss_against_loops(self) -> None:
        student, teacher = features(0), features(1)
        assert node_loss(student, teacher).item() == pytest.approx(
            naive_node_loss(student, teacher), rel=1e-10
        )

    def test_node_loss_by_hand(self) -> None:
        student = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 2, 1, 2)  # vertices (1, 3), (2, 4)
        assert node_loss(student, torch.zeros(1, 2, 1, 2)).item() == (1 + 9 + 4 + 16) / 2

    @pytest.mark.parametrize("loss", FEATURE_LOSSES)
    def test_zero_with_zero_gradient_at_equality(self, loss: FeatureLoss) -> None:
        student = features(0).requires_grad_()
        value = loss(student, student)
        (gradient,) = torch.autograd.grad(value, student)
        assert value.item() == 0
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-14)

    @pytest.mark.parametrize("loss", FEATURE_LOSSES)
    def test_gradcheck_and_constant_teacher(self, loss: FeatureLoss) -> None:
        student, teacher = features(0).requires_grad_(), features(1).requires_grad_()
        torch.autograd.backward(loss(student, teacher))
        assert teacher.grad is None
        assert torch.autograd.gradcheck(lambda s: loss(s, teacher.detach()), (student,))

    @pytest.mark.parametrize("loss", FEATURE_LOSSES)
    def test_forward_mode_agrees_with_backward(self, loss: FeatureLoss) -> None:
        student, teacher, direction = features(0), features(1), features(2)
        gradient = torch.func.grad(loss)(student, teacher)
        along = torch.func.jvp(lambda s: loss(s, teacher), (student,), (direction,))[1]
        torch.testing.assert_close(along, (gradient * direction).sum())

    @pytest.mark.parametrize("loss", FEATURE_LOSSES)
    def test_no_rows(self, loss: FeatureLoss) -> None:
        student = torch.zeros(0, 3, 2, 4, requires_grad=True)
        value = loss(student, torch.zeros(0, 3, 2, 4))
        (gradient,) = torch.autograd.grad(value, student)
        assert value.item() == 0
        assert gradient.shape == student.shape

    @pytest.mark.parametrize("loss", FEATURE_LOSSES)
    @pytest.mark.parametrize("offset", [0.0, 30.0])
    def test_single_precision_is_exact_to_1e_5(self, loss: FeatureLoss, offset: float) -> None:
        """Also if the vertices are close together and far from the origin."""
        student = (features(0, channels=64) + offset).float().requires_grad_()
        teacher = (features(1, channels=64) + offset).float()
        single = loss(student, teacher)
        double = loss(exact := student.detach().double().requires_grad_(), teacher.double())
        (single_gradient,) = torch.autograd.grad(single, student)
        (double_gradient,) = torch.autograd.grad(double, exact)
        assert single.dtype == torch.float32
        assert single.item() == pytest.approx(double.item(), rel=1e-5)
        scale = double_gradient.abs().max().item()
        torch.testing.assert_close(single_gradient.double(), double_gradient, rtol=0, atol=1e-5 * scale)

    @pytest.mark.parametrize("loss", FEATURE_LOSSES)
    def test_autocast_and_half_precision_features(self, loss: FeatureLoss) -> None:
        student, teacher = features(0, channels=64).half(), features(1, channels=64).half()
        expected = loss(student.double(), teacher.double())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = loss(student, teacher)
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(expected.item(), rel=1e-5)

    @pytest.mark.parametrize("loss", FEATURE_LOSSES)
    def test_different_vertices_are_rejected(self, loss: FeatureLoss) -> None:
        with pytest.raises(AssertionError, match="against"):
            loss(features(0, frames=3), features(1, frames=1))


@pytest.mark.parametrize("loss", FEATURE_LOSSES)
def test_invariant_to_repeated_rows_and_order_of_vertices(loss: FeatureLoss) -> None:
    """Means, not sums: over rows, frames and joints."""
    student, teacher = features(0), features(1)
    expected = loss(student, teacher)
    torch.testing.assert_close(loss(student.repeat(2, 1, 1, 1), teacher.repeat(2, 1, 1, 1)), expected)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(loss(student[..., order], teacher[..., order]), expected)


class TestRelativeNodeLoss:
    def test_is_one_for_a_student_of_zeros(self) -> None:
        teacher = features(0)
        assert relative_node_loss(torch.zeros_like(teacher), teacher).item() == pytest.approx(1)

    def test_by_hand(self) -> None:
        # |(1, 2) - (3, 4)|^2 = 8 against |(3, 4)|^2 = 25
        assert relative_node_loss(points(1, 2), points(3, 4)).item() == pytest.approx(8 / 25)

    @given(scale=st.floats(0.01, 100))
    @settings(max_examples=20)
    def test_does_not_depend_on_the_scale_of_the_features(self, scale: float) -> None:
        student, teacher = features(1), features(2)
        expected = relative_node_loss(student, teacher)
        torch.testing.assert_close(relative_node_loss(scale * student, scale * teacher), expected)

    def test_is_the_node_loss_for_a_teacher_of_zeros(self) -> None:
        student = features(3)
        teacher = torch.zeros_like(student)
        torch.testing.assert_close(relative_node_loss(student, teacher), node_loss(student, teacher))
