"""`skdpipe compare`: one experiment over scenarios, students and seeds, as a table.

`plan` says which runs there are, `processes` works at them, `table` puts together what they reached.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch

from skdpipe.atomic_file import write_text_atomically
from skdpipe.cache import PoseCache
from skdpipe.compare.plan import Plan, PlannedRun, load_comparison
from skdpipe.compare.processes import in_processes, reason_of_failure
from skdpipe.compare.table import (
    HEADINGS,
    Row,
    cells_of,
    columns_of,
    read_results,
    rows_of,
    to_csv,
    to_json,
    to_markdown,
)
from skdpipe.distill import DISTILLED, distill_student
from skdpipe.memory import keep_freed_memory
from skdpipe.progress import Progress

__all__ = ["HEADINGS", "ComparisonResult", "cells_of", "columns_of", "compare"]


@dataclass(frozen=True)
class ComparisonResult:
    """What a comparison gave.

    Attributes:
        folder: holds comparison.md, .csv and .json, and all runs.
        rows: of the table; what failed is missing.
        failed: the reason of each run that failed.
    """

    folder: Path
    rows: list[Row]
    failed: list[str]


@dataclass(frozen=True)
class _Job:
    run: PlannedRun
    folder: Path
    cache: Path

    @property
    def is_trained(self) -> bool:
        """Whether all of its networks are there."""
        there = self.folder / self.run.folder
        return all((there / f"{method}.safetensors").is_file() for method in self.run.experiment.methods)


def run_comparison(
    config: Path,
    overrides: Sequence[str],
    cache: Path,
    models: Path,
    *,
    devices: Sequence[str],
    processes: int,
    progress: Progress,
) -> ComparisonResult:
    """Train and test all that a comparison names, and write its table.

    Called again it goes on where it stopped: what is trained is not trained again. A run that fails keeps
    none of the others from being done, but for those that want its teacher.

    Args:
        config: YAML with the sections experiment and comparison.
        overrides: ``key.path=value`` of the experiment, or ``comparison.key=value``.
        cache: where the skeletons are.
        models: the comparison's folder is made in here.
        devices: by name; runs take the one that is free.
        processes: runs at a time on each device; each has its share of the processor's cores.
        progress: shows how many runs are done, and the time left.

    Raises:
        ConfigError: if a setting of any run does not fit.
    """
    comparison, plan = load_comparison(config, overrides)
    folder = models / comparison.name
    failed: dict[Path, str] = {}
    threads = max(1, (os.cpu_count() or 1) // (processes * len(devices)))
    done, total = 0, len(plan.teachers) + len(plan.rows)
    with progress.task(f"comparing {comparison.name}", total, unit="runs") as task:
        for runs in (plan.teachers, plan.rows):
            for run in runs:
                if run.teacher is not None and run.teacher.folder in failed:
                    failed[run.folder] = f"{run.title}: its teacher failed"
            jobs = [_Job(run, folder, cache) for run in runs if run.folder not in failed]
            trained = [job for job in jobs if job.is_trained]  # they are only looked at: here, in no time
            looked_at = ((job, reason_of_failure(_train, job, devices[0])) for job in trained)
            worked_at = in_processes(
                [job for job in jobs if job not in trained], _train, list(devices) * processes, threads
            )
            for job, reason in chain(looked_at, worked_at):
                if reason is not None:
                    failed[job.run.folder] = f"{job.run.title}: {reason}"
                done += 1
                task.advance_to(done, job.run.title)
                if job not in trained:
                    _write_tables(plan, folder, list(failed.values()))
    reasons = list(failed.values())
    return ComparisonResult(folder, _write_tables(plan, folder, reasons), reasons)


def _train(job: _Job, device: str) -> None:
    keep_freed_memory()
    run = job.run
    distilled = DISTILLED & set(run.experiment.methods)
    teacher = job.folder / run.teacher.folder / "teacher.safetensors" if run.teacher and distilled else None
    distill_student(
        run.experiment,
        PoseCache(job.cache),
        job.folder / run.parent,
        device=torch.device(device),
        teacher=teacher,
    )


def _write_tables(plan: Plan, folder: Path, failed: Sequence[str]) -> list[Row]:
    """Write the table of what is finished by now, each file at once or not at all."""
    trained = read_results(plan, folder)
    rows = rows_of(trained)
    for suffix, text in (
        ("md", to_markdown(rows)),
        ("csv", to_csv(trained)),
        ("json", to_json(rows, trained, failed)),
    ):
        write_text_atomically(folder / f"comparison.{suffix}", text)
    return rows
