"""What teacher, baselines and students minimise, as functions from a batch to losses."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

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
    """Eq. 2 by the recipe's name."""
    if recipe.task_loss == "cross_entropy":
        return cross_entropy(logits.float(), label, recipe.label_smoothing)
    return binary_cross_entropy_per_class(logits.float(), label)


def pooled(features: Tensor) -> Tensor:
    """Features averaged over frames and joints, all rows as the vertices of one.

    From ``(row, channel, frame, joint)`` to ``(1, channel, row, 1)``: the node loss compares what is seen of
    each person as a whole, the edge loss how the people of the batch lie to one another (Park et al.,
    "Relational Knowledge Distillation", CVPR 2019).
    """
    return features.mean(dim=(2, 3)).t()[None, :, :, None]


def teacher_objective(network: GraphNetwork, recipe: Recipe) -> Objective:
    """The teacher's objective: the task loss on high-quality skeletons."""
    return lambda batch: Losses(task_loss(network(batch.high, batch.high_mask).logits, batch.label, recipe))


def baseline_objective(network: GraphNetwork, recipe: Recipe) -> Objective:
    """The baseline's objective: the task loss on low-quality skeletons."""
    return lambda batch: Losses(task_loss(network(batch.low, batch.low_mask).logits, batch.label, recipe))


def student_objective(
    student: GraphNetwork,
    teacher: Network,
    adaptation: nn.Module,
    recipe: Recipe,
    settings: Distillation,
    kept: NetworkOutput | None = None,
) -> Objective:
    """The student's objective: task loss, KL, node and edge loss (Eq. 3 and 6).

    The teacher answers once for each batch, and no gradient reaches it. It is asked about the clips that
    high quality shows, and KL is averaged over these. The task loss is averaged over all, a clip whose label
    low quality does not have adding zero: a label that is alone in its batch weighs no more than any other.
    Node and edge losses see the people that both views show; the others have no counterpart.

    Args:
        student, teacher: the teacher in evaluation mode.
        adaptation: brings the student's features to as many channels as the teacher's.
        recipe, settings: losses and their factors.
        kept: what the teacher says of each clip of the data (see `cache_teacher_outputs`); it is not asked then.
    """

    def losses(batch: Batch) -> Losses:
        own = student(batch.low, batch.low_mask)
        task = settings.task * of_labelled(own.logits, batch)
        shown = batch.high_mask.any(dim=1)
        if not shown.any():
            return Losses(task)
        known = answer(batch, shown)
        distillation = {}
        if settings.kl:
            kl = _KL[settings.kl_direction](
                own.logits[shown].float(), known.logits.float(), settings.temperature
            )
            distillation["kl"] = settings.kl * kl
        if settings.node or settings.edge:
            adapted = adaptation(own.features[batch.paired]).float()
            wanted = known.features[batch.paired[shown]].float()
            distillation |= _feature_losses(*same_frames(adapted, wanted), settings)
        return Losses(task, distillation)

    def of_labelled(logits: Tensor, batch: Batch) -> Tensor:
        if not batch.labelled.any():
            return 0 * logits.sum()
        share = batch.labelled.float().mean()
        return share * task_loss(logits[batch.labelled], batch.label[batch.labelled], recipe)

    @torch.no_grad()
    def answer(batch: Batch, shown: Tensor) -> NetworkOutput:
        if kept is not None:
            return NetworkOutput(*(each[batch.number[shown]] for each in kept))
        return teacher(batch.high[shown], batch.high_mask[shown])

    return losses


def _feature_losses(adapted: Tensor, wanted: Tensor, settings: Distillation) -> dict[str, Tensor]:
    """Node and edge loss of the same people's features, ``(row, channel, frame, joint)``."""
    if settings.pooled:
        adapted, wanted = pooled(adapted), pooled(wanted)
    losses = {}
    if settings.node:
        losses["node"] = settings.node * _NODE[settings.node_variant](adapted, wanted)
    if settings.edge:
        losses["edge"] = settings.edge * _EDGE[settings.edge_variant](adapted, wanted)
    return losses


@torch.no_grad()
def cache_teacher_outputs(
    teacher: Network, data: PairedClips, recipe: Recipe, megabytes: float, device: torch.device, task: Task
) -> NetworkOutput | None:
    """What a teacher says of each clip as it is, or None if that takes more memory.

    Args:
        teacher: in evaluation mode.
        data: the clips, whose good skeletons it sees in their order.
        recipe: how many it sees at a time.
        megabytes: of the device's memory (10^6 bytes), that all answers may take.
        device: where the teacher is.
        task: told how many clips are answered.
    """
    answers: list[NetworkOutput] = []
    for batch in batches(data, recipe.batch, workers=recipe.loader_workers):
        answer = teacher(batch.high.to(device), batch.high_mask.to(device))
        if len(data) / len(answer.logits) * sum(each.nbytes for each in answer) > megabytes * 1e6:
            return None
        answers.append(answer)
        task.advance_to(sum(len(each.logits) for each in answers), "")
    logits, features = zip(*answers, strict=True)
    return NetworkOutput(torch.cat(logits), torch.cat(features))
