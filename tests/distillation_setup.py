"""A tiny teacher and student, and the training loop with its arguments filled in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from moving_body import tiny_experiment
from recording_progress import RecordedTask
from torch import Tensor, nn

from skdpipe.bundle import build_network
from skdpipe.cache import PoseCache
from skdpipe.config import Augmentation, ClipFormat, Distillation, NetworkChoice, Recipe
from skdpipe.dataset import Batch, PairedClips, batches, build_manifest
from skdpipe.distill.objective import student_objective
from skdpipe.distill.processes import ALONE, Processes
from skdpipe.distill.training import Objective, Revision, train
from skdpipe.distill.training_state import Curve
from skdpipe.networks import GraphNetwork, Network, adaptation_layer

CPU = torch.device("cpu")
TINY = NetworkChoice("st_2sgcn", width=4)
RECIPE = Recipe(epochs=3, batch=4, learning_rate=0.05)


class InterruptionError(Exception):
    """Raised by a test in place of KeyboardInterrupt."""


def interrupt_at(done: float, name: str = "") -> Callable[[RecordedTask], None]:
    """A callback for tasks: raises `InterruptionError` when the task of that name has come so far."""

    def check(task: RecordedTask) -> None:
        if name in ("", task.name) and task.updates[-1][0] >= done:
            raise InterruptionError

    return check


def task_until(done: float = math.inf) -> RecordedTask:
    """A task that raises `InterruptionError` when it has come so far."""
    return RecordedTask("training", None, "", on_update=interrupt_at(done))


def training_clips(cache: PoseCache) -> PairedClips:
    """The eight training clips of `moving_body.fill`: two batches of four."""
    manifest = build_manifest(cache, tiny_experiment())
    clip = ClipFormat(frames=8)
    return PairedClips(cache, manifest.part(train=True), manifest.classes, clip, clip, None, 0)


def tiny_network(seed: int = 0, choice: NetworkChoice = TINY) -> GraphNetwork:
    torch.manual_seed(seed)
    return build_network(choice, ClipFormat(), 2)


class DistillationSetup:
    """A student with its teacher, adaptation layer and objective."""

    def __init__(
        self, settings: Distillation | None = None, recipe: Recipe = RECIPE, dropout: float = 0
    ) -> None:
        self.recipe = recipe
        self.teacher = tiny_network(1, replace(TINY, width=6)).eval()
        self.student = tiny_network(2, replace(TINY, dropout=dropout))
        self.adaptation = adaptation_layer(16, 24)
        self.modules = nn.ModuleDict({"network": self.student, "adaptation": self.adaptation})
        self.objective = self.objective_with(self.teacher, settings)

    def objective_with(self, teacher: Network, settings: Distillation | None = None) -> Objective:
        """The student's objective with another teacher."""
        return student_objective(
            self.student, teacher, self.adaptation, self.recipe, settings or Distillation()
        )

    def train(
        self,
        data: PairedClips,
        folder: Path,
        *,
        seed: int = 0,
        revision: Revision = "per_loss",
        until: float = math.inf,
        objective: Objective | None = None,
        distil_from: int = 0,
        test: Callable[[int], float | None] | None = None,
        follow: Callable[[Sequence[Curve]], None] | None = None,
        processes: Processes = ALONE,
    ) -> list[Curve]:
        return train(
            self.modules,
            objective or self.objective,
            data,
            self.recipe,
            seed=seed,
            device=CPU,
            revision=revision,
            augment=Augmentation() if self.recipe.augment else None,
            state_file=folder / "student.state",
            task=task_until(until),
            distil_from=distil_from,
            test=test,
            follow=follow,
            processes=processes,
        )


def state_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal_states(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def first_batch(data: PairedClips, size: int = 8) -> Batch:
    return next(iter(batches(data, size)))
