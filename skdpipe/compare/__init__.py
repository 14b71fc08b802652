"""`skdpipe compare`: one experiment over scenarios, students and seeds, as a table.

`plan` derives the runs from the settings, `processes` executes them, `table` collects their results.
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
from skdpipe.distill import distill_student
from skdpipe.distill.run_folder import RunFolder
from skdpipe.memory import keep_freed_memory
from skdpipe.processes import reason_of_failure, run_in_processes
from skdpipe.progress import Progress

__all__ = ["HEADINGS", "ComparisonResult", "cells_of", "columns_of", "run_comparison"]


@dataclass(frozen=True)
class ComparisonResult:
    """The result of a comparison.

    Attributes:
        folder: contains comparison.md, .csv and .json, and all runs.
        rows: of the table, without the networks of failed runs.
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
        """Whether all networks of the run are trained."""
        folder = RunFolder(self.folder / self.run.folder)
        return all(folder.has(method) for method in self.run.experiment.methods)


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
    """Train and test all networks of a comparison, and write its table.

    An interrupted comparison continues: trained networks are not trained again. After a failed run the others
    are still executed, except those that need its teacher.

    Args:
        config: YAML with the sections experiment and comparison.
        overrides: ``key.path=value`` of the experiment, or ``comparison.key=value``.
        cache: contains the skeletons.
        models: the comparison's folder is created in this folder.
        devices: names; each run uses one that is free.
        processes: number of runs at a time on each device, which share the processor's cores.
        progress: shows the number of finished runs and the time left.

    Raises:
        ConfigError: if a setting of any run is not valid.
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
            trained = [job for job in jobs if job.is_trained]
            # Trained runs only check their folder, which needs no process.
            checks = ((job, reason_of_failure(_distill, job, devices[0])) for job in trained)
            trainings = run_in_processes(
                [job for job in jobs if job not in trained], _distill, list(devices) * processes, threads
            )
            for job, reason in chain(checks, trainings):
                if reason is not None:
                    failed[job.run.folder] = f"{job.run.title}: {reason}"
                done += 1
                task.advance_to(done, job.run.title)
                if job not in trained:
                    _write_tables(plan, folder, list(failed.values()))
    reasons = list(failed.values())
    return ComparisonResult(folder, _write_tables(plan, folder, reasons), reasons)


def _distill(job: _Job, device: str) -> None:
    keep_freed_memory()
    run, teacher = job.run, None
    if run.teacher is not None and run.needs_teacher:
        teacher = RunFolder(job.folder / run.teacher.folder).bundle("teacher")
    distill_student(
        run.experiment,
        PoseCache(job.cache),
        job.folder / run.parent,
        device=torch.device(device),
        teacher=teacher,
    )


def _write_tables(plan: Plan, folder: Path, failed: Sequence[str]) -> list[Row]:
    """Write the table of the networks finished so far."""
    trained = read_results(plan, folder)
    rows = rows_of(trained)
    for suffix, text in (
        ("md", to_markdown(rows)),
        ("csv", to_csv(trained)),
        ("json", to_json(rows, trained, failed)),
    ):
        write_text_atomically(folder / f"comparison.{suffix}", text)
    return rows
