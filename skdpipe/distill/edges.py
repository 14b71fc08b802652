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
nothing that single precision could tell apart is lost to cancellation; so are the products of their
gradient, since points that nearly coincide have weights ``1 / |v_i - v_j|`` that dwarf all others and
cancel. Squares are compared with their mean β, beside which that rounding is as small as any, and have
weights of one at most: on a CPU their products are single. On a GPU double keeps TF32 away, and all
products are made in place, which autocast leaves alone.
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


# Squared distances below this fraction of |v_i|² + |v_j|² are rounding: points a millionth apart.
_COINCIDENT = 1e-12

# Vertices along a block's side, pairs in a block (of several rows if they are short), pairs that are kept.
# A processor's block of doubles takes about a megabyte: small enough for its cache, large enough that
# starting an operation costs little. A GPU wants work for thousands of threads.
_CPU = (384, 384**2, 2**22)
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
    shrink, shrink_teacher = _shrink(student, tiling), _shrink(teacher, tiling)
    vertices = len(student) * tiling.vertices
    gradient = _unset_gradient(student) if differentiate else None
    factor = 4 * shrink / (vertices * tiling.vertices)
    total = student.new_zeros((), dtype=torch.float64)
    stretch = total.clone()
    for rows in tiling.chunks:
        own = shrink * _centred(student[rows]).at
        known = shrink_teacher * _centred(teacher[rows]).at
        norm = (own.square().sum(dim=1) - known.square().sum(dim=1)).to(products)
        own, known = own.to(products), known.to(products)
        pull = _Pull(own)
        for a, b in tiling.blocks:
            x = norm[:, a, None] + norm[:, None, b]
            x.baddbmm_(own[..., a].mT, own[..., b], alpha=-2).baddbmm_(
                known[..., a].mT, known[..., b], alpha=2
            )
            slope = x.clamp(-1, 1)
            total += _times(a, b) * torch.dot(slope.flatten(), x.sub_(slope, alpha=0.5).flatten())
            if differentiate:
                pull.add(slope, a, b)
        if gradient is not None:
            pulled = pull.sum()
            gradient[rows] = factor * pulled
            stretch += 2 * (own * pulled).sum() / vertices
    if gradient is not None:
        # β = 2 mean |v_i - mean v|², so that its gradient lies along v_i - mean v.
        for rows in tiling.chunks:
            gradient[rows] -= factor * stretch * shrink * _centred(student[rows]).at
        gradient = gradient.view(student.shape)
    return total / (vertices * tiling.vertices), gradient


def _shrink(features: Tensor, tiling: _Tiling) -> Tensor:
    """``1/√β``; 1 if all vertices of all rows coincide."""
    scale = 2 * torch.cat([_centred(features[rows]).norm for rows in tiling.chunks]).mean()
    return torch.where(scale > 0, scale, 1).rsqrt()


def _length_walk(student: Tensor, teacher: Tensor, differentiate: bool) -> tuple[Tensor, Tensor | None]:
    """Potentials ``|v_i - v_j| / β``: first β, then the loss and its slope in β, then the gradient."""
    tiling = _tile(student)
    pairs = len(student) * tiling.vertices**2
    gradient = _unset_gradient(student) if differentiate else None
    total = student.new_zeros((), dtype=torch.float64)
    for rows in tiling.chunks:
        own = _Lengths(_centred(student[rows]), tiling)
        known = _Lengths(_centred(teacher[rows]), tiling)
        stretch = torch.zeros_like(own.pairs)
        for k, (a, b) in enumerate(tiling.blocks):
            length = own[k]
            x = own.shrink * length - known.shrink * known[k]
            slope = x.clamp(-1, 1)
            stretch += _times(a, b) * (slope * length).sum(dim=(1, 2), keepdim=True)
            total += _times(a, b) * x.sub_(slope, alpha=0.5).mul_(slope).sum()
        if gradient is not None:
            stretch = (stretch * own.shrink / own.pairs).to(own.shrink.dtype)
            pull = _Pull(own.vertices.at)
            for k, (a, b) in enumerate(tiling.blocks):
                length = own[k]
                slope = (own.shrink * length - known.shrink * known[k]).clamp_(-1, 1)
                weights = torch.where(length > 0, slope.sub_(stretch).div_(length), 0)
                pull.add(weights.double(), a, b)
            gradient[rows] = pull.sum().mul_(2 / pairs * own.shrink)
    return total / pairs, None if gradient is None else gradient.view(student.shape)


class _Lengths:
    """``|v_i - v_j|`` of each block; the first blocks are kept, the others found anew each time."""

    def __init__(self, vertices: _Vertices, tiling: _Tiling) -> None:
        self.vertices = vertices
        self._tiling = tiling
        self._kept: list[Tensor] = []
        total = vertices.at.new_zeros((len(vertices.at), 1, 1))
        apart = total.clone()
        for a, b in tiling.blocks:
            length = self._find(a, b)
            total += _times(a, b) * length.sum(dim=(1, 2), keepdim=True)
            apart += _times(a, b) * length.sign().sum(dim=(1, 2), keepdim=True)
            if len(self._kept) < tiling.kept:
                self._kept.append(length)
        self.pairs = apart.clamp_min(1)  # of distinct points in each row
        scale = total / self.pairs
        self.shrink = torch.where(scale > 0, scale, 1).reciprocal().to(vertices.precision)  # 1/β

    def __getitem__(self, block: int) -> Tensor:
        return self._kept[block] if block < len(self._kept) else self._find(*self._tiling.blocks[block])

    def _find(self, a: slice, b: slice) -> Tensor:
        at, norm, floor, precision = self.vertices
        squared = norm[:, a, None] + norm[:, None, b]
        squared.baddbmm_(at[..., a].mT, at[..., b], alpha=-2)
        coincident = squared <= floor[:, a, None] + floor[:, None, b]
        return torch.where(coincident, 0, squared).to(precision).sqrt_()


class _Pull:
    """``Σ_j w_ij (v_i - v_j)`` for each vertex, from symmetric weights in blocks."""

    def __init__(self, at: Tensor) -> None:
        self._at = at
        self._weights = torch.zeros_like(at[:, 0])
        self._others = torch.zeros_like(at)

    def add(self, weights: Tensor, a: slice, b: slice) -> None:
        """Takes the weights of vertices ``a`` with vertices ``b``, and of ``b`` with ``a``."""
        self._weights[:, a] += weights.sum(dim=2)
        self._others[..., a].baddbmm_(self._at[..., b], weights.mT)
        if a != b:
            self._weights[:, b] += weights.sum(dim=1)
            self._others[..., b].baddbmm_(self._at[..., a], weights)

    def sum(self) -> Tensor:
        """``(row, channel, vertex)``."""
        return self._weights.unsqueeze(1) * self._at - self._others


class _Vertices(NamedTuple):
    at: Tensor  # (row, channel, vertex) float64, about their mean
    norm: Tensor  # (row, vertex): |v_i|²
    floor: Tensor  # (row, vertex): squared distances up to the sum of two floors are zero
    precision: torch.dtype


def _centred(features: Tensor) -> _Vertices:
    """The vertices of each row about their mean; at zero where all of them coincide."""
    precision = _precision(features)
    at = features.flatten(2).double()
    floor = _COINCIDENT * at.square().sum(dim=1) + torch.finfo(precision).tiny
    at = at - at.mean(dim=2, keepdim=True)
    norm = at.square().sum(dim=1)
    alike = norm.mean(dim=1) <= floor.mean(dim=1)
    return _Vertices(
        at.masked_fill_(alike[:, None, None], 0), norm.masked_fill_(alike[:, None], 0), floor, precision
    )


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
