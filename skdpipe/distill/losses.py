"""The losses of structural knowledge distillation: an equation, a function.

Equation numbers are those of Bian et al., "Structural Knowledge Distillation for Efficient
Skeleton-Based Action Recognition", IEEE TIP 30 (2021).

Logits are ``(batch, class)``. Features are ``(row, channel, frame, joint)``, a row being one real
person of one clip: select them by the mask beforehand, so that padding enters no loss. Student
features have passed the adaptation layer. The teacher is constant: no gradient reaches it. With no
rows at all a feature loss is zero, and so is its gradient.

The edge loss (Eq. 8-11) is in `skdpipe.distill.edge_loss`. Eq. 6, ``L_GM = λ L_node + (1-λ) L_edge``, is
no function: gradient revision takes node and edge loss one by one, so λ and 1-λ are weights of these.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, label: Tensor, smoothing: float = 0.0) -> Tensor:
    """How surprised the network is by the label, averaged over the batch.

    ``-1/b Σ_i log P_i[label_i]``; with smoothing ε the label has ``1-ε`` of the probability and the
    rest is shared by all classes. The task loss of the released code.

    Args:
        logits: ``(batch, class)``.
        label: ``(batch,)`` int64.
        smoothing: ε in [0, 1].
    """
    return F.cross_entropy(logits, label, label_smoothing=smoothing)


def binary_cross_entropy_per_class(logits: Tensor, label: Tensor) -> Tensor:
    """The task loss as printed: a binary cross-entropy for each class on softmax outputs.

    ``L_T = -1/b Σ_i Σ_j Y_ij log P_ij + (1 - Y_ij) log(1 - P_ij)`` (Eq. 2), Y one-hot. ``1 - P_ij`` is
    taken as the sum of the other classes' probabilities, which stays exact when P_ij is near one.

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
    """How far the student's soft predictions are from the teacher's, as is usual: ``KL(P_t || P_s)``.

    ``τ²/b Σ_i Σ_j P_t log(P_t / P_s)`` with ``P = softmax(logits / τ)`` (Eq. 4). The released code has
    this direction; Eq. 5 as printed is :func:`reverse_kl_divergence`.

    Args:
        student_logits: ``(batch, class)``.
        teacher_logits: ``(batch, class)``.
        temperature: τ > 0.
    """
    student, teacher = _soft_predictions(student_logits, teacher_logits, temperature)
    return temperature**2 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def reverse_kl_divergence(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """The divergence as printed, the student first: ``KL(P_s || P_t)``.

    ``τ²/b Σ_i Σ_j P_s log(P_s / P_t)`` (Eq. 5) with ``P = softmax(logits / τ)`` (Eq. 4).

    Args:
        student_logits: ``(batch, class)``.
        teacher_logits: ``(batch, class)``.
        temperature: τ > 0.
    """
    student, teacher = _soft_predictions(student_logits, teacher_logits, temperature)
    return temperature**2 * F.kl_div(teacher, student, reduction="batchmean", log_target=True)


def _soft_predictions(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """``log softmax(L / τ)`` of both (Eq. 4); the teacher's is constant."""
    return F.log_softmax(student / temperature, dim=1), F.log_softmax(teacher.detach() / temperature, dim=1)


def node_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """How far the student's features are from the teacher's at each vertex.

    ``1/(bTN) Σ_ijk |r(X^s_ijk) - X^t_ijk|²`` (Eq. 7): summed over channels, averaged over rows, frames
    and joints.

    Args:
        student: ``(row, channel, frame, joint)``, after the adaptation layer.
        teacher: the same shape.
    """
    assert student.shape == teacher.shape, f"{tuple(student.shape)} against {tuple(teacher.shape)}"
    if len(student) == 0:
        return student.sum()
    difference = _at_least_single(student) - _at_least_single(teacher.detach())
    return difference.square().sum(dim=1).mean()


def relative_node_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """:func:`node_loss` as a share of the teacher's own strength: 1 if the student answers zero everywhere.

    ``Σ |r(X^s) - X^t|² / Σ |X^t|²``. Eq. 7 is a sum over channels and grows with the square of the teacher's
    features, so that its gradient can dwarf the task's; this one does not, as the edge loss does not
    thanks to its β. Not in the paper.

    Args:
        student: ``(row, channel, frame, joint)``, after the adaptation layer.
        teacher: the same shape.
    """
    strength = node_loss(torch.zeros_like(teacher), teacher)
    return node_loss(student, teacher) / torch.where(strength > 0, strength, 1)


def _at_least_single(x: Tensor) -> Tensor:
    """Half precision as single, everything else as it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
