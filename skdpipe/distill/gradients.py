"""Gradient revision: the student follows the teacher only where that does not hurt the task.

Eq. 12-14 and Algorithm 1 of Bian et al., IEEE TIP 30 (2021). One vector throughout is a sequence
of tensors, one for each parameter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from skdpipe.distill.tape import Tape

Vector = Sequence[Tensor]


@dataclass(frozen=True)
class RevisionReport:
    """What gradient revision found in one step.

    Attributes:
        share: for each distillation loss ``<g_q, g_T> / |g_T|²``, how much of the task's gradient is in its
            own; 0 if either vanishes, NaN or infinite if either overflowed.
        cosine: the cosine of the angle between the two, with the same exceptions; empty where the losses'
            own gradients were not taken.
    """

    share: Mapping[str, float]
    cosine: Mapping[str, float]

    @property
    def revised(self) -> dict[str, bool]:
        """For each distillation loss whether its gradient was revised."""
        return {name: share < 0 for name, share in self.share.items()}

    @property
    def finite(self) -> bool:
        """False if a gradient overflowed and the step must not be taken."""
        return all(math.isfinite(value) for value in (*self.share.values(), *self.cosine.values()))


def revised_gradients(
    task_loss: Tensor, distillation_losses: Mapping[str, Tensor], parameters: Sequence[Tensor]
) -> tuple[tuple[Tensor, ...], RevisionReport]:
    """The update direction of Algorithm 1: ``g_T + Σ_q g~_q``.

    All losses must come from one forward pass, so that batch-norm statistics are updated once; each
    takes a backward pass of its own, and the graph is freed after the last. A parameter that a loss
    does not reach has zero gradient there (the adaptation layer, for the task).

    With a loss scaler, scale every loss, since revision commutes with a common factor::

        scaled = {name: scaler.scale(loss) for name, loss in losses.items()}
        gradients, report = revised_gradients(scaler.scale(task_loss), scaled, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        scaler.unscale_(optimizer)
        scaler.step(optimizer)

    Overflow is never hidden: if any gradient holds an infinity or NaN, so does the result, and the
    scaler skips the step as usual. Without a scaler check ``report.finite``. Inner products are taken
    in double precision, so those of finite single-precision gradients are finite.

    Args:
        task_loss: scalar.
        distillation_losses: scalars by name, each already weighted.
        parameters: what to differentiate by.

    Returns:
        A gradient for each parameter, and what was revised.
    """
    losses = [task_loss, *distillation_losses.values()]
    last = len(losses) - 1
    task, *others = [
        torch.autograd.grad(loss, parameters, retain_graph=number < last, materialize_grads=True)
        for number, loss in enumerate(losses)
    ]
    revised = [revise(task, other) for other in others]
    total = tuple(torch.stack(parts).sum(dim=0) for parts in zip(task, *revised, strict=True))
    return total, _report(task, dict(zip(distillation_losses, others, strict=True)))


def revised_gradients_by_tape(
    task_loss: Tensor,
    distillation_losses: Mapping[str, Tensor],
    parameters: Sequence[Tensor],
    through: Sequence[Tensor],
    tape: Tape,
) -> tuple[tuple[Tensor, ...], RevisionReport]:
    """The same direction as :func:`revised_gradients`, at the same cost for any number of losses.

    With ``a_q = max(0, -<g_q, g_T> / |g_T|²)`` the update is ``(1 + Σ a_q) g_T + ∇ Σ L_q``, so that only
    inner products are wanted of each loss. These are the rates ``dL_q`` at which the losses change when the
    parameters move along ``g_T``: the tape tells how ``through`` moves then, and each loss's gradient by
    ``through``, which costs little, does the rest. Two backward passes and one derivative along a direction
    take the place of 1 + Q backward passes.

    Arguments and results as of :func:`revised_gradients`, but without the cosines; and besides:

    Args:
        through: the tensors, results of the network, through which the parameters reach the losses, all of
            them and no others.
        tape: recorded while the network computed ``through``.
    """
    by_task, *by_loss = [
        torch.autograd.grad(loss, through, retain_graph=True, allow_unused=True)
        for loss in (task_loss, *distillation_losses.values())
    ]
    task = _back_to(parameters, through, by_task, retain_graph=True)
    square = inner_product(task, task)
    length = square.sqrt()
    unit = torch.where(length == 0, 0, 1 / length)  # keeps half precision in its range
    direction = dict(zip(parameters, _times(task, unit), strict=True))
    moves = tape.derivative(direction, through)
    products = torch.stack([_product_where_there(each, moves) for each in by_loss]) * length
    shares = torch.where(square == 0, 0, products / square)
    together = [_total([each[index] for each in by_loss]) for index in range(len(through))]
    rest = _back_to(parameters, through, together, retain_graph=False)
    factor = 1 - torch.where(shares < 0, shares, 0 * shares).sum()
    total = torch._foreach_add(_times(task, factor), rest)
    return total, RevisionReport(dict(zip(distillation_losses, shares.tolist(), strict=True)), {})


def _back_to(
    parameters: Sequence[Tensor],
    through: Sequence[Tensor],
    by: Sequence[Tensor | None],
    *,
    retain_graph: bool,
) -> tuple[Tensor, ...]:
    """The gradient by the parameters of a loss whose gradient by ``through`` is known."""
    there = [(each, gradient) for each, gradient in zip(through, by, strict=True) if gradient is not None]
    if not there:
        return tuple(torch.zeros_like(parameter) for parameter in parameters)
    results, gradients = zip(*there, strict=True)
    return torch.autograd.grad(
        results, parameters, gradients, retain_graph=retain_graph, materialize_grads=True
    )


def _product_where_there(by: Sequence[Tensor | None], moves: Sequence[Tensor]) -> Tensor:
    there = [(each, move) for each, move in zip(by, moves, strict=True) if each is not None]
    if not there:
        return moves[0].new_zeros((), dtype=torch.float64)
    return inner_product(*zip(*there, strict=True))


def _total(parts: Sequence[Tensor | None]) -> Tensor | None:
    there = [part for part in parts if part is not None]
    return torch.stack(there).sum(dim=0) if there else None


def revise(task: Vector, other: Vector) -> tuple[Tensor, ...]:
    """The nearest gradient to ``other`` that does not climb the task loss.

    ``g~ = g - min(0, <g, g_T>) / <g_T, g_T> g_T`` (Eq. 14, applied on conflict alone as in section
    III-C), the solution of ``argmin |g - g~|² s.t. <g~, g_T> >= 0`` (Eq. 13). Unchanged if the task's
    gradient is zero. Infinities and NaN of either vector stay in the result or become NaN.

    Args:
        task: gradient of the task loss, ``g_T``.
        other: gradient of a distillation loss, ``g``, with the same shapes.
    """
    product, square = inner_product(task, other), inner_product(task, task)
    share = torch.where(product < 0, product / square, 0)
    return tuple(g - share.to(g.dtype) * g_task for g, g_task in zip(other, task, strict=True))


def inner_product(a: Vector, b: Vector) -> Tensor:
    """``<a, b>`` over all entries of all tensors, a scalar in double precision."""
    x = torch.cat([each.flatten() for each in a]).double()
    return torch.dot(x, x if a is b else torch.cat([each.flatten() for each in b]).double())


def _times(vector: Vector, factor: Tensor) -> tuple[Tensor, ...]:
    return torch._foreach_mul(list(vector), factor)


def _report(task: Vector, others: Mapping[str, Vector]) -> RevisionReport:
    square = inner_product(task, task)
    shares, cosines = {}, {}
    for name, other in others.items():
        product = inner_product(task, other)
        lengths = square.sqrt() * inner_product(other, other).sqrt()
        shares[name] = torch.where(product == 0, 0, product / square).item()
        cosines[name] = torch.where(product == 0, 0, product / lengths).item()
    return RevisionReport(shares, cosines)
