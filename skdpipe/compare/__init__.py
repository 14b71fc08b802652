"""`skdpipe compare`: one experiment over scenarios, students and seeds, as a table.

`plan` derives the runs from the settings, an engine executes them, `table` collects their results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from skdpipe.atomic_file import remove_leftovers, write_text_atomically
from skdpipe.compare.plan import Plan, PlannedRun, load_comparison
from skdpipe.compare.table import (
    HEADINGS,
    TABLE_FORMAT,
    Row,
    cells_of,
    columns_of,
    read_results,
    rows_of,
    to_csv,
    to_json,
    to_markdown,
)
from skdpipe.distill.records import require_format
from skdpipe.distill.run_folder import RunFolder
from skdpipe.distill.training_jobs import TrainingJob, check_trained, train_runs
from skdpipe.engines import Engine
from skdpipe.errors import DataError
from skdpipe.json_shape import parse_json
from skdpipe.progress import Progress
from skdpipe.storage import Place

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


def run_comparison(
    config: Path,
    overrides: Sequence[str],
    cache: Place,
    models: Path,
    *,
    engine: Engine,
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
        engine: trains the runs, each in one of its workers.
        progress: shows the number of finished runs and the time left.

    Raises:
        ConfigError: if a setting of any run is not valid.
        DataError: if the comparison's folder contains a table of a newer version, or other files in the
            places of its own.
        OSError: if the table cannot be written.
    """
    comparison, plan = load_comparison(config, overrides)
    folder = models / comparison.name
    _open_folder(folder)
    failed: dict[Path, str] = {}
    done, total = 0, len(plan.teachers) + len(plan.rows)
    with progress.task(f"comparing {comparison.name}", total, unit="runs") as task:
        for runs in (plan.teachers, plan.rows):
            for run in runs:
                if run.teacher is not None and run.teacher.folder in failed:
                    failed[run.folder] = f"{run.title}: its teacher failed"
            jobs = {_job_of(run, folder, cache): run for run in runs if run.folder not in failed}
            # Trained runs only check their folder, which needs no worker.
            trained = [job for job in jobs if job.is_trained]
            trainings = train_runs([job for job in jobs if job not in trained], engine)
            for ended in chain(map(check_trained, trained), trainings):
                run = jobs[ended.job]
                if ended.reason:
                    failed[run.folder] = f"{run.title}: {ended.reason}"
                done += 1
                task.advance_to(done, run.title)
                if ended.job not in trained:
                    _write_tables(plan, folder, failed)
    return _write_tables(plan, folder, failed)


def _job_of(run: PlannedRun, folder: Path, cache: Place) -> TrainingJob:
    teacher = None
    if run.teacher is not None and run.needs_teacher:
        teacher = RunFolder(folder / run.teacher.folder).bundle("teacher")
    return TrainingJob(run.experiment, cache, folder / run.parent, teacher)


def _open_folder(folder: Path) -> None:
    """Check that the table can be written, without overwriting one of a newer version."""
    remove_leftovers(folder)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is not a folder; move it away, or choose another comparison.name")
    for path in _tables(folder).values():
        if path.exists() and not path.is_file():
            raise DataError(f"{path} is not a file; move it away, because the table is written there")
    path = _tables(folder)["json"]
    with suppress(OSError, ValueError):  # without a readable table there is nothing that could be lost
        stated = parse_json(TypeAdapter(dict[str, Any]), path.read_bytes()).get("format", TABLE_FORMAT)
        require_format(stated, TABLE_FORMAT, path)


def _tables(folder: Path) -> dict[str, Path]:
    return {suffix: folder / f"comparison.{suffix}" for suffix in ("md", "csv", "json")}


def _write_tables(plan: Plan, folder: Path, failed: Mapping[Path, str]) -> ComparisonResult:
    """Write the table of the networks finished so far."""
    trained, damaged = read_results(plan, folder)
    rows, reasons = rows_of(trained), list({**damaged, **failed}.values())
    texts = {"md": to_markdown(rows), "csv": to_csv(trained), "json": to_json(rows, trained, reasons)}
    for suffix, path in _tables(folder).items():
        write_text_atomically(path, texts[suffix])
    return ComparisonResult(folder, rows, reasons)
