"""The losses of structural knowledge distillation, one function for each equation.

Equation numbers are those of Bian et al., "Structural Knowledge Distillation for Efficient
Skeleton-Based Action Recognition", IEEE TIP 30 (2021).

Logits are ``(batch, class)``. Features are ``(row, channel, frame, joint)``; a row is one real person of one
clip (padded people must be removed with the mask). Student features are those after the adaptation layer. The
teacher is constant: no gradient flows to it. Without rows, a feature loss and its gradient are zero.

A mini-batch may be divided among processes. A feature loss of some of its rows is then their share: the
shares of all processes add up to the loss of the whole mini-batch.

The edge loss (Eq. 8-11) is in `skdpipe.distill.edge_loss`. Eq. 6, ``L_GM = λ L_node + (1-λ) L_edge``, has no
function: gradient revision needs node and edge loss separately, so λ and 1-λ are weights of the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from skdpipe.networks.precision import at_least_single


class MiniBatch(NamedTuple):
    """The mini-batch that the rows of a process are part of.

    Attributes:
        rows: their number in all processes.
        sum: adds up a tensor over all processes.
    """

    rows: int
    sum: Callable[[Tensor], Tensor]


def whole(rows: Tensor) -> MiniBatch:
    """A mini-batch that consists of the given rows."""
    return MiniBatch(len(rows), lambda tensor: tensor)


def cross_entropy(logits: Tensor, label: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy, averaged over the batch: the task loss of the released code.

    ``-1/b Σ_i log P_i[label_i]``; with smoothing ε, a share ε of the target probability is distributed evenly
    over all classes.

    Args:
        logits: ``(batch, class)``.
        label: ``(batch,)`` int64.
        smoothing: ε in [0, 1].
    """
    return F.cross_entropy(logits, label, label_smoothing=smoothing)


def binary_cross_entropy_per_class(logits: Tensor, label: Tensor) -> Tensor:
    """Binary cross-entropy of each class on softmax outputs: the task loss as printed.

    ``L_T = -1/b Σ_i Σ_j Y_ij log P_ij + (1 - Y_ij) log(1 - P_ij)`` (Eq. 2), Y one-hot. ``1 - P_ij`` is
    computed as the sum of the other classes' probabilities, which is exact when P_ij is near one.

    Args:
        logits: ``(batch, class)``, at least two classes.
        label: ``(batch,)`` int64.
    """
    classes = logits.shape[1]
    itself = torch.eye(classes, dtype=torch.bool, device=logits.device)
    others = logits.unsqueeze(1).masked_fill(itself, -torch.inf).logsumexp(dim=2)
    everything = logits.logsumexp(dim=1, keepdim=True)
    is_label = itself[label]
    return -torch.where(is_label, logits - everything, others - everything).sum(dim=1).mean()


def kl_divergence(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Divergence of the student's soft predictions from the teacher's, ``KL(P_t || P_s)``.

    ``τ²/b Σ_i Σ_j P_t log(P_t / P_s)`` with ``P = softmax(logits / τ)`` (Eq. 4). This is the usual direction
    and that of the released code; Eq. 5 as printed is :func:`reverse_kl_divergence`.

    Args:
        student_logits: ``(batch, class)``.
        teacher_logits: ``(batch, class)``.
        temperature: τ > 0.
    """
    student, teacher = _soft_predictions(student_logits, teacher_logits, temperature)
    return temperature**2 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def reverse_kl_divergence(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Divergence of the teacher's soft predictions from the student's, ``KL(P_s || P_t)``, as printed.

    ``τ²/b Σ_i Σ_j P_s log(P_s / P_t)`` (Eq. 5) with ``P = softmax(logits / τ)`` (Eq. 4).

    Args:
        student_logits: ``(batch, class)``.
        teacher_logits: ``(batch, class)``.
        temperature: τ > 0.
    """
    student, teacher = _soft_predictions(student_logits, teacher_logits, temperature)
    return temperature**2 * F.kl_div(teacher, student, reduction="batchmean", log_target=True)


def _soft_predictions(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """``log softmax(L / τ)`` of both (Eq. 4)."""
    return F.log_softmax(student / temperature, dim=1), F.log_softmax(teacher.detach() / temperature, dim=1)


def node_loss(student: Tensor, teacher: Tensor, batch: MiniBatch | None = None) -> Tensor:
    """Squared distance of the student's features from the teacher's at each vertex.

    ``1/(bTN) Σ_ijk |r(X^s_ijk) - X^t_ijk|²`` (Eq. 7): summed over channels, averaged over rows, frames
    and joints.

    Args:
        student: ``(row, channel, frame, joint)``, after the adaptation layer.
        teacher: the same shape.
        batch: of which the rows are a part; by default they are all of it.
    """
    assert student.shape == teacher.shape, f"{tuple(student.shape)} against {tuple(teacher.shape)}"
    if len(student) == 0:
        return student.sum()
    difference = at_least_single(student) - at_least_single(teacher.detach())
    return difference.square().sum(dim=1).mean() * (len(student) / (batch or whole(student)).rows)


def relative_node_loss(student: Tensor, teacher: Tensor, batch: MiniBatch | None = None) -> Tensor:
    """:func:`node_loss` divided by the teacher's mean square: 1 if the student's features are all zero.

    ``Σ |r(X^s) - X^t|² / Σ |X^t|²``. Eq. 7 is a sum over channels and grows with the square of the teacher's
    features, so its gradient can be much larger than the task's. This variant, like the edge loss with its β,
    does not depend on their scale. Not in the paper.

    Args:
        student: ``(row, channel, frame, joint)``, after the adaptation layer.
        teacher: the same shape.
        batch: of which the rows are a part; by default they are all of it.
    """
    batch = batch or whole(student)
    scale = batch.sum(node_loss(torch.zeros_like(teacher), teacher, batch))
    return node_loss(student, teacher, batch) / torch.where(scale > 0, scale, 1)
