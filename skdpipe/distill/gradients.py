"""Gradient revision (Eq. 12-14 and Algorithm 1 of Bian et al., IEEE TIP 30, 2021).

A distillation gradient that conflicts with the task gradient loses the conflicting part. A vector in this
module is a sequence of tensors, one for each parameter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from skdpipe.distill.processes import ALONE, Processes

Vector = Sequence[Tensor]


@dataclass(frozen=True)
class RevisionReport:
    """The conflicts that gradient revision found in one step.

    Attributes:
        share: for each distillation loss ``<g_q, g_T> / |g_T|²``, its gradient's component along the task
            gradient; 0 if either gradient vanishes, NaN or infinite if either overflowed.
        cosine: cosine of the angle between the two gradients, with the same exceptions.
    """

    share: Mapping[str, float]
    cosine: Mapping[str, float]

    @property
    def revised(self) -> dict[str, bool]:
        """For each distillation loss whether its gradient was revised."""
        return {name: share < 0 for name, share in self.share.items()}

    @property
    def finite(self) -> bool:
        """False if a gradient overflowed and the step must be skipped."""
        return all(math.isfinite(value) for value in (*self.share.values(), *self.cosine.values()))


def revised_gradients(
    task_loss: Tensor,
    distillation_losses: Mapping[str, Tensor],
    parameters: Sequence[Tensor],
    processes: Processes = ALONE,
) -> tuple[tuple[Tensor, ...], RevisionReport]:
    """The update direction of Algorithm 1: ``g_T + Σ_q g~_q``, each distillation gradient revised by itself.

    All losses must come from one forward pass, so that batch-norm statistics are updated once. Each loss
    takes its own backward pass; the graph is freed after the last. If a loss does not depend on a
    parameter, its gradient there is zero (the task loss and the adaptation layer).

    Revision commutes with a common factor. With a loss scaler, scale all losses::

        scaled = {name: scaler.scale(loss) for name, loss in losses.items()}
        gradients, report = revised_gradients(scaler.scale(task_loss), scaled, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        scaler.unscale_(optimizer)
        scaler.step(optimizer)

    If any gradient contains an infinity or NaN, so does the result, and the scaler skips the step. Without a
    scaler, check ``report.finite``. Inner products are computed in double precision, so they are finite for
    finite single-precision gradients.

    Args:
        task_loss: scalar.
        distillation_losses: scalars by name, already weighted.
        parameters: tensors to differentiate by.
        processes: each gives its shares of the losses; the gradients of the whole losses are revised.

    Returns:
        A gradient for each parameter, and the conflicts found.
    """
    losses = [task_loss, *distillation_losses.values()]
    last = len(losses) - 1
    task, *others = [
        processes.sum_vector(
            torch.autograd.grad(loss, parameters, retain_graph=number < last, materialize_grads=True)
        )
        for number, loss in enumerate(losses)
    ]
    revised = [revise(task, other) for other in others]
    total = tuple(torch.stack(parts).sum(dim=0) for parts in zip(task, *revised, strict=True))
    return total, _report(task, dict(zip(distillation_losses, others, strict=True)))


def summed_revised_gradients(
    task_loss: Tensor,
    distillation_losses: Mapping[str, Tensor],
    parameters: Sequence[Tensor],
    processes: Processes = ALONE,
) -> tuple[tuple[Tensor, ...], RevisionReport]:
    """As :func:`revised_gradients`, with the sum of the distillation losses revised as one gradient.

    Takes two backward passes for any number of losses. Conflicts of single losses with the task can cancel
    in the sum. Not in the paper.

    Returns:
        A gradient for each parameter, and the conflict of the sum under the name ``sum``.
    """
    if not distillation_losses:
        return revised_gradients(task_loss, {}, parameters, processes)
    total = torch.stack(list(distillation_losses.values())).sum()
    return revised_gradients(task_loss, {"sum": total}, parameters, processes)


def revise(task: Vector, other: Vector) -> tuple[Tensor, ...]:
    """The gradient nearest to ``other`` that does not increase the task loss.

    ``g~ = g - min(0, <g, g_T>) / <g_T, g_T> g_T`` (Eq. 14, applied only on conflict as in section III-C), the
    solution of ``argmin |g - g~|² s.t. <g~, g_T> >= 0`` (Eq. 13). ``other`` is unchanged if the task gradient
    is zero. Infinities and NaN of either vector remain in the result or become NaN.

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


def _report(task: Vector, others: Mapping[str, Vector]) -> RevisionReport:
    square = inner_product(task, task)
    shares, cosines = {}, {}
    for name, other in others.items():
        product = inner_product(task, other)
        lengths = square.sqrt() * inner_product(other, other).sqrt()
        shares[name] = torch.where(product == 0, 0, product / square).item()
        cosines[name] = torch.where(product == 0, 0, product / lengths).item()
    return RevisionReport(shares, cosines)
