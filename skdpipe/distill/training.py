"""The one training loop: teacher, baselines and students differ only in their objective."""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from skdpipe.config import Recipe
from skdpipe.dataset import Augment, Batch, PairedClips, batches
from skdpipe.distill.gradients import RevisionReport, revised_gradients, summed_revised_gradients
from skdpipe.errors import DataError
from skdpipe.progress import Task

Revision = Literal["none", "summed", "per_loss"]


class Losses(NamedTuple):
    """What a step minimises.

    Attributes:
        task: the task loss.
        distillation: further losses by name, each already weighted.
    """

    task: Tensor
    distillation: Mapping[str, Tensor] = {}


Objective = Callable[[Batch], Losses]


@dataclass
class Curve:
    """What an epoch did.

    Attributes:
        losses: averaged over its steps.
        cosines: between each distillation gradient and the task's, where each was taken by itself: in an
            epoch's first step at least.
        revised: in what share of the steps each was revised.
        seconds: it took; no two trainings agree there, and equality does not ask.
    """

    losses: dict[str, float] = field(default_factory=dict)
    cosines: dict[str, float] = field(default_factory=dict)
    revised: dict[str, float] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)


def train(
    modules: nn.Module,
    objective: Objective,
    data: PairedClips,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    revision: Revision,
    augment: Augment | None,
    state_file: Path,
    task: Task,
    distil_from: int = 0,
) -> list[Curve]:
    """Train in place; goes on after the last whole epoch where ``state_file`` is there.

    Args:
        modules: all that is trained: the network, and for a student its adaptation layer.
        objective: from a batch to losses, in one forward pass.
        data: the training clips.
        recipe: schedule and optimiser.
        seed: of order, augmentation and dropout; an epoch depends on seed and number alone.
        device: where to train.
        revision: revise conflicting distillation gradients (Algorithm 1).
        augment: looks at a batch at random.
        state_file: safetensors with weights, momentum and curves, written after each epoch.
        task: told how far training is.
        distil_from: the epoch from which on the distillation losses count.

    Returns:
        The curve of each epoch, those trained before an interruption included.

    Raises:
        DataError: if a loss or a weight is not finite, or the state file is damaged.
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
    curves = _restore(modules, optimiser, scaler, state_file)
    steps = math.ceil(len(data) / recipe.batch)
    for epoch in range(len(curves), recipe.epochs):
        begin = time.perf_counter()
        modules.train()
        data.begin_epoch(epoch)
        done = _Steps()
        order, noise, dropout = (np.random.default_rng([seed, epoch, use]) for use in range(3))
        torch.manual_seed(int(dropout.integers(2**63)))
        for step, batch in enumerate(
            batches(
                data, recipe.batch, workers=recipe.loader_workers, shuffle=order, augment=augment, noise=noise
            )
        ):
            for group in optimiser.param_groups:
                group["lr"] = recipe.learning_rate * rate(recipe, epoch + step / steps)
            on_device = Batch(*(tensor.to(device, non_blocking=True) for tensor in batch))
            with torch.autocast(device.type, torch.float16, enabled=half):
                losses = objective(on_device)
            if epoch < distil_from:
                losses = losses._replace(distillation={})
            report = _backward(losses, parameters, scaler, revision)
            scaler.step(optimiser)
            scaler.update()
            latest = done.add(losses, report)
            del losses  # frees the graph before the next step builds its own
            _require_finite(latest, epoch)
            task.advance_to(epoch + (step + 1) / steps, f"loss {latest['task']:.3f}")
        _require_finite({"weights": sum(float(each.detach().sum()) for each in parameters)}, epoch)
        curves.append(replace(done.curve, seconds=time.perf_counter() - begin))
        _store(modules, optimiser, scaler, curves, state_file)
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
    losses: Losses, parameters: list[nn.Parameter], scaler: GradScaler, revision: Revision
) -> RevisionReport | None:
    """Leave the gradient of a step (scaled if a scaler is on) in the parameters."""
    task = scaler.scale(losses.task)
    scaled = {name: scaler.scale(loss) for name, loss in losses.distillation.items()}
    report = None
    if revision == "none" or not scaled:
        total = torch.stack([task, *scaled.values()]).sum()
        gradients = torch.autograd.grad(total, parameters, materialize_grads=True)
    else:
        revised = revised_gradients if revision == "per_loss" else summed_revised_gradients
        gradients, report = revised(task, scaled, parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    return report


class _Steps:
    """What the steps of an epoch did so far."""

    def __init__(self) -> None:
        self._losses: defaultdict[str, list[float]] = defaultdict(list)
        self._cosines: defaultdict[str, list[float]] = defaultdict(list)
        self._revised: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, losses: Losses, report: RevisionReport | None) -> dict[str, float]:
        """Take note of a step; the value of each loss."""
        named = {"task": losses.task, **losses.distillation}
        latest = {name: float(loss.detach()) for name, loss in named.items()}
        for name, value in latest.items():
            self._losses[name].append(value)
        if report is not None and report.finite:  # if not, the scaler has skipped the step
            for name, revised in report.revised.items():
                self._revised[name].append(float(revised))
            for name, cosine in report.cosine.items():
                self._cosines[name].append(cosine)
        return latest

    @property
    def curve(self) -> Curve:
        losses, cosines, revised = (
            {name: float(np.mean(values)) for name, values in each.items()}
            for each in (self._losses, self._cosines, self._revised)
        )
        return Curve(losses, cosines, revised)


def _require_finite(values: Mapping[str, float], epoch: int) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise DataError(
                f"training diverged: {name} is {value} in epoch {epoch + 1}, expected a finite number; lower "
                "recipe.learning_rate or lengthen recipe.warmup"
            )


def _store(
    modules: nn.Module,
    optimiser: torch.optim.SGD,
    scaler: GradScaler,
    curves: Sequence[Curve],
    path: Path,
) -> None:
    """Write all that the next epoch depends on, and the curves of those before, in one file."""
    tensors = {f"module.{name}": value.contiguous() for name, value in modules.state_dict().items()}
    momentum = {
        f"momentum.{index}": values["momentum_buffer"].contiguous()
        for index, values in optimiser.state_dict()["state"].items()
        if values.get("momentum_buffer") is not None
    }
    said = {"scaler": scaler.state_dict(), "curves": [asdict(curve) for curve in curves]}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file({**tensors, **momentum}, part, {name: json.dumps(value) for name, value in said.items()})
    part.replace(path)


def _restore(modules: nn.Module, optimiser: torch.optim.SGD, scaler: GradScaler, path: Path) -> list[Curve]:
    """Load what `_store` wrote, if it is there; the curves of the epochs already trained."""
    if not path.is_file():
        return []
    try:
        with safe_open(path, framework="pt") as file:
            said = {name: json.loads(text) for name, text in file.metadata().items()}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is damaged ({error}); delete it to train from the start") from error
    modules.load_state_dict(_with_prefix("module.", tensors))
    state = optimiser.state_dict()
    state["state"] = {
        int(index): {"momentum_buffer": value} for index, value in _with_prefix("momentum.", tensors).items()
    }
    optimiser.load_state_dict(state)
    if said["scaler"]:
        scaler.load_state_dict(said["scaler"])
    return [Curve(**curve) for curve in said["curves"]]


def _with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose name begins so, without that beginning."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
