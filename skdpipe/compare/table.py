"""What the runs of a comparison reached, as a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import permutation_test

from skdpipe.compare.plan import Plan, Run
from skdpipe.distill import NAMES
from skdpipe.distill.run import recovered_gap

_RESAMPLES: Final = 9999


@dataclass(frozen=True)
class Trained:
    """One trained network: its place in the table, and what it reached.

    Attributes:
        scenario, student, column, seed: column is HQS-T, LQS-S... or a variant's name.
        top1, top5, parameters, gflops: as in `Figures`.
        seconds: its training took.
        losses: of its last epoch, by name.
        correct: of each test clip whether it was named right.
    """

    scenario: str
    student: str
    column: str
    seed: int
    top1: float
    top5: float
    parameters: int
    gflops: float
    seconds: float
    losses: Mapping[str, float]
    correct: tuple[bool, ...]


@dataclass(frozen=True)
class Row:
    """A scenario and a student.

    Attributes:
        top1: of each column, in order of the seeds.
        recovered: for SKD, SKD* and each variant the recovered gap of the means, None where there is no gap.
        significance: for the same columns, of the difference to LQS-S (see `significance`).
        minutes: all its trainings took, the shared teacher's aside.
    """

    scenario: str
    student: str
    top1: Mapping[str, tuple[float, ...]]
    recovered: Mapping[str, float | None]
    significance: Mapping[str, float]
    minutes: float


def read_results(plan: Plan, folder: Path) -> list[Trained]:
    """What the finished runs reached; unfinished ones are passed over, and rows that have none."""
    found = []
    for run in plan.rows:
        place = run.scenario, run.student
        own = [
            each
            for method in run.experiment.methods
            for each in _read(folder / run.folder, run, *place, method, run.variant)
        ]
        if own and run.teacher is not None:  # so that a row has its teachers of the same seeds
            found += _read(folder / run.teacher.folder, run.teacher, *place, "teacher", "")
        found += own
    # A row and its variants name the same teacher.
    return list({(each.scenario, each.student, each.column, each.seed): each for each in found}.values())


def _read(folder: Path, run: Run, scenario: str, student: str, method: str, variant: str) -> list[Trained]:
    results, answers = folder / "results.json", folder / f"{method}.predictions.json"
    if not results.is_file() or not answers.is_file():
        return []
    said = json.loads(results.read_text(encoding="utf-8")).get(method)
    if said is None:
        return []
    said_of_clips = json.loads(answers.read_text(encoding="utf-8"))
    pairs = zip(said_of_clips["predicted"], said_of_clips["label"], strict=True)
    figures, curves = said["figures"], said["curves"]
    return [
        Trained(
            scenario=scenario,
            student=student,
            column=variant or NAMES[method],
            seed=run.experiment.seed,
            top1=figures["top1"],
            top5=figures["top5"],
            parameters=figures["parameters"],
            gflops=figures["gflops"],
            seconds=sum(curve["seconds"] for curve in curves),
            losses=curves[-1]["losses"],
            correct=tuple(predicted == label for predicted, label in pairs),
        )
    ]


def rows_of(trained: Sequence[Trained]) -> list[Row]:
    """The table's rows, in the order in which scenarios and students come first."""
    rows = []
    for scenario, student in dict.fromkeys((each.scenario, each.student) for each in trained):
        here = [each for each in trained if (each.scenario, each.student) == (scenario, student)]
        by_column: dict[str, list[Trained]] = {}
        for each in here:
            by_column.setdefault(each.column, []).append(each)
        top1 = {column: tuple(each.top1 for each in group) for column, group in by_column.items()}
        compared = [column for column in by_column if column not in {"HQS-T", "LQS-S", "LQS-SWA-S"}]
        recovered, p_values = {}, {}
        for column in compared:
            if {"HQS-T", "LQS-S"} <= top1.keys():
                recovered[column] = recovered_gap(*(fmean(top1[c]) for c in ("HQS-T", "LQS-S", column)))
            if "LQS-S" in by_column:
                p_values[column] = significance(*_paired(by_column[column], by_column["LQS-S"]))
        minutes = sum(each.seconds for each in here if each.column != "HQS-T") / 60
        rows.append(Row(scenario, student, top1, recovered, p_values, minutes))
    return rows


def _paired(one: Sequence[Trained], other: Sequence[Trained]) -> tuple[NDArray[np.float64], ...]:
    """Of each test clip in what share of the seeds it was named right; seeds that both have."""
    seeds = {each.seed for each in one} & {each.seed for each in other}
    return tuple(
        np.mean([each.correct for each in group if each.seed in seeds], axis=0) for group in (one, other)
    )


def significance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """How probable so large a difference of two methods would be if they were equally good (two-sided p).

    A paired permutation test (Good, "Permutation, Parametric and Bootstrap Tests of Hypotheses", 2005): in
    each of 9,999 draws the two methods change places at random, clip by clip. Clips are the sample; the
    seeds that were trained are averaged before, so that p says nothing of other seeds: the spread does.

    Args:
        one, other: ``(clip,)``, of each test clip the share of the seeds in which it was named right.
    """
    if np.array_equal(one, other):
        return 1.0
    found = permutation_test(
        (one, other),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=_RESAMPLES,
        batch=500,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def columns_of(rows: Sequence[Row]) -> list[str]:
    """The columns that any row has: methods in the paper's order, then variants."""
    there = list(dict.fromkeys(column for row in rows for column in row.top1))
    return [name for name in NAMES.values() if name in there] + [
        name for name in there if name not in NAMES.values()
    ]


def mean_and_spread(values: Sequence[float]) -> str:
    """Mean and, of several, standard deviation."""
    return f"{fmean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def cells_of(row: Row, columns: Sequence[str]) -> list[str]:
    """A row as text: scenario, student, each column, recovered gaps, significance, minutes."""
    gaps = ", ".join(
        f"{column} {'no gap' if share is None else f'{share:.0%}'}" for column, share in row.recovered.items()
    )
    p_values = ", ".join(f"{column} {p:.3f}" for column, p in row.significance.items())
    figures = [mean_and_spread(row.top1[column]) if column in row.top1 else "" for column in columns]
    return [row.scenario, row.student, *figures, gaps, p_values, f"{row.minutes:.1f}"]


HEADINGS: Final = ("gap recovered", "p against LQS-S", "minutes")


def to_markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown."""
    columns = columns_of(rows)
    lines = [["scenario", "student", *columns, *HEADINGS]]
    lines += [["---"] * len(lines[0]), *(cells_of(row, columns) for row in rows)]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def to_csv(trained: Sequence[Trained]) -> str:
    """A line for each trained network."""
    names = ("scenario", "student", "column", "seed", "top1", "top5", "parameters", "gflops", "seconds")
    losses = sorted({name for each in trained for name in each.losses})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, *(f"loss_{name}" for name in losses)])
    for each in trained:
        writer.writerow(
            [*(getattr(each, name) for name in names), *(each.losses.get(name, "") for name in losses)]
        )
    return text.getvalue()


def to_json(rows: Sequence[Row], trained: Sequence[Trained]) -> str:
    """Everything but the answers to each clip."""
    networks: list[dict[str, Any]] = [asdict(each) for each in trained]
    for network in networks:
        del network["correct"]
    return json.dumps({"rows": [asdict(row) for row in rows], "networks": networks}, indent=1)
