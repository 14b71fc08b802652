"""Runs as the jobs of an engine: for comparisons and cross-validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import torch

from skdpipe.cache import PoseCache
from skdpipe.config import Experiment
from skdpipe.distill.experiment import distill_student
from skdpipe.distill.run_folder import RunFolder
from skdpipe.engines import Ended, Engine, Report, Work, Worker, reason_of_failure
from skdpipe.errors import SkdpipeError
from skdpipe.memory import keep_freed_memory
from skdpipe.storage import Place

_PRELOADED: Final = ("torch", "torch._dynamo", "skdpipe.distill")
"""The modules of a training; the first optimiser imports torch._dynamo, which takes as long as torch."""


@dataclass(frozen=True)
class TrainingJob:
    """A run: the arguments of `distill_student`."""

    experiment: Experiment
    cache: Place
    models: Path
    teacher: Path | None = None

    @property
    def folder(self) -> RunFolder:
        """The folder of the run."""
        return RunFolder(self.models / self.experiment.name)

    @property
    def is_trained(self) -> bool:
        """Whether all networks of the run are trained."""
        return all(self.folder.has(method) for method in self.experiment.methods)


def train_runs(jobs: Sequence[TrainingJob], engine: Engine) -> Iterator[Ended[TrainingJob, None]]:
    """Train runs in the workers of an engine, one at a time in each; errors as `Engine.run`."""
    shared = dict.fromkeys(folder for job in jobs for folder in (job.cache, job.models))
    return engine.run(jobs, _open_training, preload=_PRELOADED, shared=tuple(shared))


def _open_training(worker: Worker) -> Work[TrainingJob, None]:
    """Limit the threads of this process; the work trains a run."""
    keep_freed_memory()
    torch.set_num_threads(worker.threads)
    return partial(_train, worker.device)


def check_trained(job: TrainingJob) -> Ended[TrainingJob, None]:
    """Check the folder of a trained run in this process; missing predictions and results are added."""
    try:
        _train("cpu", job)
    except (SkdpipeError, OSError, RuntimeError) as error:
        return Ended(job, None, reason_of_failure(error))
    return Ended(job, None)


def _train(device: str, job: TrainingJob, _: Report | None = None) -> None:
    distill_student(
        job.experiment,
        PoseCache(job.cache),
        job.models,
        device=torch.device(device),
        teacher=job.teacher,
    )
