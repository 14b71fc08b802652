"""The edge loss: references by all pairs and by loops, hand-derived values, gradient, symmetries, memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import plain_edges
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from skdpipe.distill import edge_loss as module
from skdpipe.distill.edge_loss import edge_loss, official_edge_loss

EdgeLoss = Callable[[Tensor, Tensor], Tensor]
LOSSES = [edge_loss, official_edge_loss]
PLAIN = {edge_loss: plain_edges.edge_loss, official_edge_loss: plain_edges.official_edge_loss}
each_loss = pytest.mark.parametrize("loss", LOSSES)


def features(seed: int, rows: int = 2, channels: int = 3, frames: int = 3, joints: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, channels, frames, joints, generator=generator, dtype=torch.float64)


def points(*values: float) -> Tensor:
    """One row, one channel, one frame: joints on a line."""
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


def with_gradient(loss: EdgeLoss, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    student = student.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    value = loss(student, teacher)
    return value.detach(), torch.autograd.grad(value, student)[0]


def assert_near(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Relative to the norm of the expected tensor, or 1e-15 if all terms cancel."""
    assert (found.double() - expected).norm() <= tolerance * expected.norm() + 1e-15


def assert_as_plain(loss: EdgeLoss, student: Tensor, teacher: Tensor, tolerance: float) -> None:
    """Compare value and gradient with the plain version in double precision."""
    value, gradient = with_gradient(loss, student, teacher)
    expected, plain_gradient = with_gradient(PLAIN[loss], student.double(), teacher.double())
    assert value.item() == pytest.approx(expected.item(), rel=tolerance)
    assert_near(gradient, plain_gradient, tolerance)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four vertices along a side; the lengths of the first five blocks of a row are stored."""
    monkeypatch.setattr(module, "_CPU_SIZES", (4, 32, 80))


class TestAgainstPlain:
    @each_loss
    @pytest.mark.parametrize("vertices", [2, 3, 4, 5, 7, 8, 9, 12, 29])
    @pytest.mark.usefixtures("small_blocks")
    def test_any_number_of_blocks(self, loss: EdgeLoss, vertices: int) -> None:
        student, teacher = features(0, 5, 6, 1, vertices), features(1, 5, 4, 1, vertices)
        assert_as_plain(loss, student, teacher, 1e-10)

    @each_loss
    def test_single_vertex(self, loss: EdgeLoss) -> None:
        value, gradient = with_gradient(loss, features(0, 5, 6, 1, 1), features(1, 5, 4, 1, 1))
        assert value == 0
        assert (gradient == 0).all()

    @each_loss
    @pytest.mark.parametrize("stored", [0, 16, 80, 10**6])
    def test_storing_lengths_does_not_change_the_result(
        self, monkeypatch: pytest.MonkeyPatch, loss: EdgeLoss, stored: int
    ) -> None:
        monkeypatch.setattr(module, "_CPU_SIZES", (4, 16, stored))
        assert_as_plain(loss, features(0), features(1), 1e-10)

    @each_loss
    @pytest.mark.parametrize("more", [-1, 0, 1])
    def test_around_the_edge_of_a_block(self, loss: EdgeLoss, more: int) -> None:
        vertices = module._CPU_SIZES[0] + more
        assert_as_plain(loss, features(0, 1, 8, 1, vertices), features(1, 1, 8, 1, vertices), 1e-10)

    @each_loss
    @pytest.mark.parametrize("spread", [1.0, 4.0])
    @pytest.mark.usefixtures("small_blocks")
    def test_linear_part_of_huber_and_duplicates(self, loss: EdgeLoss, spread: float) -> None:
        student, teacher = features(0), features(1)
        teacher[0, :, 0] *= spread
        teacher[1, :, 0, 0] = teacher[1, :, 1, 2]
        student[0, :, 1] = student[0, :, 2]
        assert_as_plain(loss, student, teacher, 1e-10)

    @each_loss
    @pytest.mark.parametrize(
        "make",
        [
            pytest.param(lambda x: x.relu() + 5, id="common mean"),
            pytest.param(lambda x: x[:, :, :1] + 1e-3 * x, id="frames nearly equal"),
            pytest.param(lambda x: x[:, :, [0, 1, 1, 2, 2, 3, 4, 5]], id="frames repeated"),
            pytest.param(lambda x: 1e3 * x, id="large"),
            pytest.param(lambda x: x * (1 + 100 * (x[:, :1] > 2)), id="spikes"),
        ],
    )
    def test_single_precision(self, loss: EdgeLoss, make: Callable[[Tensor], Tensor]) -> None:
        student, teacher = (make(features(seed, 2, 16, 8, 13)).float() for seed in (0, 1))
        assert_as_plain(loss, student, teacher, 1e-5)

    @pytest.mark.usefixtures("small_blocks")
    @pytest.mark.parametrize(("gap", "precisions"), [(1e-3, 2), (0.1, 1)])
    def test_precision_of_blocks_whose_vertices_nearly_coincide(
        self, monkeypatch: pytest.MonkeyPatch, gap: float, precisions: int
    ) -> None:
        used = set()

        class Recorded(module._WeightedDifferences):
            def add(self, weights: Tensor, a: slice, b: slice) -> None:
                used.add(weights.dtype)
                super().add(weights, a, b)

        monkeypatch.setattr(module, "_WeightedDifferences", Recorded)
        student, teacher = features(0, 1, 16, 3, 4).float(), features(1, 1, 16, 3, 4).float()
        student[..., 0, 1] = student[..., 0, 0] + gap
        assert_as_plain(official_edge_loss, student, teacher, 1e-6)
        assert len(used) == precisions

    @each_loss
    def test_non_contiguous_features(self, loss: EdgeLoss) -> None:
        student, teacher = (features(seed).permute(0, 1, 3, 2)[:, ::2] for seed in (0, 1))
        assert_as_plain(loss, student, teacher, 1e-10)

    @each_loss
    def test_half_precision_and_autocast(self, loss: EdgeLoss) -> None:
        student, teacher = features(0, channels=64).half(), features(1, channels=64).half()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value, gradient = with_gradient(loss, student, teacher)
        expected, plain_gradient = with_gradient(PLAIN[loss], student.double(), teacher.double())
        assert (value.dtype, gradient.dtype) == (torch.float32, torch.float16)
        assert value.item() == pytest.approx(expected.item(), rel=1e-5)
        assert_near(gradient, plain_gradient, 1e-3)

    @each_loss
    @settings(max_examples=15)
    @given(
        seed=st.integers(0, 1000), rows=st.integers(1, 4), frames=st.integers(1, 4), joints=st.integers(2, 5)
    )
    def test_any_shape(self, loss: EdgeLoss, seed: int, rows: int, frames: int, joints: int) -> None:
        student = features(seed, rows, 3, frames, joints)
        assert_as_plain(loss, student, features(seed + 1, rows, 5, frames, joints), 1e-10)

    @each_loss
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
    def test_on_a_gpu_with_tf32_and_autocast(self, monkeypatch: pytest.MonkeyPatch, loss: EdgeLoss) -> None:
        monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)
        student, teacher = (features(seed, 4, 32, 30, 25).float().cuda() for seed in (0, 1))
        with torch.autocast("cuda"):
            assert_as_plain(loss, student, teacher, 1e-5)


class TestByHand:
    def test_edge_loss(self) -> None:
        # Student 0, 1, 2: squared distances 1 x4, 4 x2, 0 x3, β = 12/9; potentials 3/4 and 3.
        # Teacher 0, 1, 1: squared distances 1 x4, 0 x5, β = 4/9; potential 9/4.
        # Pairs, each twice: 01: 3/4 v. 9/4 -> 3/2 - 1/2 = 1; 02: 3 v. 9/4 -> 9/32; 12: 3/4 v. 0 -> 9/32.
        expected = 2 * (1 + 9 / 32 + 9 / 32) / 9
        assert edge_loss(points(0, 1, 2), points(0, 1, 1)).item() == pytest.approx(expected)

    def test_official_edge_loss(self) -> None:
        # Student 0, 1, 2: distances 1 x4, 2 x2, β = 8/6; potentials 3/4 and 3/2.
        # Teacher 0, 1, 1: distances 1 x4, β = 1 over the pairs apart; potential 1.
        # Pairs, each twice: 01: 1/4 -> 1/32; 02: 1/2 -> 1/8; 12: 3/4 -> 9/32.
        expected = 2 * (1 / 32 + 1 / 8 + 9 / 32) / 9
        assert official_edge_loss(points(0, 1, 2), points(0, 1, 1)).item() == pytest.approx(expected)

    def test_paper_has_one_scale_for_the_mini_batch_and_release_one_for_each_row(self) -> None:
        student, teacher = features(0), features(0)
        teacher[1] *= 3
        assert edge_loss(student, teacher).item() > 0.1
        assert official_edge_loss(student, teacher).item() == pytest.approx(0, abs=1e-12)


def huber(x: float, y: float) -> float:
    return 0.5 * (x - y) ** 2 if abs(x - y) <= 1 else abs(x - y) - 0.5


def naive_pairs(x: Tensor, power: float) -> list[list[float]]:
    """For each row the distances of all pairs of vertices to a power, in the order of Eq. 10."""
    rows, _, frames, joints = x.shape
    vertices = [(t, v) for t in range(frames) for v in range(joints)]
    return [
        [
            sum(float(d) ** 2 for d in x[k, :, i, m] - x[k, :, j, n]) ** (power / 2)
            for i, m in vertices
            for j, n in vertices
        ]
        for k in range(rows)
    ]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def naive_edge_loss(student: Tensor, teacher: Tensor) -> float:
    potentials = []
    for x in (student, teacher):
        pairs = [pair for row in naive_pairs(x, 2) for pair in row]
        potentials.append([pair / mean(pairs) for pair in pairs])
    return mean([huber(s, t) for s, t in zip(*potentials, strict=True)])


def naive_official_edge_loss(student: Tensor, teacher: Tensor) -> float:
    potentials: list[list[float]] = []
    for x in (student, teacher):
        rows = naive_pairs(x, 1)
        betas = [mean([pair for pair in row if pair > 0]) for row in rows]
        potentials.append([pair / beta for row, beta in zip(rows, betas, strict=True) for pair in row])
    return mean([huber(s, t) for s, t in zip(*potentials, strict=True)])


@pytest.mark.parametrize(
    ("loss", "naive"), [(edge_loss, naive_edge_loss), (official_edge_loss, naive_official_edge_loss)]
)
@pytest.mark.parametrize("spread", [1.0, 4.0])
def test_against_loops(loss: EdgeLoss, naive: Callable[[Tensor, Tensor], float], spread: float) -> None:
    student, teacher = features(0), features(1)
    teacher[0, :, 0] *= spread  # far enough for the linear part of Huber
    teacher[1, :, 0, 0] = teacher[1, :, 1, 2]  # two vertices in one place
    assert loss(student, teacher).item() == pytest.approx(naive(student, teacher), rel=1e-10)


class TestGradient:
    @each_loss
    @pytest.mark.usefixtures("small_blocks")
    def test_gradcheck_and_constant_teacher(self, loss: EdgeLoss) -> None:
        student, teacher = features(0).requires_grad_(), features(1).requires_grad_()
        torch.autograd.backward(loss(student, teacher))
        assert teacher.grad is None
        assert torch.autograd.gradcheck(lambda s: loss(s, teacher.detach()), (student,))

    @each_loss
    def test_gradcheck_with_coincident_teacher_vertices(self, loss: EdgeLoss) -> None:
        teacher = features(1)
        teacher[:, :, 1] = teacher[:, :, 0]
        assert torch.autograd.gradcheck(lambda s: loss(s, teacher), (features(0).requires_grad_(),))

    @each_loss
    def test_is_multiplied_by_the_incoming_gradient(self, loss: EdgeLoss) -> None:
        _, gradient = with_gradient(loss, features(0), features(1))
        _, tenfold = with_gradient(lambda s, t: 10 * loss(s, t), features(0), features(1))
        torch.testing.assert_close(tenfold, 10 * gradient)

    @each_loss
    def test_zero_with_zero_gradient_at_equality(self, loss: EdgeLoss) -> None:
        value, gradient = with_gradient(loss, features(0), features(0))
        assert value.item() == pytest.approx(0, abs=1e-28)
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-14)

    @each_loss
    @pytest.mark.parametrize("value", [0.0, 0.1, 1000.1])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_student_with_equal_vertices(self, loss: EdgeLoss, value: float, dtype: torch.dtype) -> None:
        """All potentials and the gradient are zero, not quotients of rounding errors."""
        student, teacher = torch.full((2, 64, 3, 4), value, dtype=dtype), features(0, channels=64).to(dtype)
        result, gradient = with_gradient(loss, student, teacher)
        assert result.item() == loss(torch.zeros_like(student), teacher).item() > 0.1
        assert (gradient == 0).all()

    @each_loss
    def test_row_with_equal_vertices_beside_another(self, loss: EdgeLoss) -> None:
        student = features(0, channels=64)
        student[0] = 0.1
        assert_as_plain(loss, student, features(1, channels=64), 1e-10)
        assert (with_gradient(loss, student, features(1, channels=64))[1][0] == 0).all()

    @each_loss
    def test_coincident_vertices_have_equal_gradients(self, loss: EdgeLoss) -> None:
        student, teacher = features(0), features(1)
        for x in (student, teacher):
            x[..., 0, 0] = x[..., 0, 1]
        _, gradient = with_gradient(loss, student, teacher)
        assert gradient[..., 0, 0].norm() > 0
        torch.testing.assert_close(gradient[..., 0, 0], gradient[..., 0, 1])

    @each_loss
    def test_distances_too_small_for_single_precision_have_finite_gradient(self, loss: EdgeLoss) -> None:
        for scale in (1e-30, 1e-42):
            _, gradient = with_gradient(loss, (scale * features(0)).float(), features(1).float())
            assert gradient.isfinite().all()

    @each_loss
    def test_is_not_computed_if_it_is_not_needed(
        self, loss: EdgeLoss, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        student, teacher = features(0).requires_grad_(), features(1)
        expected = loss(student, teacher)
        monkeypatch.setattr(
            module._WeightedDifferences, "sum", lambda _: pytest.fail("a gradient was computed")
        )
        with torch.no_grad():
            assert loss(student, teacher) == expected
        assert loss(student.detach(), teacher) == expected

    @each_loss
    def test_no_rows(self, loss: EdgeLoss) -> None:
        value, gradient = with_gradient(loss, torch.zeros(0, 3, 2, 4), torch.zeros(0, 3, 2, 4))
        assert value.item() == 0
        assert gradient.shape == (0, 3, 2, 4)


@each_loss
def test_nan_reaches_value_and_gradient(loss: EdgeLoss) -> None:
    student = features(0)
    student[0, 0, 0, 0] = torch.nan
    value, gradient = with_gradient(loss, student, features(1))
    assert value.isnan()
    assert gradient[0].isnan().any()


def test_overflow_reaches_value_and_gradient() -> None:
    value, gradient = with_gradient(edge_loss, 1e25 * features(0).float(), features(1).float())
    assert value.isnan()
    assert gradient.isnan().all()


@each_loss
def test_teacher_may_have_other_channels(loss: EdgeLoss) -> None:
    teacher = features(0)
    wider = torch.cat([teacher, torch.zeros_like(teacher)], dim=1)
    torch.testing.assert_close(loss(features(1), wider), loss(features(1), teacher))


@each_loss
def test_different_vertices_are_rejected(loss: EdgeLoss) -> None:
    with pytest.raises(AssertionError, match="against"):
        loss(features(0, frames=3), features(1, frames=1))


@each_loss
@settings(max_examples=25)
@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3), shift=st.floats(-10, 10))
def test_invariant_to_rotation_shift_and_scale(loss: EdgeLoss, seed: int, scale: float, shift: float) -> None:
    """Rotation and shift keep distances; the scale cancels with β."""
    student, teacher = features(seed), features(seed + 1)
    rotation, _ = torch.linalg.qr(features(seed + 2, rows=1, channels=1, frames=3, joints=3)[0, 0])

    def transformed(x: Tensor) -> Tensor:
        return scale * (torch.einsum("dc,rctv->rdtv", rotation, x) + shift)

    expected = loss(student, teacher)
    torch.testing.assert_close(loss(transformed(student), teacher), expected, rtol=1e-7, atol=0)
    torch.testing.assert_close(loss(student, transformed(teacher)), expected, rtol=1e-7, atol=0)


@each_loss
@pytest.mark.usefixtures("small_blocks")
def test_invariant_to_repeated_rows_and_order_of_vertices(loss: EdgeLoss) -> None:
    """Means, not sums: over rows, frames and joints."""
    student, teacher = features(0), features(1)
    expected = loss(student, teacher)
    torch.testing.assert_close(loss(student.repeat(2, 1, 1, 1), teacher.repeat(2, 1, 1, 1)), expected)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(loss(student[..., order], teacher[..., order]), expected)


class Largest(TorchDispatchMode):
    """Records the number of elements of the largest tensor that is created."""

    elements = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        created = func(*args, **(kwargs or {}))
        tensors: Iterable[Any] = created if isinstance(created, tuple | list) else (created,)
        self.elements = max([self.elements, *(x.numel() for x in tensors if isinstance(x, Tensor))])
        return created


@each_loss
def test_no_matrix_of_all_pairs_is_created(loss: EdgeLoss) -> None:
    student, teacher = (features(seed, 2, 4, 75, 25).float() for seed in (0, 1))
    with Largest() as blockwise:
        with_gradient(loss, student, teacher)
    with Largest() as plain:
        with_gradient(PLAIN[loss], student[:1], teacher[:1])
    assert plain.elements == (75 * 25) ** 2
    assert blockwise.elements <= module._CPU_SIZES[1] < plain.elements / 10


@pytest.mark.parametrize("rows", [1, 3])
def test_stored_lengths_are_bounded(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(module, "_CPU_SIZES", (4, 32, 100))
    x = features(0, rows, 3, 5, 9)
    lengths = module._Lengths(x[:2], module._tile(x))
    assert 0 < sum(block.numel() for block in lengths._stored.values()) <= 100
