"""The losses of structural knowledge distillation: an equation, a function.

Equation numbers are those of Bian et al., "Structural Knowledge Distillation for Efficient
Skeleton-Based Action Recognition", IEEE TIP 30 (2021).

Logits are ``(batch, class)``. Features are ``(row, channel, frame, joint)``, a row being one real
person of one clip: select them by the mask beforehand, so that padding enters no loss. Student
features have passed the adaptation layer. The teacher is constant: no gradient reaches it. With no
rows at all a feature loss is zero, and so is its gradient.

Eq. 6, ``L_GM = λ L_node + (1-λ) L_edge``, is no function here: gradient revision takes node and
edge loss one by one, so λ and 1-λ are weights of these two.
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
    _assert_same_vertices(student, teacher)
    if len(student) == 0:
        return student.sum()
    return F.huber_loss(_squared_potential(student), _squared_potential(teacher.detach()), delta=1.0)


def official_edge_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """How differently the vertices of student and teacher lie to one another, as released.

    As :func:`edge_loss`, but with ``ψ(v_i, v_j) = |v_i - v_j| / β``, not squared, and a β for each row:
    the mean of ``|v_i - v_j|`` over the row's pairs of distinct points.

    Args:
        student: ``(row, channel, frame, joint)``, after the adaptation layer.
        teacher: the same rows, frames and joints; any number of channels.
    """
    _assert_same_vertices(student, teacher)
    if len(student) == 0:
        return student.sum()
    return F.huber_loss(_potential(student), _potential(teacher.detach()), delta=1.0)


def _squared_potential(features: Tensor) -> Tensor:
    """``|v_i - v_j|² / β``, ``(row, vertex, vertex)``; zero if all vertices of all rows coincide."""
    squared = _squared_distances(features)
    scale = squared.mean()
    return squared / torch.where(scale > 0, scale, 1)


def _potential(features: Tensor) -> Tensor:
    """``|v_i - v_j| / β``, ``(row, vertex, vertex)``; zero in rows whose vertices all coincide."""
    squared = _squared_distances(features)
    apart = squared > 0
    # The inner where keeps the root's infinite slope at zero (or where it underflows) out of the gradient.
    length = torch.where(apart, torch.where(apart, squared, 1).sqrt(), 0)
    pairs = apart.sum(dim=(1, 2), keepdim=True)
    scale = length.sum(dim=(1, 2), keepdim=True) / pairs.clamp_min(1)
    return length / torch.where(scale > 0, scale, 1)


# Squared distances below this fraction of |v_i|² + |v_j|² are rounding: points a millionth apart.
_COINCIDENT = 1e-12


def _squared_distances(features: Tensor) -> Tensor:
    """``|v_i - v_j|²`` over the vertices of each row, ``(row, vertex, vertex)``.

    By ``|v_i|² + |v_j|² - 2 <v_i, v_j>`` in double precision, where nothing that single precision
    could tell apart is lost to cancellation, and which autocast and TF32 leave alone. Coincident
    points are exactly zero apart and pass no gradient.
    """
    vertices = features.flatten(2).transpose(1, 2).double()
    norm = vertices.square().sum(dim=2)
    norms = norm.unsqueeze(1) + norm.unsqueeze(2)
    squared = norms - 2 * vertices @ vertices.mT
    squared = torch.where(squared > _COINCIDENT * norms, squared, 0)
    return squared.to(_at_least_single(features).dtype)


def _at_least_single(x: Tensor) -> Tensor:
    """Half precision as single, everything else as it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _assert_same_vertices(student: Tensor, teacher: Tensor) -> None:
    same = len(student) == len(teacher) and student.shape[2:] == teacher.shape[2:]
    assert same, f"{tuple(student.shape)} against {tuple(teacher.shape)}"
