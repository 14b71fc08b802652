"""The objectives of teacher, baselines and students: functions from a batch to its losses."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from skdpipe.cache import Quality
from skdpipe.config import Distillation, Recipe
from skdpipe.dataset import Batch, BatchPart, PairedClips, batches
from skdpipe.distill.alignment import same_frames
from skdpipe.distill.edge_loss import edge_loss, official_edge_loss
from skdpipe.distill.losses import (
    MiniBatch,
    binary_cross_entropy_per_class,
    cross_entropy,
    kl_divergence,
    node_loss,
    relative_node_loss,
    reverse_kl_divergence,
)
from skdpipe.distill.processes import ALONE, Processes
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


def pooled(means: Tensor) -> Tensor:
    """Features averaged over frames and joints, with all rows as the vertices of one row.

    From ``(row, channel)`` to ``(1, channel, row, 1)``: the node loss then compares one vector
    per person, and the edge loss the distances between the people of the batch (Park et al., "Relational
    Knowledge Distillation", CVPR 2019).
    """
    return means.t()[None, :, :, None]


def teacher_objective(network: GraphNetwork, recipe: Recipe, processes: Processes = ALONE) -> Objective:
    """The task loss on high-quality skeletons; the processes have parts of each batch."""
    return _task_objective(network, recipe, "high", processes)


def baseline_objective(network: GraphNetwork, recipe: Recipe, processes: Processes = ALONE) -> Objective:
    """The task loss on low-quality skeletons; the processes have parts of each batch."""
    return _task_objective(network, recipe, "low", processes)


def _task_objective(
    network: GraphNetwork, recipe: Recipe, quality: Quality, processes: Processes
) -> Objective:
    def losses(batch: Batch) -> Losses:
        (clips,) = processes.count_rows(len(batch.label))
        x, mask = batch.of_quality(quality)
        logits = network(x, mask).logits
        task = _mean_task_loss(logits, batch.label, recipe, clips)
        return Losses(task, correct=are_correct(logits, batch.label, mask))

    return losses


def _mean_task_loss(logits: Tensor, label: Tensor, recipe: Recipe, clips: int) -> Tensor:
    """The sum of the clips' task losses, divided by the number of clips of the whole batch."""
    return len(label) / clips * task_loss(logits, label, recipe) if len(label) else logits.float().sum()


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
    processes: Processes = ALONE,
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
        processes: they have parts of each batch; the losses of each are its shares of the batch's losses.
    """

    def losses(batch: Batch) -> Losses:
        has_high = batch.high_mask.any(dim=1)
        clips, high, people = processes.count_rows(
            len(batch.label), int(has_high.sum()), int(batch.paired.sum())
        )
        own = student(batch.low, batch.low_mask)
        label, logits = batch.label[batch.labelled], own.logits[batch.labelled]
        task = settings.task * _mean_task_loss(logits, label, recipe, clips)
        correct = are_correct(own.logits, batch.label, batch.low_mask)[batch.labelled]
        if not high:
            return Losses(task, correct=correct)
        target = teacher_output(batch, has_high)
        distillation = {}
        if settings.kl:
            distillation["kl"] = settings.kl * mean_divergence(own.logits[has_high], target.logits, high)
        if settings.node or settings.edge:
            adapted = adaptation(own.features[batch.paired]).float()
            features = target.features[batch.paired[has_high]].float()
            distillation |= feature_losses(*same_frames(adapted, features), people)
        return Losses(task, distillation, correct)

    def mean_divergence(logits: Tensor, of_teacher: Tensor, clips: int) -> Tensor:
        if not len(logits):
            return logits.float().sum()
        divergence = _KL[settings.kl_direction]
        return len(logits) / clips * divergence(logits.float(), of_teacher.float(), settings.temperature)

    def feature_losses(own: Tensor, of_teacher: Tensor, people: int) -> dict[str, Tensor]:
        if not settings.pooled:
            return _feature_losses(own, of_teacher, MiniBatch(people, processes.sum), settings)
        everybody = [processes.with_rows_of_others(each.mean(dim=(2, 3))) for each in (own, of_teacher)]
        losses = _feature_losses(pooled(everybody[0]), pooled(everybody[1]), None, settings)
        # Each process computes the whole loss, and the gradient of its own rows. The value counts once.
        return losses if processes.is_first else {name: each - each.detach() for name, each in losses.items()}

    @torch.no_grad()
    def teacher_output(batch: Batch, has_high: Tensor) -> NetworkOutput:
        if cached is not None:
            return NetworkOutput(*(each[batch.number[has_high]] for each in cached))
        return teacher(batch.high[has_high], batch.high_mask[has_high])

    return losses


def _feature_losses(
    student: Tensor, teacher: Tensor, batch: MiniBatch | None, settings: Distillation
) -> dict[str, Tensor]:
    """Node and edge loss of the features of the same people, ``(row, channel, frame, joint)``."""
    losses = {}
    if settings.node:
        losses["node"] = settings.node * _NODE[settings.node_variant](student, teacher, batch)
    if settings.edge:
        losses["edge"] = settings.edge * _EDGE[settings.edge_variant](student, teacher, batch)
    return losses


@torch.no_grad()
def cache_teacher_outputs(
    teacher: Network,
    data: PairedClips,
    recipe: Recipe,
    megabytes: float,
    device: torch.device,
    task: Task,
    processes: Processes = ALONE,
) -> NetworkOutput | None:
    """The teacher's outputs for all clips in order, or None if they need more memory.

    Each process computes a part of each batch, and gets all of it.

    Args:
        teacher: in evaluation mode.
        data: the clips; the teacher's input is their high quality, without augmentation.
        recipe: batch size and loader workers.
        megabytes: limit of the device's memory (10^6 bytes) for all outputs.
        device: where the teacher is.
        task: shows the number of clips done.
        processes: share the work.
    """
    outputs: list[NetworkOutput] = []
    done = 0
    part = BatchPart(processes.index, processes.count)
    for batch in batches(data, recipe.batch, workers=recipe.loader_workers, part=part):
        own = teacher(batch.high.to(device), batch.high_mask.to(device))
        order = processes.with_rows_of_others(batch.number).argsort().to(device)
        output = NetworkOutput(*(processes.with_rows_of_others(each)[order] for each in own))
        if len(data) / len(output.logits) * sum(each.nbytes for each in output) > megabytes * 1e6:
            return None
        outputs.append(output)
        done += len(output.logits)
        task.advance_to(done, "")
    logits, features = zip(*outputs, strict=True)
    return NetworkOutput(torch.cat(logits), torch.cat(features))
