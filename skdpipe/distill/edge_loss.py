"""The edge loss of structural knowledge distillation (Eq. 8-11), block by block.

Equation numbers, features and the teacher's part are as in `skdpipe.distill.losses`.

The potentials of a clip's TN vertices are a matrix of ``(TN)²``, which is never held for a sample. The
loss needs one sum over it, and its gradient one sum for each vertex, ``Σ_j w_ij (v_i - v_j)``, where
``w_ij`` follows from the potentials alone: both come from a walk over blocks of pairs of vertices that
fit in the cache. The matrices are symmetric; blocks above the diagonal count twice. β's own gradient is
such a sum too: it joins the weights, or, with squares, lies along ``v_i - mean v``. Lengths are kept,
as far as sixteen megabytes reach, from the walk that finds β to those that need it.

Vertices are moved to their mean, and distances come as ``|v_i|² + |v_j|² - 2 <v_i, v_j>``, whose rounding
is that of ``|v|²``. Lengths must not take it for theirs, so they are found in double precision, where
nothing that single precision could tell apart is lost to cancellation. So are the products of their
gradient in blocks where points nearly coincide, with weights ``1 / |v_i - v_j|`` that dwarf all others and
cancel; where none are near, single precision does. Squares are compared with their mean β, beside which
that rounding is as small as any, and have weights of one at most: on a CPU they are single throughout. On a
GPU double keeps TF32 away, and no product is made by an operation that autocast would change.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def edge_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """How differently the vertices of student and teacher lie to one another, as the paper has it.

    ``l_δ(ψ(v^s_i, v^s_j), ψ(v^t_i, v^t_j))`` (Eq. 10) averaged over all pairs of vertices of a row, a
    vertex with itself included, and over rows; Huber ``l_δ``, δ = 1 (Eq. 11); ``ψ(v_i, v_j) =
    |v_i - v_j|² / β`` (Eq. 9), β the mean of ``|v_i - v_j|²`` over all pairs of the mini-batch, student
    and teacher each their own. Eq. 10 has the sum, ``(TN)²`` times larger, which grows with the clip.

    Args:
        student: ``(row, channel, frame, joint)``, after the adaptation layer.
        teacher: the same rows, frames and joints; any number of channels.
    """
    return _loss(_squared_walk, student, teacher)


def official_edge_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """How differently the vertices of student and teacher lie to one another, as released.

    As :func:`edge_loss`, but with ``ψ(v_i, v_j) = |v_i - v_j| / β``, not squared, and a β for each row:
    the mean of ``|v_i - v_j|`` over the row's pairs of distinct points.

    Args:
        student: ``(row, channel, frame, joint)``, after the adaptation layer.
        teacher: the same rows, frames and joints; any number of channels.
    """
    return _loss(_length_walk, student, teacher)


# Squared distances below this fraction of the vertices' own squares (about their mean, and the mean's) are
# rounding: points a millionth apart.
_COINCIDENT = 1e-12
# Vertices pull at one another in double precision where any are nearer than this fraction of the farthest
# one's distance from the mean.
_NEAR = 0.01

# Vertices along a block's side, pairs in a block (of several rows if they are short), pairs that are kept.
# A processor's block takes a megabyte or two: small enough for its cache, large enough that starting an
# operation costs little. A GPU wants work for thousands of threads.
_CPU = (384, 2**18, 2**22)
_CUDA = (512, 2**21, 2**25)


# From student and teacher to the loss and, if asked for, its gradient by the student.
_Walk = Callable[[Tensor, Tensor, bool], tuple[Tensor, Tensor | None]]


def _loss(walk: _Walk, student: Tensor, teacher: Tensor) -> Tensor:
    same = len(student) == len(teacher) and student.shape[2:] == teacher.shape[2:]
    assert same, f"{tuple(student.shape)} against {tuple(teacher.shape)}"
    if len(student) == 0:
        return student.sum()
    if not torch.is_grad_enabled():
        student = student.detach()
    value: Tensor = _WithGradient.apply(walk, student, teacher.detach())  # type: ignore[no-untyped-call]
    return value


class _WithGradient(torch.autograd.Function):
    """A walk that finds loss and gradient at once."""

    @staticmethod
    def forward(ctx: Any, walk: _Walk, student: Tensor, teacher: Tensor) -> Tensor:
        value, gradient = walk(student, teacher, ctx.needs_input_grad[1])
        ctx.save_for_backward(gradient)
        return value.to(_precision(student))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[None, Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return None, outer * gradient, None


def _squared_walk(student: Tensor, teacher: Tensor, differentiate: bool) -> tuple[Tensor, Tensor | None]:
    """Potentials ``|v_i - v_j|² / β``: the squared distances of vertices divided by √β."""
    tiling = _tile(student)
    products = torch.float64 if student.is_cuda else _precision(student)
    shrink, shrink_teacher = (_shrink(features, tiling, products) for features in (student, teacher))
    vertices = len(student) * tiling.vertices
    gradient = _unset_gradient(student) if differentiate else None
    factor = 4 * shrink / (vertices * tiling.vertices)
    total = student.new_zeros((), dtype=torch.float64)
    stretch = total.clone()
    for rows in tiling.chunks:
        own = _centred(student[rows], products).shrunk(shrink)
        known = _centred(teacher[rows], products).shrunk(shrink_teacher)
        one, norm = torch.ones_like(own.norm), own.norm - known.norm
        left = _stacked(own.at, one, norm, known.at)
        right = _stacked(-2 * own.at, norm, one, 2 * known.at)
        pull = _Pull(left[:, : own.at.shape[1] + 1])
        for a, b in tiling.blocks:
            x = _product(left[..., a], right[..., b])
            slope = x.clamp(-1, 1)
            total.add_(_huber(x, slope), alpha=_times(a, b))
            if differentiate:
                pull.add(slope, a, b)
        if gradient is not None:
            pulled = pull.sum()
            gradient[rows] = factor * pulled
            stretch += 2 * (own.at * pulled).sum() / vertices
    if gradient is not None:
        # β = 2 mean |v_i - mean v|², so that its gradient lies along v_i - mean v.
        for rows in tiling.chunks:
            own = _centred(student[rows], products).shrunk(shrink)
            gradient[rows] -= factor * stretch * own.at
        gradient = gradient.view(student.shape)
    return total / (vertices * tiling.vertices), gradient


def _shrink(features: Tensor, tiling: _Tiling, precision: torch.dtype) -> Tensor:
    """``1/√β``; 1 if all vertices of all rows coincide, NaN if squares overflow."""
    norms = [_centred(features[rows], precision).norm for rows in tiling.chunks]
    scale = 2 * torch.cat(norms).double().mean()
    return torch.where(scale == 0, 1, scale.where(scale.isfinite(), torch.nan)).rsqrt()


def _length_walk(student: Tensor, teacher: Tensor, differentiate: bool) -> tuple[Tensor, Tensor | None]:
    """Potentials ``|v_i - v_j| / β``: first β, then the loss and its slope in β, then the gradient."""
    tiling = _tile(student)
    pairs = len(student) * tiling.vertices**2
    gradient = _unset_gradient(student) if differentiate else None
    total = student.new_zeros((), dtype=torch.float64)
    for rows in tiling.chunks:
        own, known = (_Lengths(features[rows], tiling) for features in (student, teacher))
        stretch = torch.zeros_like(own.pairs)
        slopes = []
        for k, (a, b) in enumerate(tiling.blocks):
            length = own[k]
            x = _difference(own, length, known, k)
            slope = x.clamp(-1, 1)
            stretch.add_(_dot(slope, length), alpha=_times(a, b))
            total.add_(_huber(x, slope), alpha=_times(a, b))
            if differentiate and k < tiling.kept:
                known.forget(k)
                slopes.append(slope)
        if gradient is not None:
            stretch = (stretch * own.shrink / own.pairs).to(own.shrink.dtype)
            pulls: dict[torch.dtype, _Pull] = {}
            for k, (a, b) in enumerate(tiling.blocks):
                length = own[k]
                slope = slopes[k] if k < tiling.kept else _difference(own, length, known, k).clamp_(-1, 1)
                inverse = length.reciprocal().masked_fill_(length == 0, 0)
                weights = slope.sub_(stretch).mul_(inverse)
                products = own.precision_of_pull(inverse)
                if products not in pulls:
                    pulls[products] = _Pull(own.vertices.to(products))
                pulls[products].add(weights.to(products), a, b)
            pulled = torch.stack([pull.sum().double() for pull in pulls.values()]).sum(dim=0)
            gradient[rows] = pulled.mul_(2 / pairs * own.shrink)
    return total / pairs, None if gradient is None else gradient.view(student.shape)


class _Lengths:
    """``|v_i - v_j|`` of each block; the first blocks are kept, the others found anew each time.

    Attributes:
        vertices: ``(row, channel + 1, vertex)`` float64, about their mean, and a last channel of ones.
        pairs: of distinct points in each row, at least one, ``(row, 1, 1)``.
        shrink: ``1/β``, ``(row, 1, 1)``.
    """

    def __init__(self, features: Tensor, tiling: _Tiling) -> None:
        self._tiling, self._precision = tiling, _precision(features)
        at, self._norm, floor = _centred(features, torch.float64)
        self._floor = floor.to(self._precision)
        self.vertices = _stacked(at, torch.ones_like(self._norm))
        self._reach = self._norm.amax().sqrt()  # the farthest vertex's distance from the mean
        self._kept: dict[int, Tensor] = {}
        total = at.new_zeros((len(at), 1, 1))
        apart = total.clone()
        for k, (a, b) in enumerate(tiling.blocks):
            length = self._find(k)
            total.add_(length.sum(dim=(1, 2), keepdim=True), alpha=_times(a, b))
            apart.add_(length.sign().sum(dim=(1, 2), keepdim=True), alpha=_times(a, b))
            if k < tiling.kept:
                self._kept[k] = length
        self.pairs = apart.clamp_min(1)
        scale = total / self.pairs
        self.shrink = torch.where(scale > 0, scale, 1).reciprocal().to(self._precision)

    def __getitem__(self, block: int) -> Tensor:
        return self._kept[block] if block in self._kept else self._find(block)

    def precision_of_pull(self, inverse: Tensor) -> torch.dtype:
        """In which a block of ``1 / |v_i - v_j|``, 0 for 1/0, may pull; a GPU does not wait to choose."""
        near = inverse.is_cuda or _NEAR * self._reach * inverse.amax() > 1
        return torch.float64 if near else self._precision

    def forget(self, block: int) -> None:
        """Keep a block no longer."""
        del self._kept[block]

    def _find(self, block: int) -> Tensor:
        a, b = self._tiling.blocks[block]
        at = self.vertices[:, :-1]
        squared = self._norm[:, a, None] + self._norm[:, None, b]
        squared = squared.baddbmm_(at[..., a].mT, at[..., b], alpha=-2).to(self._precision)
        coincident = squared <= self._floor[:, a, None] + self._floor[:, None, b]
        return squared.masked_fill_(coincident, 0).sqrt_()


def _difference(own: _Lengths, length: Tensor, known: _Lengths, block: int) -> Tensor:
    """Of the two potentials in a block, whose own lengths have been found."""
    return (own.shrink * length).addcmul_(known.shrink, known[block], value=-1)


def _huber(x: Tensor, slope: Tensor) -> Tensor:
    """``Σ l_δ(x)`` (Eq. 11) with the help of its derivative; ``x`` is overwritten."""
    return torch.dot(slope.flatten(), x.sub_(slope, alpha=0.5).flatten())


def _dot(x: Tensor, y: Tensor) -> Tensor:
    """Inner product of each row's blocks, ``(row, 1, 1)``."""
    if len(x) == 1:
        return torch.dot(x.flatten(), y.flatten()).view(1, 1, 1)
    return (x * y).sum(dim=(1, 2), keepdim=True)


def _product(x: Tensor, y: Tensor) -> Tensor:
    """``x^T y`` of each row in their own precision, under autocast too."""
    into = x.new_empty(len(x), x.shape[2], y.shape[2])
    torch.bmm(x.mT, y, out=into)
    return into


def _stacked(*parts: Tensor) -> Tensor:
    """Channels of vertices side by side, ``(row, channel, vertex)``; a single one is ``(row, vertex)``."""
    return torch.cat([part if part.dim() == 3 else part.unsqueeze(1) for part in parts], dim=1)


class _Pull:
    """``Σ_j w_ij (v_i - v_j)`` for each vertex, from symmetric weights in blocks.

    Args:
        vertices: ``(row, channel + 1, vertex)``, the last channel of ones: what it pulls is ``Σ_j w_ij``.
    """

    def __init__(self, vertices: Tensor) -> None:
        self._vertices = vertices
        self._others = torch.zeros_like(vertices, memory_format=torch.contiguous_format)

    def add(self, weights: Tensor, a: slice, b: slice) -> None:
        """Takes the weights of vertices ``a`` with vertices ``b``, and of ``b`` with ``a``."""
        self._others[..., a].baddbmm_(self._vertices[..., b], weights.mT)
        if a != b:
            self._others[..., b].baddbmm_(self._vertices[..., a], weights)

    def sum(self) -> Tensor:
        """``(row, channel, vertex)``."""
        return self._others[:, -1:] * self._vertices[:, :-1] - self._others[:, :-1]


class _Vertices(NamedTuple):
    at: Tensor  # (row, channel, vertex), about their mean
    norm: Tensor  # (row, vertex): |v_i|²; zero where all vertices of a row coincide
    floor: Tensor  # (row, vertex): squared distances up to the sum of two floors are zero

    def shrunk(self, by: Tensor) -> _Vertices:
        """Vertices on another scale; at zero where all of them coincide."""
        factor = torch.where(self.floor.isinf(), 0, by).to(self.at.dtype)
        return _Vertices(self.at * factor[:, None, :1], self.norm * factor**2, self.floor * by**2)


def _centred(features: Tensor, precision: torch.dtype) -> _Vertices:
    """The vertices of each row about their mean."""
    vertices = features.flatten(2)
    mean = vertices.mean(dim=2, keepdim=True, dtype=precision)
    at = vertices.to(precision, copy=True).sub_(mean)
    norm = at.square().sum(dim=1)
    floor = _COINCIDENT * (norm + mean.square().sum(dim=1)) + torch.finfo(_precision(features)).tiny
    alike = (norm.mean(dim=1) < floor.mean(dim=1))[:, None]  # not where both overflow
    return _Vertices(at, norm.masked_fill(alike, 0), floor.masked_fill(alike, torch.inf))


class _Tiling(NamedTuple):
    vertices: int
    chunks: list[slice]  # of rows that are walked together
    blocks: list[tuple[slice, slice]]  # of vertices with vertices, on and above the diagonal
    kept: int  # so many blocks' lengths may be kept


def _tile(features: Tensor) -> _Tiling:
    """Blocks small enough for the cache and large enough to keep all cores busy."""
    side, pairs, kept = _CUDA if features.is_cuda else _CPU
    vertices = features.shape[2:].numel()
    parts = -(-vertices // side)
    side = -(-vertices // parts)
    spans = [slice(start, min(start + side, vertices)) for start in range(0, vertices, side)]
    rows = max(1, pairs // side**2)
    return _Tiling(
        vertices,
        [slice(start, start + rows) for start in range(0, len(features), rows)],
        list(combinations_with_replacement(spans, 2)),
        kept // (rows * side**2),
    )


def _times(a: slice, b: slice) -> int:
    """A block above the diagonal stands for its mirror image too."""
    return 1 if a == b else 2


def _unset_gradient(student: Tensor) -> Tensor:
    return torch.empty(student.flatten(2).shape, dtype=_precision(student), device=student.device)


def _precision(x: Tensor) -> torch.dtype:
    """Half precision counts as single."""
    return torch.promote_types(x.dtype, torch.float32)
