"""What the runs of a comparison reached, as a table."""

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
from skdpipe.distill import NAMES
from skdpipe.distill.experiment import recovered_gap


@dataclass(frozen=True)
class TrainedNetwork:
    """One trained network: its place in the table, and what it reached.

    Attributes:
        scenario, student, column, seed: column is HQS-T, LQS-S... or a variant's name.
        top1, top5, parameters, gflops: as in `Figures`.
        seconds: its training took.
        losses: of its last epoch, by name.
        correct: by test clip, whether it was named right.
        run: the folder in the comparison's own whose config.yaml has all its settings.
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
        recovered: for SKD, SKD* and each variant the recovered gap of the means, None where there is no gap.
        significance: for the same columns, of the difference to LQS-S (see `significance`).
            Both over the seeds that all columns concerned have; a column that shares none has neither.
        minutes: all its trainings took, the shared teacher's aside.
    """

    scenario: str
    student: str
    top1: Mapping[str, tuple[float, ...]]
    recovered: Mapping[str, float | None]
    significance: Mapping[str, float]
    minutes: float


def read_results(plan: Plan, folder: Path) -> list[TrainedNetwork]:
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


def _read(
    folder: Path, run: PlannedRun, scenario: str, student: str, method: str, variant: str
) -> list[TrainedNetwork]:
    results, answers = folder / "results.json", folder / f"{method}.predictions.json"
    if not results.is_file() or not answers.is_file():
        return []
    said = json.loads(results.read_text(encoding="utf-8")).get(method)
    if said is None:
        return []
    said_of_clips = json.loads(answers.read_text(encoding="utf-8"))
    clips = zip(*(said_of_clips[each] for each in ("clip", "predicted", "label")), strict=True)
    figures, curves = said["figures"], said["curves"]
    return [
        TrainedNetwork(
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
            correct={clip: predicted == label for clip, predicted, label in clips},
            run=run.folder.as_posix(),
        )
    ]


def rows_of(trained: Sequence[TrainedNetwork]) -> list[Row]:
    """The table's rows, in the order in which scenarios and students come first."""
    rows = []
    for scenario, student in dict.fromkeys((each.scenario, each.student) for each in trained):
        here = [each for each in trained if (each.scenario, each.student) == (scenario, student)]
        by_column: dict[str, list[TrainedNetwork]] = {}
        for each in here:
            by_column.setdefault(each.column, []).append(each)
        top1 = {column: tuple(each.top1 for each in group) for column, group in by_column.items()}
        compared = [column for column in by_column if column not in {"HQS-T", "LQS-S", "LQS-SWA-S"}]
        recovered, p_values = {}, {}
        for column in compared:
            if gap := _of_common_seeds(by_column, "HQS-T", "LQS-S", column):
                recovered[column] = recovered_gap(*(fmean(each.top1 for each in group) for group in gap))
            if pair := _of_common_seeds(by_column, column, "LQS-S"):
                p_values[column] = significance(lead_by_clip(*pair))
        minutes = sum(each.seconds for each in here if each.column != "HQS-T") / 60
        rows.append(Row(scenario, student, top1, recovered, p_values, minutes))
    return rows


def _of_common_seeds(
    by_column: Mapping[str, Sequence[TrainedNetwork]], *columns: str
) -> list[list[TrainedNetwork]]:
    """What the columns reached with the seeds that all of them have, in order; nothing if there are none."""
    by_seed = [{each.seed: each for each in by_column.get(column, ())} for column in columns]
    common = sorted(set.intersection(*(set(each) for each in by_seed)))
    return [[each[seed] for seed in common] for each in by_seed] if common else []


def lead_by_clip(one: Sequence[TrainedNetwork], other: Sequence[TrainedNetwork]) -> NDArray[np.int64]:
    """For each test clip in how many seeds more the one was right than the other, ``(clip,)``.

    Seeds may test different clips, where the seed draws the split; a clip counts in the seeds that test it.

    Args:
        one, other: of the same seeds, in the same order.
    """
    lead: defaultdict[str, int] = defaultdict(int)
    for mine, theirs in zip(one, other, strict=True):
        for clip in mine.correct.keys() & theirs.correct.keys():
            lead[clip] += mine.correct[clip] - theirs.correct[clip]
    return np.array([lead[clip] for clip in sorted(lead)], np.int64)


def significance(lead: NDArray[np.int64]) -> float:
    """How probable so large a difference of two methods would be if they were equally good (two-sided p).

    If they were, the two might as well have changed places in any clip: each clip's lead d_c has either sign
    with probability 1/2, and p is the probability of |Σ ± d_c| >= |Σ d_c|, exactly, by the distribution of
    S = Σ B_c |d_c| with fair coins B_c. With one seed this is McNemar's exact test (McNemar 1947; recommended
    for classifiers by Dietterich 1998). With several, a clip's answers stay together, as they are not
    independent: a paired permutation test (Good, "Permutation, Parametric and Bootstrap Tests of Hypotheses",
    2005) whose pairs are clips. Clips are the sample: p says nothing of other seeds; the spread does.

    Args:
        lead: ``(clip,)``, in how many seeds more the one method was right.
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
    gaps = ", ".join(f"{column} {_as_gap(share)}" for column, share in row.recovered.items())
    p_values = ", ".join(
        f"{column} {'< 0.001' if p < 0.001 else f'{p:.3f}'}" for column, p in row.significance.items()
    )
    seeds = max(len(values) for values in row.top1.values())
    figures = [_cell(row.top1.get(column, ()), seeds) for column in columns]
    return [row.scenario, row.student, *figures, gaps, p_values, f"{row.minutes:.1f}"]


def _as_gap(share: float | None) -> str:
    return "no gap" if share is None else f"{round(share, 2) + 0:.0%}"  # next to nothing has no sign


def _cell(values: Sequence[float], seeds: int) -> str:
    """Says so where others in the row have more seeds."""
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
    """A line for each trained network."""
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
    """Everything but the answers to each clip, and the reason of each run that failed."""
    networks: list[dict[str, Any]] = [asdict(each) for each in trained]
    for network in networks:
        del network["correct"]
    return json.dumps(
        {"rows": [asdict(row) for row in rows], "networks": networks, "failed": list(failed)}, indent=1
    )
