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

Vector = Sequence[Tensor]


@dataclass(frozen=True)
class RevisionReport:
    """What gradient revision found in one step.

    Attributes:
        cosine: for each distillation loss the cosine of the angle between its gradient and the
            task's; 0 if either vanishes, NaN if either is not finite.
        revised: for each distillation loss whether its gradient was revised.
    """

    cosine: Mapping[str, float]
    revised: Mapping[str, bool]

    @property
    def finite(self) -> bool:
        """False if a gradient overflowed and the step must not be taken."""
        return all(math.isfinite(cosine) for cosine in self.cosine.values())


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
    products = [torch.dot(x.flatten().double(), y.flatten().double()) for x, y in zip(a, b, strict=True)]
    return torch.stack(products).sum()


def _report(task: Vector, others: Mapping[str, Vector]) -> RevisionReport:
    cosine = {name: _cosine(task, other) for name, other in others.items()}
    return RevisionReport(cosine, revised={name: value < 0 for name, value in cosine.items()})


def _cosine(a: Vector, b: Vector) -> float:
    product = inner_product(a, b)
    lengths = inner_product(a, a).sqrt() * inner_product(b, b).sqrt()
    return torch.where(product == 0, 0, product / lengths).item()
