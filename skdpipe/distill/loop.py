"""The one training loop: teacher, baselines and students differ only in their objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from skdpipe.config import Recipe
from skdpipe.dataset import Augment, Batch, PairedClips, batches
from skdpipe.distill.gradients import RevisionReport, revised_gradients
from skdpipe.errors import DataError
from skdpipe.progress import Task


class Losses(NamedTuple):
    """What a step minimises: the task loss, and distillation losses by name, each already weighted."""

    task: Tensor
    distillation: Mapping[str, Tensor] = {}


Objective = Callable[[Batch], Losses]


@dataclass
class Curve:
    """What an epoch did, averaged over its steps: losses, cosines and shares of revised gradients."""

    losses: dict[str, float] = field(default_factory=dict)
    cosines: dict[str, float] = field(default_factory=dict)
    revised: dict[str, float] = field(default_factory=dict)


def train(
    modules: nn.Module,
    objective: Objective,
    data: PairedClips,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    revision: bool,
    augment: Augment | None,
    state_file: Path,
    task: Task,
) -> list[Curve]:
    """Train in place; goes on after the last whole epoch where ``state_file`` is there.

    Args:
        modules: all that is trained: the network, and for a student its adaptation layer.
        objective: from a batch to losses, in one forward pass.
        data: the training clips.
        recipe: schedule and optimiser.
        seed: of the order and the augmentation; an epoch depends on seed and number alone.
        device: where to train.
        revision: revise conflicting distillation gradients (Algorithm 1).
        augment: looks at a batch at random.
        state_file: safetensors with weights and momentum, written after each epoch.
        task: told how far training is.

    Returns:
        The curve of each epoch trained now.

    Raises:
        DataError: if a loss is not finite.
    """
    parameters = [parameter for parameter in modules.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(
        parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        weight_decay=recipe.weight_decay,
    )
    half = recipe.mixed_precision and device.type == "cuda"
    scaler = GradScaler(device.type, enabled=half)
    curves = []
    steps = math.ceil(len(data) / recipe.batch)
    for epoch in range(_restore(modules, optimiser, state_file), recipe.epochs):
        modules.train()
        sums = _Sums()
        order, noise = (np.random.default_rng([seed, epoch, use]) for use in (0, 1))
        for step, batch in enumerate(
            batches(data, recipe.batch, workers=recipe.loader_workers, shuffle=order)
        ):
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * rate(recipe, epoch + step / steps)
            seen = augment(batch, noise) if augment else batch
            on_device = Batch(*(tensor.to(device, non_blocking=True) for tensor in seen))
            with torch.autocast(device.type, torch.float16, enabled=half):
                losses = objective(on_device)
            report = _backward(losses, parameters, scaler, revision=revision)
            scaler.step(optimiser)
            scaler.update()
            sums.add(losses, report)
            task.advance_to(epoch + (step + 1) / steps, f"loss {sums.mean_task:.3f}")
        if not math.isfinite(sums.mean_task):
            raise DataError(f"the loss is {sums.mean_task} in epoch {epoch + 1}; lower the learning rate")
        curves.append(sums.curve())
        _store(modules, optimiser, state_file, epoch + 1)
    modules.eval()
    return curves


def rate(recipe: Recipe, epoch: float) -> float:
    """Factor of the learning rate at a moment in epochs: warm-up, then steps or a cosine."""
    if epoch < recipe.warmup:
        return (epoch + 1e-3) / recipe.warmup
    if recipe.milestones:
        return recipe.decay ** sum(epoch >= milestone for milestone in recipe.milestones)
    return 0.5 * (1 + math.cos(math.pi * (epoch - recipe.warmup) / max(1, recipe.epochs - recipe.warmup)))


def _backward(
    losses: Losses, parameters: list[nn.Parameter], scaler: GradScaler, *, revision: bool
) -> RevisionReport | None:
    """Leave the gradient of a step (scaled if a scaler is on) in the parameters."""
    scaled = {name: scaler.scale(loss) for name, loss in losses.distillation.items()}
    if revision and scaled:
        gradients, report = revised_gradients(scaler.scale(losses.task), scaled, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        return report
    for parameter in parameters:
        parameter.grad = None
    total = scaler.scale(losses.task)
    for loss in scaled.values():
        total = total + loss
    total.backward()  # type: ignore[no-untyped-call]
    return None


class _Sums:
    """Running means of an epoch."""

    def __init__(self) -> None:
        self._steps = 0
        self._losses: dict[str, float] = {}
        self._cosines: dict[str, float] = {}
        self._revised: dict[str, float] = {}

    def add(self, losses: Losses, report: RevisionReport | None) -> None:
        self._steps += 1
        for name, loss in {"task": losses.task, **losses.distillation}.items():
            self._losses[name] = self._losses.get(name, 0.0) + float(loss.detach())
        if report is not None:
            for name, cosine in report.cosine.items():
                self._cosines[name] = self._cosines.get(name, 0.0) + cosine
                self._revised[name] = self._revised.get(name, 0.0) + report.revised[name]

    @property
    def mean_task(self) -> float:
        return self._losses["task"] / self._steps

    def curve(self) -> Curve:
        def mean(sums: dict[str, float]) -> dict[str, float]:
            return {name: total / self._steps for name, total in sums.items()}

        return Curve(mean(self._losses), mean(self._cosines), mean(self._revised))


def _store(modules: nn.Module, optimiser: torch.optim.SGD, path: Path, epochs: int) -> None:
    state = optimiser.state_dict()["state"]
    tensors = {f"module.{name}": value.contiguous() for name, value in modules.state_dict().items()}
    momentum = {
        f"momentum.{index}": values["momentum_buffer"].contiguous()
        for index, values in state.items()
        if values.get("momentum_buffer") is not None
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file({**tensors, **momentum, "epochs": torch.tensor(epochs)}, part)
    part.replace(path)


def _restore(modules: nn.Module, optimiser: torch.optim.SGD, path: Path) -> int:
    """Load what `_store` wrote, if it is there; the number of whole epochs already trained."""
    if not path.is_file():
        return 0
    tensors = load_file(path)
    modules.load_state_dict(
        {name.removeprefix("module."): value for name, value in tensors.items() if name.startswith("module.")}
    )
    state = optimiser.state_dict()
    state["state"] = {
        int(name.removeprefix("momentum.")): {"momentum_buffer": value}
        for name, value in tensors.items()
        if name.startswith("momentum.")
    }
    optimiser.load_state_dict(state)
    return int(tensors["epochs"])
