"""The results of a comparison as a table."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from skdpipe.compare.plan import Plan, PlannedRun
from skdpipe.distill.experiment import recovered_gap
from skdpipe.distill.methods import BASELINE, METHODS, SMOOTHED, TEACHER, Method, method_named
from skdpipe.distill.run_folder import RunFolder


@dataclass(frozen=True)
class TrainedNetwork:
    """One trained network: its cell of the table and its results.

    Attributes:
        scenario, student, column, seed: column is a method's title (HQS-T, LQS-S...) or a variant's name.
        top1, top5, parameters, gflops: as in `Figures`.
        seconds: duration of its training.
        losses: of its last epoch, by name.
        correct: for each test clip whether it was classified correctly.
        run: the run's folder, relative to the comparison's; its config.yaml contains all settings.
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
    correct: Mapping[str, bool]
    run: str


@dataclass(frozen=True)
class Row:
    """A scenario and a student.

    Attributes:
        top1: of each column, in order of the seeds.
        recovered: for SKD, SKD* and each variant the recovered gap of the means, None if there is no gap.
        significance: for the same columns, p of the difference to LQS-S (see :func:`significance`). Both use
            the seeds that the compared columns share, and are missing without such seeds.
        minutes: duration of all trainings except the teacher's.
    """

    scenario: str
    student: str
    top1: Mapping[str, tuple[float, ...]]
    recovered: Mapping[str, float | None]
    significance: Mapping[str, float]
    minutes: float


def read_results(plan: Plan, folder: Path) -> list[TrainedNetwork]:
    """The results of the finished runs; rows without any are left out."""
    found = []
    for run in plan.rows:
        row = run.scenario, run.student
        own = [
            each
            for method in map(method_named, run.experiment.methods)
            for each in _read(folder, run, *row, method, run.variant or method.title)
        ]
        if own and run.teacher is not None:  # the row's teacher of the same seed
            found += _read(folder, run.teacher, *row, TEACHER, TEACHER.title)
        found += own
    # A row and its variants have the same teacher.
    return list({(each.scenario, each.student, each.column, each.seed): each for each in found}.values())


def _read(
    folder: Path, run: PlannedRun, scenario: str, student: str, method: Method, column: str
) -> list[TrainedNetwork]:
    """One network, or none if it is not finished."""
    files = RunFolder(folder / run.folder)
    if not files.results.is_file() or not files.predictions(method.name).is_file():
        return []
    results = json.loads(files.results.read_text(encoding="utf-8")).get(method.name)
    if results is None:
        return []
    predictions = json.loads(files.predictions(method.name).read_text(encoding="utf-8"))
    clips = zip(*(predictions[each] for each in ("clip", "predicted", "label")), strict=True)
    figures, curves = results["figures"], results["curves"]
    return [
        TrainedNetwork(
            scenario=scenario,
            student=student,
            column=column,
            seed=run.experiment.seed,
            top1=figures["top1"],
            top5=figures["top5"],
            parameters=figures["parameters"],
            gflops=figures["gflops"],
            seconds=sum(curve["seconds"] for curve in curves),
            losses=curves[-1]["losses"],
            correct={clip: predicted == label for clip, predicted, label in clips},
            run=run.folder.as_posix(),
        )
    ]


def rows_of(trained: Sequence[TrainedNetwork]) -> list[Row]:
    """The rows of the table, in the order in which their networks first occur."""
    rows = []
    for scenario, student in dict.fromkeys((each.scenario, each.student) for each in trained):
        here = [each for each in trained if (each.scenario, each.student) == (scenario, student)]
        by_column: dict[str, list[TrainedNetwork]] = {}
        for each in here:
            by_column.setdefault(each.column, []).append(each)
        top1 = {column: tuple(each.top1 for each in group) for column, group in by_column.items()}
        references = {TEACHER.title, BASELINE.title, SMOOTHED.title}
        compared = [column for column in by_column if column not in references]
        recovered, p_values = {}, {}
        for column in compared:
            if gap := _of_common_seeds(by_column, TEACHER.title, BASELINE.title, column):
                recovered[column] = recovered_gap(*(fmean(each.top1 for each in group) for group in gap))
            if pair := _of_common_seeds(by_column, column, BASELINE.title):
                p_values[column] = significance(lead_by_clip(*pair))
        minutes = sum(each.seconds for each in here if each.column != TEACHER.title) / 60
        rows.append(Row(scenario, student, top1, recovered, p_values, minutes))
    return rows


def _of_common_seeds(
    by_column: Mapping[str, Sequence[TrainedNetwork]], *columns: str
) -> list[list[TrainedNetwork]]:
    """The networks of each column with the seeds that all columns have, in order; empty if there are none."""
    by_seed = [{each.seed: each for each in by_column.get(column, ())} for column in columns]
    common = sorted(set.intersection(*(set(each) for each in by_seed)))
    return [[each[seed] for seed in common] for each in by_seed] if common else []


def lead_by_clip(one: Sequence[TrainedNetwork], other: Sequence[TrainedNetwork]) -> NDArray[np.int64]:
    """For each test clip the number of seeds with a correct prediction by one minus those by the other.

    If the seed determines the split, seeds have different test clips; a clip counts only in its seeds.

    Args:
        one, other: networks of the same seeds, in the same order.

    Returns:
        ``(clip,)``.
    """
    lead: defaultdict[str, int] = defaultdict(int)
    for a, b in zip(one, other, strict=True):
        for clip in a.correct.keys() & b.correct.keys():
            lead[clip] += a.correct[clip] - b.correct[clip]
    return np.array([lead[clip] for clip in sorted(lead)], np.int64)


def significance(lead: NDArray[np.int64]) -> float:
    """Two-sided p of the hypothesis that two methods are equally accurate.

    Under this hypothesis each clip's lead d_c has either sign with probability 1/2, and p is the exact
    probability of |Σ ± d_c| >= |Σ d_c|, from the distribution of S = Σ B_c |d_c| with fair coins B_c. With
    one seed this is McNemar's exact test (McNemar 1947; recommended for classifiers by Dietterich 1998). With
    several it is a paired permutation test (Good, "Permutation, Parametric and Bootstrap Tests of
    Hypotheses", 2005) whose pairs are clips, as predictions for one clip are not independent. The sample are
    the clips; p does not cover the variation between seeds, which the spread shows.

    Args:
        lead: ``(clip,)``, see :func:`lead_by_clip`.
    """
    sizes, counts = np.unique(np.abs(lead[lead != 0]), return_counts=True)
    probability = np.ones(1)  # of S = 0, 1, 2...
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        of_size = np.zeros(size * count + 1)
        of_size[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        probability = np.convolve(probability, of_size)
    total = int(np.abs(lead).sum())
    as_large = np.abs(2 * np.arange(total + 1) - total) >= abs(int(lead.sum()))
    return min(1.0, float(probability[as_large].sum()))


def columns_of(rows: Sequence[Row]) -> list[str]:
    """The columns of all rows: methods in the order of `METHODS`, then variants."""
    found = list(dict.fromkeys(column for row in rows for column in row.top1))
    titles = [method.title for method in METHODS]
    return [title for title in titles if title in found] + [name for name in found if name not in titles]


def mean_and_spread(values: Sequence[float]) -> str:
    """Mean and, of several values, standard deviation."""
    return f"{fmean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def cells_of(row: Row, columns: Sequence[str]) -> list[str]:
    """The cells of a row as text: scenario, student, each column, recovered gaps, significance, minutes."""
    gaps = ", ".join(f"{column} {_as_gap(share)}" for column, share in row.recovered.items())
    p_values = ", ".join(
        f"{column} {'< 0.001' if p < 0.001 else f'{p:.3f}'}" for column, p in row.significance.items()
    )
    seeds = max(len(values) for values in row.top1.values())
    figures = [_cell(row.top1.get(column, ()), seeds) for column in columns]
    return [row.scenario, row.student, *figures, gaps, p_values, f"{row.minutes:.1f}"]


def _as_gap(share: float | None) -> str:
    return "no gap" if share is None else f"{round(share, 2) + 0:.0%}"  # no sign for zero


def _cell(values: Sequence[float], seeds: int) -> str:
    """Mean and spread, with the number of seeds if other columns of the row have more."""
    if not values:
        return ""
    return mean_and_spread(values) + ("" if len(values) == seeds else f" ({len(values)} of {seeds} seeds)")


HEADINGS: Final = ("gap recovered", "p against LQS-S", "minutes")


def to_markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown."""
    columns = columns_of(rows)
    lines = [["scenario", "student", *columns, *HEADINGS]]
    lines += [["---"] * len(lines[0]), *(cells_of(row, columns) for row in rows)]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def to_csv(trained: Sequence[TrainedNetwork]) -> str:
    """One line for each trained network."""
    names = [field.name for field in fields(TrainedNetwork) if field.name not in {"losses", "correct"}]
    losses = sorted({name for each in trained for name in each.losses})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, *(f"loss_{name}" for name in losses)])
    for each in trained:
        writer.writerow(
            [*(getattr(each, name) for name in names), *(each.losses.get(name, "") for name in losses)]
        )
    return text.getvalue()


def to_json(rows: Sequence[Row], trained: Sequence[TrainedNetwork], failed: Sequence[str]) -> str:
    """Rows and networks without the predictions for single clips, and the reason of each failed run."""
    networks: list[dict[str, Any]] = [asdict(each) for each in trained]
    for network in networks:
        del network["correct"]
    return json.dumps(
        {"rows": [asdict(row) for row in rows], "networks": networks, "failed": list(failed)}, indent=1
    )
