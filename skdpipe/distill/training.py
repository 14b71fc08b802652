"""The training loop. Teacher, baselines and students differ only in their objective."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from skdpipe.config import Augmentation, Recipe
from skdpipe.dataset import Batch, BatchPart, Loader, PairedClips
from skdpipe.dataset.loader import clips_per_epoch, steps_per_epoch
from skdpipe.distill.gradients import RevisionReport, revised_gradients, summed_revised_gradients
from skdpipe.distill.processes import ALONE, Processes
from skdpipe.distill.training_state import Curve, load_training_state, save_training_state
from skdpipe.errors import DataError
from skdpipe.networks.batch_norm import synchronised_batch_norm
from skdpipe.progress import Task

Revision = Literal["none", "summed", "per_loss"]


class Losses(NamedTuple):
    """The losses of one step, all from the same forward pass; of several processes, the shares of one.

    Attributes:
        task: the task loss.
        distillation: further losses by name, already weighted.
        correct: for each labelled clip whether its most probable class is its label; None if unknown.
    """

    task: Tensor
    distillation: Mapping[str, Tensor] = {}
    correct: Tensor | None = None

    def values(self) -> dict[str, float]:
        """All losses by name, as numbers."""
        return {name: float(loss.detach()) for name, loss in {"task": self.task, **self.distillation}.items()}


Objective = Callable[[Batch], Losses]


class _Step(NamedTuple):
    """What is known of a step after it."""

    losses: dict[str, float]
    report: RevisionReport | None
    clips: int
    labelled: int
    correct: int


def train(
    modules: nn.Module,
    objective: Objective,
    data: PairedClips,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    revision: Revision,
    augment: Augmentation | None,
    state_file: Path,
    task: Task,
    distil_from: int = 0,
    test: Callable[[int], float | None] | None = None,
    follow: Callable[[Sequence[Curve]], None] | None = None,
    processes: Processes = ALONE,
) -> list[Curve]:
    """Train in place. If ``state_file`` exists, training continues after its last complete epoch.

    Args:
        modules: everything that is trained: the network, and for a student its adaptation layer.
        objective: computes the losses of a batch in one forward pass.
        data: the training clips.
        recipe: schedule and optimiser.
        seed: of order, augmentation and dropout; an epoch depends only on the seed and its number.
        device: where to train.
        revision: how distillation gradients that conflict with the task gradient are revised.
        augment: random transformations of the clips.
        state_file: safetensors file with weights, optimiser state and curves, written after each epoch.
        task: shows the progress in epochs.
        distil_from: the first of the recipe's epochs in which the distillation losses count.
        test: returns the accuracy on the test clips after an epoch with a number from 1, or None if it is not
            measured then; for the curve only.
        follow: called with the curves so far, at the start and after each epoch, whose state is saved then.
        processes: train together: each with a part of every batch, by an objective that returns its shares of
            the losses. The result does not depend on their number, except for rounding and dropout, which is
            drawn in each of them. Process 0 alone has the state file and calls ``test`` and ``follow``.

    Returns:
        The curve of each epoch, including those trained before an interruption.

    Raises:
        DataError: if a loss, a weight or a running statistic is not finite, or the state file is damaged.
        ProcessError: if another process fails.
    """
    parameters = [parameter for parameter in modules.parameters() if parameter.requires_grad]
    optimiser = _optimiser(parameters, recipe)
    half = _half_precision(recipe, device)
    scaler = GradScaler(device.type, enabled=half == torch.float16)
    curves = _load_state(state_file, modules, optimiser, scaler, processes)
    steps = steps_per_epoch(clips_per_epoch(data.labels, balanced=recipe.balanced), recipe.batch)
    epochs = planned_epochs(recipe, len(data))
    part = BatchPart(processes.index, processes.count)
    loader = Loader(data, recipe.batch, workers=recipe.loader_workers, part=part)
    if follow is not None:
        processes.of_first(partial(follow, curves))

    for epoch in range(len(curves), epochs):
        start = time.perf_counter()
        order, noise, dropout = (np.random.default_rng([seed, epoch, use]) for use in range(3))
        torch.manual_seed(int(dropout.integers(2**63)) + processes.index)
        modules.train()
        found: list[_Step] = []

        with _synchronised(modules, processes):
            for step, batch in enumerate(
                loader.epoch(epoch, shuffle=order, balanced=recipe.balanced, augment=augment, noise=noise)
            ):
                now = (epoch + step / steps) * recipe.epochs / epochs  # in epochs of the recipe's schedule
                for group in optimiser.param_groups:
                    group["lr"] = recipe.learning_rate * learning_rate_factor(recipe, now)
                on_device = Batch(*(tensor.to(device, non_blocking=True) for tensor in batch))
                with torch.autocast(device.type, half, enabled=half is not None):
                    losses = objective(on_device)
                if epoch * recipe.epochs < distil_from * epochs:
                    losses = losses._replace(distillation={})
                report = compute_gradients(losses, parameters, scaler, revision, processes)
                if recipe.clip_gradients:
                    scaler.unscale_(optimiser)
                    nn.utils.clip_grad_norm_(parameters, recipe.clip_gradients)
                scaler.step(optimiser)
                scaler.update()

                found.append(_step_of(losses, report, len(batch.label), processes))
                del losses  # frees the graph before the next step builds its own
                _require_finite(found[-1].losses, epoch, processes)
                task.advance_to(epoch + (step + 1) / steps, f"loss {found[-1].losses['task']:.3f}")
        seconds = time.perf_counter() - start

        statistics = [each for each in modules.buffers() if each.is_floating_point()]
        for name, tensors in (
            ("weights", parameters),
            ("running statistics", statistics),
        ):
            _require_finite({name: sum(float(each.detach().sum()) for each in tensors)}, epoch, processes)
        curve = _curve(found, seconds, optimiser.param_groups[0]["lr"])
        if test is not None:
            curve.test_top1 = processes.of_first(partial(test, epoch + 1))
        curves.append(curve)
        processes.of_first(partial(save_training_state, state_file, modules, optimiser, scaler, curves))
        if follow is not None:
            processes.of_first(partial(follow, curves))
    loader.close()
    modules.eval()
    return curves


def _half_precision(recipe: Recipe, device: torch.device) -> torch.dtype | None:
    """The type of the matrix products; None for single precision."""
    if recipe.mixed_precision == "bf16":
        return torch.bfloat16
    return torch.float16 if recipe.mixed_precision == "fp16" and device.type == "cuda" else None


def _load_state(
    path: Path, modules: nn.Module, optimiser: torch.optim.Optimizer, scaler: GradScaler, processes: Processes
) -> list[Curve]:
    """Continue from the state file, if there is one; all processes with what process 0 has."""
    if processes.count == 1:
        return load_training_state(path, modules, optimiser, scaler)

    def load() -> tuple[list[Curve], dict[str, Any], dict[str, Any], dict[str, Any]]:
        curves = load_training_state(path, modules, optimiser, scaler)
        return curves, modules.state_dict(), optimiser.state_dict(), scaler.state_dict()

    curves, weights, moments, scale = processes.of_first(load)
    modules.load_state_dict(weights)
    optimiser.load_state_dict(moments)
    scaler.load_state_dict(scale)
    return curves


def _synchronised(modules: nn.Module, processes: Processes) -> AbstractContextManager[None]:
    return synchronised_batch_norm(modules, processes.sum) if processes.count > 1 else nullcontext()


def planned_epochs(recipe: Recipe, clips: int) -> int:
    """The number of epochs: the recipe's, or the number that its lowest number of steps requires.

    The schedule of the recipe is stretched to it.
    """
    return max(recipe.epochs, math.ceil(recipe.steps / steps_per_epoch(clips, recipe.batch)))


def _optimiser(parameters: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser. AdamW does not decay biases and the weights of normalisation layers."""
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
            weight_decay=recipe.weight_decay,
        )
    groups = [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [each for each in parameters if each.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def learning_rate_factor(recipe: Recipe, epoch: float) -> float:
    """Factor of the learning rate at a time in epochs: warm-up, then steps or a cosine."""
    if epoch < recipe.warmup:
        return (epoch + 1e-3) / recipe.warmup
    if recipe.milestones:
        return recipe.decay ** sum(epoch >= milestone for milestone in recipe.milestones)
    return 0.5 * (1 + math.cos(math.pi * (epoch - recipe.warmup) / max(1, recipe.epochs - recipe.warmup)))


def compute_gradients(
    losses: Losses,
    parameters: list[nn.Parameter],
    scaler: GradScaler,
    revision: Revision,
    processes: Processes = ALONE,
) -> RevisionReport | None:
    """Set the gradients of a step of all processes, multiplied by the scale of an enabled scaler.

    Returns:
        The conflicts found, None without revision or without distillation losses.
    """
    task = scaler.scale(losses.task)
    distillation = {name: scaler.scale(loss) for name, loss in losses.distillation.items()}
    report = None
    if revision == "none" or not distillation:
        total = torch.stack([task, *distillation.values()]).sum()
        gradients = processes.sum_vector(torch.autograd.grad(total, parameters, materialize_grads=True))
    else:
        revise = revised_gradients if revision == "per_loss" else summed_revised_gradients
        gradients, report = revise(task, distillation, parameters, processes)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    return report


def _step_of(losses: Losses, report: RevisionReport | None, clips: int, processes: Processes) -> _Step:
    """What is known of the step of all processes, given the losses and the clips of this one."""
    values, correct = losses.values(), losses.correct
    counts = (clips, 0, 0) if correct is None else (clips, len(correct), int(correct.sum()))
    totals = processes.sum_numbers([*values.values(), *counts])
    return _Step(dict(zip(values, totals, strict=False)), report, *map(round, totals[len(values) :]))


def _curve(steps: Sequence[_Step], seconds: float, learning_rate: float) -> Curve:
    # A report that is not finite belongs to a step that the scaler skipped.
    reports = [each.report for each in steps if each.report is not None and each.report.finite]
    labelled = sum(each.labelled for each in steps)
    return Curve(
        losses=_means(each.losses for each in steps),
        cosines=_means(report.cosine for report in reports),
        revised=_means(report.revised for report in reports),
        seconds=seconds,
        learning_rate=learning_rate,
        clips=sum(each.clips for each in steps),
        training_top1=100 * sum(each.correct for each in steps) / labelled if labelled else None,
    )


def _means(steps: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each name over the steps that have it."""
    values: defaultdict[str, list[float]] = defaultdict(list)
    for step in steps:
        for name, value in step.items():
            values[name].append(float(value))
    return {name: float(np.mean(each)) for name, each in values.items()}


def _require_finite(values: Mapping[str, float], epoch: int, processes: Processes) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            error = DataError(
                f"training diverged: {name} is {value} in epoch {epoch + 1}, expected a finite number; lower "
                "recipe.learning_rate or lengthen recipe.warmup"
            )
            raise processes.error_in_all(error)
