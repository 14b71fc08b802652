"""The edge loss of structural knowledge distillation (Eq. 8-11), computed in blocks.

Equation numbers, features and the teacher's part are as in `skdpipe.distill.losses`.

A row with V = TN vertices has V² potentials, which are never stored as a whole. The loss is a sum over
them, and its gradient a sum ``Σ_j w_ij (v_i - v_j)`` for each vertex, with weights ``w_ij`` that depend
only on the potentials. Both are accumulated over blocks of vertex pairs that fit into the processor's
cache. The matrices are symmetric: only blocks on and above the diagonal are computed, and those above count
twice. The gradient of β has the same form for lengths and is added to the weights; for squares it is
proportional to ``v_i - mean v``. The lengths of the first blocks are stored between the passes over the
blocks, up to 16 megabytes; the others are computed again.

Squared distances are ``|v_i|² + |v_j|² - 2 <v_i, v_j>`` of vertices about their mean, with a rounding error
proportional to ``|v|²``. Lengths must not be dominated by it and are computed in double precision. Their
gradient has weights ``1 / |v_i - v_j|``, which are large and cancel if vertices nearly coincide; such
blocks are summed in double precision, the others in single. Squares are compared with their mean β, beside
which the rounding error is small, and have weights of at most one; on a CPU they are computed in single
precision. On a GPU everything is in double precision because of TF32. No product uses an operation that
autocast changes.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from skdpipe.distill.losses import MiniBatch, whole


def edge_loss(student: Tensor, teacher: Tensor, batch: MiniBatch | None = None) -> Tensor:
    """Difference of the pairwise potentials of student and teacher, as printed.

    ``l_δ(ψ(v^s_i, v^s_j), ψ(v^t_i, v^t_j))`` (Eq. 10), averaged over rows and over all pairs of vertices of
    a row, including each vertex with itself; Huber ``l_δ``, δ = 1 (Eq. 11); ``ψ(v_i, v_j) =
    |v_i - v_j|² / β`` (Eq. 9), β the mean of ``|v_i - v_j|²`` over all pairs of the mini-batch, separate for
    student and teacher. Eq. 10 is a sum instead of a mean, ``(TN)²`` times larger, and grows with the length
    of the clip.

    Args:
        student: ``(row, channel, frame, joint)``, after the adaptation layer.
        teacher: the same rows, frames and joints; any number of channels.
        batch: of which the rows are a part; by default they are all of it.
    """
    return _loss(_squared_loss, student, teacher, batch or whole(student))


def official_edge_loss(student: Tensor, teacher: Tensor, batch: MiniBatch | None = None) -> Tensor:
    """Difference of the pairwise potentials of student and teacher, as in the released code.

    As :func:`edge_loss`, but with ``ψ(v_i, v_j) = |v_i - v_j| / β``, not squared, and β for each row: the
    mean of ``|v_i - v_j|`` over the row's pairs of distinct points.

    Args:
        student: ``(row, channel, frame, joint)``, after the adaptation layer.
        teacher: the same rows, frames and joints; any number of channels.
        batch: of which the rows are a part; by default they are all of it.
    """
    return _loss(_length_loss, student, teacher, batch or whole(student))


# Squared distances below this fraction of the vertices' squares (about their mean, plus the mean's square)
# are rounding errors and count as zero.
_COINCIDENT = 1e-12
# A block's gradient is summed in double precision if two vertices are closer than this fraction of the
# largest distance from the mean.
_CLOSE = 0.01

# Vertices along the side of a block, pairs in a block (several rows if they are short), pairs whose lengths
# are stored. On a CPU a block takes one or two megabytes: it fits into the cache, and the overhead of an
# operation is small. A GPU needs larger blocks.
_CPU_SIZES = (384, 2**18, 2**22)
_CUDA_SIZES = (512, 2**21, 2**25)


# From student and teacher to the loss and, if required, its gradient with respect to the student.
_LossWithGradient = Callable[[Tensor, Tensor, MiniBatch, bool], tuple[Tensor, Tensor | None]]


def _loss(compute: _LossWithGradient, student: Tensor, teacher: Tensor, batch: MiniBatch) -> Tensor:
    same = len(student) == len(teacher) and student.shape[2:] == teacher.shape[2:]
    assert same, f"{tuple(student.shape)} against {tuple(teacher.shape)}"
    if batch.rows == 0:
        return student.sum()
    if not torch.is_grad_enabled():
        student = student.detach()
    value: Tensor = _WithGradient.apply(  # type: ignore[no-untyped-call]
        compute, student, teacher.detach(), batch
    )
    return value


class _WithGradient(torch.autograd.Function):
    """A loss whose gradient is computed in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any, compute: _LossWithGradient, student: Tensor, teacher: Tensor, batch: MiniBatch
    ) -> Tensor:
        value, gradient = compute(student, teacher, batch, ctx.needs_input_grad[1])
        ctx.save_for_backward(gradient)
        return value.to(_precision(student))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[None, Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return None, outer * gradient, None, None


def _squared_loss(
    student: Tensor, teacher: Tensor, batch: MiniBatch, differentiate: bool
) -> tuple[Tensor, Tensor | None]:
    """Potentials ``|v_i - v_j|² / β``: squared distances of vertices divided by √β."""
    tiling = _tile(student)
    products = torch.float64 if student.is_cuda else _precision(student)
    inverse_scale, teacher_inverse_scale = (
        _inverse_scale(features, tiling, products, batch) for features in (student, teacher)
    )
    vertices = batch.rows * tiling.vertices
    gradient = _unset_gradient(student) if differentiate else None
    factor = 4 * inverse_scale / (vertices * tiling.vertices)
    total = student.new_zeros((), dtype=torch.float64)
    scale_slope = total.clone()
    for rows in tiling.chunks:
        own = _centred(student[rows], products).scaled(inverse_scale)
        target = _centred(teacher[rows], products).scaled(teacher_inverse_scale)
        one, norm = torch.ones_like(own.norm), own.norm - target.norm
        left = _stacked(own.at, one, norm, target.at)
        right = _stacked(-2 * own.at, norm, one, 2 * target.at)
        differences = _WeightedDifferences(left[:, : own.at.shape[1] + 1])
        for a, b in tiling.blocks:
            x = _product(left[..., a], right[..., b])
            slope = x.clamp(-1, 1)
            total.add_(_huber(x, slope), alpha=_times(a, b))
            if differentiate:
                differences.add(slope, a, b)
        if gradient is not None:
            gradient_sum = differences.sum()
            gradient[rows] = factor * gradient_sum
            scale_slope += 2 * (own.at * gradient_sum).sum() / vertices
    if gradient is not None:
        scale_slope = batch.sum(scale_slope)
        # β = 2 mean |v_i - mean v|², so its gradient is proportional to v_i - mean v.
        for rows in tiling.chunks:
            own = _centred(student[rows], products).scaled(inverse_scale)
            gradient[rows] -= factor * scale_slope * own.at
        gradient = gradient.view(student.shape)
    return total / (vertices * tiling.vertices), gradient


def _inverse_scale(features: Tensor, tiling: _Tiling, precision: torch.dtype, batch: MiniBatch) -> Tensor:
    """``1/√β`` of all rows of the batch; 1 if all vertices of each row coincide, NaN if squares overflow."""
    norms = [_centred(features[rows], precision).norm.double() for rows in tiling.chunks]
    total = torch.cat([features.new_zeros(0, tiling.vertices, dtype=torch.float64), *norms]).sum()
    scale = 2 * (batch.sum(total) / (batch.rows * tiling.vertices))
    return torch.where(scale == 0, 1, scale.where(scale.isfinite(), torch.nan)).rsqrt()


def _length_loss(
    student: Tensor, teacher: Tensor, batch: MiniBatch, differentiate: bool
) -> tuple[Tensor, Tensor | None]:
    """Potentials ``|v_i - v_j| / β``: first β, then the loss and its derivative by β, then the gradient."""
    tiling = _tile(student)
    pairs = batch.rows * tiling.vertices**2
    gradient = _unset_gradient(student) if differentiate else None
    total = student.new_zeros((), dtype=torch.float64)
    for rows in tiling.chunks:
        own, target = (_Lengths(features[rows], tiling) for features in (student, teacher))
        scale_slope = torch.zeros_like(own.pairs)
        slopes = []
        for k, (a, b) in enumerate(tiling.blocks):
            length = own[k]
            x = _difference(own, length, target, k)
            slope = x.clamp(-1, 1)
            scale_slope.add_(_dot(slope, length), alpha=_times(a, b))
            total.add_(_huber(x, slope), alpha=_times(a, b))
            if differentiate and k < tiling.stored:
                target.free(k)
                slopes.append(slope)
        if gradient is not None:
            scale_slope = (scale_slope * own.inverse_scale / own.pairs).to(own.inverse_scale.dtype)
            sums: dict[torch.dtype, _WeightedDifferences] = {}
            for k, (a, b) in enumerate(tiling.blocks):
                length = own[k]
                slope = slopes[k] if k < tiling.stored else _difference(own, length, target, k).clamp_(-1, 1)
                inverse = length.reciprocal().masked_fill_(length == 0, 0)
                weights = slope.sub_(scale_slope).mul_(inverse)
                products = own.summation_precision(inverse)
                if products not in sums:
                    sums[products] = _WeightedDifferences(own.vertices.to(products))
                sums[products].add(weights.to(products), a, b)
            gradient_sum = torch.stack([each.sum().double() for each in sums.values()]).sum(dim=0)
            gradient[rows] = gradient_sum.mul_(2 / pairs * own.inverse_scale)
    return total / pairs, None if gradient is None else gradient.view(student.shape)


class _Lengths:
    """``|v_i - v_j|`` of each block; the first blocks are stored, the others computed on each access.

    Attributes:
        vertices: ``(row, channel + 1, vertex)`` float64, about their mean; the last channel is one.
        pairs: number of pairs of distinct points in each row, at least one, ``(row, 1, 1)``.
        inverse_scale: ``1/β``, ``(row, 1, 1)``.
    """

    def __init__(self, features: Tensor, tiling: _Tiling) -> None:
        self._tiling, self._precision = tiling, _precision(features)
        at, self._norm, floor = _centred(features, torch.float64)
        self._floor = floor.to(self._precision)
        self.vertices = _stacked(at, torch.ones_like(self._norm))
        self._largest = self._norm.amax().sqrt()  # largest distance of a vertex from the mean
        self._stored: dict[int, Tensor] = {}
        total = at.new_zeros((len(at), 1, 1))
        distinct = total.clone()
        for k, (a, b) in enumerate(tiling.blocks):
            length = self._compute(k)
            total.add_(length.sum(dim=(1, 2), keepdim=True), alpha=_times(a, b))
            distinct.add_(length.sign().sum(dim=(1, 2), keepdim=True), alpha=_times(a, b))
            if k < tiling.stored:
                self._stored[k] = length
        self.pairs = distinct.clamp_min(1)
        scale = total / self.pairs
        self.inverse_scale = torch.where(scale > 0, scale, 1).reciprocal().to(self._precision)

    def __getitem__(self, block: int) -> Tensor:
        return self._stored[block] if block in self._stored else self._compute(block)

    def summation_precision(self, inverse: Tensor) -> torch.dtype:
        """The precision in which to sum a block of ``1 / |v_i - v_j|`` (0 for 1/0).

        Always double on a GPU, where the choice would wait for the device.
        """
        close = inverse.is_cuda or _CLOSE * self._largest * inverse.amax() > 1
        return torch.float64 if close else self._precision

    def free(self, block: int) -> None:
        """Free the stored lengths of a block."""
        del self._stored[block]

    def _compute(self, block: int) -> Tensor:
        a, b = self._tiling.blocks[block]
        at = self.vertices[:, :-1]
        squared = self._norm[:, a, None] + self._norm[:, None, b]
        squared = squared.baddbmm_(at[..., a].mT, at[..., b], alpha=-2).to(self._precision)
        coincident = squared <= self._floor[:, a, None] + self._floor[:, None, b]
        return squared.masked_fill_(coincident, 0).sqrt_()


def _difference(own: _Lengths, length: Tensor, target: _Lengths, block: int) -> Tensor:
    """Difference of the two potentials in a block, given the student's lengths."""
    return (own.inverse_scale * length).addcmul_(target.inverse_scale, target[block], value=-1)


def _huber(x: Tensor, slope: Tensor) -> Tensor:
    """``Σ l_δ(x)`` (Eq. 11), given its derivative; ``x`` is overwritten."""
    return torch.dot(slope.flatten(), x.sub_(slope, alpha=0.5).flatten())


def _dot(x: Tensor, y: Tensor) -> Tensor:
    """Inner products of the rows' blocks, ``(row, 1, 1)``."""
    if len(x) == 1:
        return torch.dot(x.flatten(), y.flatten()).view(1, 1, 1)
    return (x * y).sum(dim=(1, 2), keepdim=True)


def _product(x: Tensor, y: Tensor) -> Tensor:
    """``x^T y`` of each row in the precision of ``x`` and ``y``, also under autocast."""
    into = x.new_empty(len(x), x.shape[2], y.shape[2])
    torch.bmm(x.mT, y, out=into)
    return into


def _stacked(*parts: Tensor) -> Tensor:
    """Concatenated channels ``(row, channel, vertex)``; a single channel may be ``(row, vertex)``."""
    return torch.cat([part if part.dim() == 3 else part.unsqueeze(1) for part in parts], dim=1)


class _WeightedDifferences:
    """``Σ_j w_ij (v_i - v_j)`` for each vertex, from symmetric weights in blocks.

    Args:
        vertices: ``(row, channel + 1, vertex)``; the last channel is one and accumulates ``Σ_j w_ij``.
    """

    def __init__(self, vertices: Tensor) -> None:
        self._vertices = vertices
        self._others = torch.zeros_like(vertices, memory_format=torch.contiguous_format)

    def add(self, weights: Tensor, a: slice, b: slice) -> None:
        """Add the weights of vertices ``a`` with ``b``, and of ``b`` with ``a``."""
        self._others[..., a].baddbmm_(self._vertices[..., b], weights.mT)
        if a != b:
            self._others[..., b].baddbmm_(self._vertices[..., a], weights)

    def sum(self) -> Tensor:
        """``(row, channel, vertex)``."""
        return self._others[:, -1:] * self._vertices[:, :-1] - self._others[:, :-1]


class _Vertices(NamedTuple):
    at: Tensor  # (row, channel, vertex), about their mean
    norm: Tensor  # (row, vertex): |v_i|²; zero if all vertices of the row coincide
    floor: Tensor  # (row, vertex): squared distances up to the sum of two floors are zero

    def scaled(self, by: Tensor) -> _Vertices:
        """Vertices multiplied by a factor; zero in rows whose vertices all coincide."""
        factor = torch.where(self.floor.isinf(), 0, by).to(self.at.dtype)
        return _Vertices(self.at * factor[:, None, :1], self.norm * factor**2, self.floor * by**2)


def _centred(features: Tensor, precision: torch.dtype) -> _Vertices:
    """The vertices of each row about their mean."""
    vertices = features.flatten(2)
    mean = vertices.mean(dim=2, keepdim=True, dtype=precision)
    at = vertices.to(precision, copy=True).sub_(mean)
    norm = at.square().sum(dim=1)
    floor = _COINCIDENT * (norm + mean.square().sum(dim=1)) + torch.finfo(_precision(features)).tiny
    coincide = (norm.mean(dim=1) < floor.mean(dim=1))[:, None]  # false if both overflow
    return _Vertices(at, norm.masked_fill(coincide, 0), floor.masked_fill(coincide, torch.inf))


class _Tiling(NamedTuple):
    vertices: int
    chunks: list[slice]  # of rows that are processed together
    blocks: list[tuple[slice, slice]]  # pairs of vertex spans, on and above the diagonal
    stored: int  # number of blocks whose lengths are stored


def _tile(features: Tensor) -> _Tiling:
    """Blocks that fit into the cache and are large enough for all cores."""
    side, pairs, stored = _CUDA_SIZES if features.is_cuda else _CPU_SIZES
    vertices = features.shape[2:].numel()
    parts = -(-vertices // side)
    side = -(-vertices // parts)
    spans = [slice(start, min(start + side, vertices)) for start in range(0, vertices, side)]
    rows = max(1, pairs // side**2)
    return _Tiling(
        vertices,
        [slice(start, start + rows) for start in range(0, len(features), rows)],
        list(combinations_with_replacement(spans, 2)),
        stored // (rows * side**2),
    )


def _times(a: slice, b: slice) -> int:
    """2 for a block above the diagonal, which also represents its mirror image."""
    return 1 if a == b else 2


def _unset_gradient(student: Tensor) -> Tensor:
    return torch.empty(student.flatten(2).shape, dtype=_precision(student), device=student.device)


def _precision(x: Tensor) -> torch.dtype:
    """Single for half precision, otherwise that of ``x``."""
    return torch.promote_types(x.dtype, torch.float32)
