"""The objectives of teacher, baselines and students: functions from a batch to its losses."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from skdpipe.cache import Quality
from skdpipe.config import Distillation, Recipe
from skdpipe.dataset import Batch, PairedClips, batches
from skdpipe.distill.alignment import same_frames
from skdpipe.distill.edge_loss import edge_loss, official_edge_loss
from skdpipe.distill.losses import (
    binary_cross_entropy_per_class,
    cross_entropy,
    kl_divergence,
    node_loss,
    relative_node_loss,
    reverse_kl_divergence,
)
from skdpipe.distill.training import Losses, Objective
from skdpipe.networks import GraphNetwork, Network, NetworkOutput
from skdpipe.progress import Task

_KL: Final = {"teacher_student": kl_divergence, "student_teacher": reverse_kl_divergence}
_NODE: Final = {"paper": node_loss, "relative": relative_node_loss}
_EDGE: Final = {"paper": edge_loss, "official": official_edge_loss}


def task_loss(logits: Tensor, label: Tensor, recipe: Recipe) -> Tensor:
    """The task loss that the recipe names (Eq. 2)."""
    if recipe.task_loss == "cross_entropy":
        return cross_entropy(logits.float(), label, recipe.label_smoothing)
    return binary_cross_entropy_per_class(logits.float(), label)


def pooled(features: Tensor) -> Tensor:
    """Features averaged over frames and joints, with all rows as the vertices of one row.

    From ``(row, channel, frame, joint)`` to ``(1, channel, row, 1)``: the node loss then compares one vector
    per person, and the edge loss the distances between the people of the batch (Park et al., "Relational
    Knowledge Distillation", CVPR 2019).
    """
    return features.mean(dim=(2, 3)).t()[None, :, :, None]


def teacher_objective(network: GraphNetwork, recipe: Recipe) -> Objective:
    """The task loss on high-quality skeletons."""
    return _task_objective(network, recipe, "high")


def baseline_objective(network: GraphNetwork, recipe: Recipe) -> Objective:
    """The task loss on low-quality skeletons."""
    return _task_objective(network, recipe, "low")


def _task_objective(network: GraphNetwork, recipe: Recipe, quality: Quality) -> Objective:
    def losses(batch: Batch) -> Losses:
        x, mask = batch.of_quality(quality)
        logits = network(x, mask).logits
        return Losses(task_loss(logits, batch.label, recipe), correct=are_correct(logits, batch.label, mask))

    return losses


def are_correct(logits: Tensor, label: Tensor, mask: Tensor) -> Tensor:
    """Whether each clip's most probable class is its label, and somebody was detected in it; ``(clip,)``."""
    return (logits.detach().argmax(dim=1) == label) & mask.any(dim=1)


def student_objective(
    student: GraphNetwork,
    teacher: Network,
    adaptation: nn.Module,
    recipe: Recipe,
    settings: Distillation,
    cached: NetworkOutput | None = None,
) -> Objective:
    """Task loss, KL, node and edge loss of the student (Eq. 3 and 6).

    The task loss is a sum over the labelled clips divided by the number of all clips, so each label has the
    same weight in every batch. KL is averaged over the clips that have high quality. Node and edge losses
    compare the people that both qualities have.

    Args:
        student: the network that is trained.
        teacher: in evaluation mode; computed once per batch, without gradients.
        adaptation: maps the student's features to the number of the teacher's channels.
        recipe, settings: losses and their factors.
        cached: the teacher's outputs for all clips of the data (see :func:`cache_teacher_outputs`), used
            instead of the teacher.
    """

    def losses(batch: Batch) -> Losses:
        own = student(batch.low, batch.low_mask)
        task = settings.task * labelled_task_loss(own.logits, batch)
        correct = are_correct(own.logits, batch.label, batch.low_mask)[batch.labelled]
        has_high = batch.high_mask.any(dim=1)
        if not has_high.any():
            return Losses(task, correct=correct)
        target = teacher_output(batch, has_high)
        distillation = {}
        if settings.kl:
            divergence = _KL[settings.kl_direction]
            kl = divergence(own.logits[has_high].float(), target.logits.float(), settings.temperature)
            distillation["kl"] = settings.kl * kl
        if settings.node or settings.edge:
            adapted = adaptation(own.features[batch.paired]).float()
            features = target.features[batch.paired[has_high]].float()
            distillation |= _feature_losses(*same_frames(adapted, features), settings)
        return Losses(task, distillation, correct)

    def labelled_task_loss(logits: Tensor, batch: Batch) -> Tensor:
        if not batch.labelled.any():
            return 0 * logits.sum()
        share = batch.labelled.float().mean()
        return share * task_loss(logits[batch.labelled], batch.label[batch.labelled], recipe)

    @torch.no_grad()
    def teacher_output(batch: Batch, has_high: Tensor) -> NetworkOutput:
        if cached is not None:
            return NetworkOutput(*(each[batch.number[has_high]] for each in cached))
        return teacher(batch.high[has_high], batch.high_mask[has_high])

    return losses


def _feature_losses(student: Tensor, teacher: Tensor, settings: Distillation) -> dict[str, Tensor]:
    """Node and edge loss of the features of the same people, ``(row, channel, frame, joint)``."""
    if settings.pooled:
        student, teacher = pooled(student), pooled(teacher)
    losses = {}
    if settings.node:
        losses["node"] = settings.node * _NODE[settings.node_variant](student, teacher)
    if settings.edge:
        losses["edge"] = settings.edge * _EDGE[settings.edge_variant](student, teacher)
    return losses


@torch.no_grad()
def cache_teacher_outputs(
    teacher: Network, data: PairedClips, recipe: Recipe, megabytes: float, device: torch.device, task: Task
) -> NetworkOutput | None:
    """The teacher's outputs for all clips in order, or None if they need more memory.

    Args:
        teacher: in evaluation mode.
        data: the clips; the teacher's input is their high quality, without augmentation.
        recipe: batch size and loader workers.
        megabytes: limit of the device's memory (10^6 bytes) for all outputs.
        device: where the teacher is.
        task: shows the number of clips done.
    """
    outputs: list[NetworkOutput] = []
    done = 0
    for batch in batches(data, recipe.batch, workers=recipe.loader_workers):
        output = teacher(batch.high.to(device), batch.high_mask.to(device))
        if len(data) / len(output.logits) * sum(each.nbytes for each in output) > megabytes * 1e6:
            return None
        outputs.append(output)
        done += len(output.logits)
        task.advance_to(done, "")
    logits, features = zip(*outputs, strict=True)
    return NetworkOutput(torch.cat(logits), torch.cat(features))
