"""The results of a comparison as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final

from pydantic import NonNegativeInt

from skdpipe.compare.plan import Plan, PlannedRun
from skdpipe.distill.methods import (
    BASELINE,
    FORESTS,
    METHODS,
    SMOOTHED,
    TEACHER,
    Forest,
    Method,
    method_named,
)
from skdpipe.distill.results import MethodResult, read_test_results
from skdpipe.distill.run_folder import RunFolder
from skdpipe.distill.training_state import Curve
from skdpipe.errors import DataError
from skdpipe.evaluate import Cost, Percent
from skdpipe.printable import printable
from skdpipe.significance import (
    accuracy_interval,
    difference_interval,
    lead_by_clip,
    mean_lead_by_clip,
    paired_p_value,
)
from skdpipe.strict_json import to_strict_json

TABLE_FORMAT: Final = "skdpipe-comparison-1"
"""Version of the table as JSON; earlier versions did not state one."""


@dataclass(frozen=True)
class TrainedNetwork:
    """One trained network or forest: its cell of the table and its results.

    Attributes:
        scenario, student, column, seed: column is the title of a method or forest, or a variant's name.
        top1, top5, parameters, gflops: as in `Figures`; of a forest only top1.
        seconds: duration of its training; None for a forest.
        clips: number of test clips.
        nobody: number of test clips in which nobody was detected.
        chance: chance level of the test clips in percent.
        losses: of its last epoch, by name; empty for a forest.
        correct: for each test clip whether it was classified correctly.
        run: the run's folder, relative to the comparison's; its config.yaml contains all settings.
    """

    scenario: str
    student: str
    column: str
    seed: int
    top1: Percent
    top5: Percent | None
    parameters: NonNegativeInt | None
    gflops: Cost | None
    seconds: Cost | None
    clips: NonNegativeInt
    nobody: NonNegativeInt
    chance: Percent
    losses: Mapping[str, float]
    correct: Mapping[str, bool]
    run: str


@dataclass(frozen=True)
class Row:
    """A scenario and a student.

    Attributes:
        top1: of each column, in order of the seeds.
        clips: number of test clips of a seed.
        nobody: of each column the largest number of test clips in which nobody was detected.
        chance: chance level of the test clips in percent, the mean over the seeds.
        recovered: for SKD, SKD* and each variant the recovered gap of the means, None if the difference of
            HQS-T and LQS-S is not larger than its 95 % interval.
        significance: for the same columns, p of the difference to LQS-S (see
            :func:`skdpipe.significance.paired_p_value`). Both use the seeds that the compared columns share,
            and are missing without such seeds.
        minutes: duration of all trainings except the teacher's. Rows are trained at different moments,
            perhaps several at once: this does not compare their speed, and the tables do not show it.
    """

    scenario: str
    student: str
    top1: Mapping[str, tuple[float, ...]]
    clips: int
    nobody: Mapping[str, int]
    chance: float
    recovered: Mapping[str, float | None]
    significance: Mapping[str, float]
    minutes: float


def read_results(plan: Plan, folder: Path) -> tuple[list[TrainedNetwork], dict[Path, str]]:
    """The results of the finished runs; rows without any are left out.

    Returns:
        The trained networks, and the damaged runs by their folder, with what is damaged.
    """
    found: list[TrainedNetwork] = []
    damaged: dict[Path, str] = {}

    def read(
        run: PlannedRun, row: PlannedRun, columns: Mapping[Method, str] | Mapping[Forest, str]
    ) -> list[TrainedNetwork]:
        try:
            return _read(folder, run, row, columns)
        except DataError as error:
            damaged[run.folder] = f"{run.title}: {error}"
            return []

    for run in plan.rows:
        methods = map(method_named, run.experiment.methods)
        own = read(run, run, {method: run.variant or method.title for method in methods})
        if own and run.teacher is not None:  # the row's teacher of the same seed
            found += read(run.teacher, run, {TEACHER: TEACHER.title})
        found += own
        if own and not run.variant:
            found += read(run, run, {forest: forest.title for forest in FORESTS})
    # A row and its variants have the same teacher.
    networks = {(each.scenario, each.student, each.column, each.seed): each for each in found}
    return list(networks.values()), damaged


def _read(
    folder: Path, run: PlannedRun, row: PlannedRun, columns: Mapping[Method, str] | Mapping[Forest, str]
) -> list[TrainedNetwork]:
    """The finished networks or forests of a run, as columns of a row."""
    files = RunFolder(folder / run.folder)
    results, records = read_test_results([files]), files.read_results()
    return [
        _trained_network(results[method.name], records[method.name].curves, run, row, column)
        for method, column in columns.items()
        if method.name in results
    ]


def _trained_network(
    result: MethodResult, curves: Sequence[Curve], run: PlannedRun, row: PlannedRun, column: str
) -> TrainedNetwork:
    figures = result.figures
    return TrainedNetwork(
        scenario=row.scenario,
        student=row.student,
        column=column,
        seed=run.experiment.seed,
        top1=figures.top1 if figures else result.top1.estimate,
        top5=figures.top5 if figures else None,
        parameters=figures.parameters if figures else None,
        gflops=figures.gflops if figures else None,
        seconds=sum(curve.seconds for curve in curves) if figures else None,
        clips=len(result.label),
        nobody=result.unseen,
        chance=result.chance,
        losses=curves[-1].losses if curves else {},
        correct=result.correct,
        run=run.folder.as_posix(),
    )


def rows_of(trained: Sequence[TrainedNetwork]) -> list[Row]:
    """The rows of the table, in the order in which their networks first occur."""
    rows = []
    for scenario, student in dict.fromkeys((each.scenario, each.student) for each in trained):
        here = [each for each in trained if (each.scenario, each.student) == (scenario, student)]
        by_column: dict[str, list[TrainedNetwork]] = {}
        for each in here:
            by_column.setdefault(each.column, []).append(each)
        top1 = {column: tuple(each.top1 for each in group) for column, group in by_column.items()}
        references = {TEACHER.title, BASELINE.title, SMOOTHED.title, *(each.title for each in FORESTS)}
        compared = [column for column in by_column if column not in references]
        recovered, p_values = {}, {}
        for column in compared:
            if gap := _of_common_seeds(by_column, TEACHER.title, BASELINE.title, column):
                recovered[column] = _recovered_gap(*gap)
            if pair := _of_common_seeds(by_column, column, BASELINE.title):
                one, other = (_correct(group) for group in pair)
                p_values[column] = paired_p_value(lead_by_clip(one, other))
        rows.append(
            Row(
                scenario,
                student,
                top1,
                clips=max(each.clips for each in here),
                nobody={column: max(each.nobody for each in group) for column, group in by_column.items()},
                chance=fmean(each.chance for each in here),
                recovered=recovered,
                significance=p_values,
                minutes=sum(each.seconds or 0 for each in here if each.column != TEACHER.title) / 60,
            )
        )
    return rows


def _recovered_gap(
    teachers: Sequence[TrainedNetwork],
    baselines: Sequence[TrainedNetwork],
    students: Sequence[TrainedNetwork],
) -> float | None:
    """The recovered gap of the means over the seeds; None if the gap is not larger than its interval."""
    lead = mean_lead_by_clip(_correct(teachers), _correct(baselines))
    if len(lead) and difference_interval(lead).low <= 0:
        return None
    teacher, baseline, student = (
        fmean(each.top1 for each in group) for group in (teachers, baselines, students)
    )
    return (student - baseline) / (teacher - baseline) if teacher > baseline else None


def _correct(networks: Sequence[TrainedNetwork]) -> list[Mapping[str, bool]]:
    """Per seed whether each clip is classified correctly; empty mappings for networks from a CSV."""
    return [each.correct for each in networks]


def _of_common_seeds(
    by_column: Mapping[str, Sequence[TrainedNetwork]], *columns: str
) -> list[list[TrainedNetwork]]:
    """The networks of each column with the seeds that all columns have, in order; empty if there are none."""
    by_seed = [{each.seed: each for each in by_column.get(column, ())} for column in columns]
    common = sorted(set.intersection(*(set(each) for each in by_seed)))
    return [[each[seed] for seed in common] for each in by_seed] if common else []


def columns_of(rows: Sequence[Row]) -> list[str]:
    """The columns of all rows: methods in the order of `METHODS`, forests, then variants."""
    found = list(dict.fromkeys(column for row in rows for column in row.top1))
    titles = [*(method.title for method in METHODS), *(forest.title for forest in FORESTS)]
    return [title for title in titles if title in found] + [name for name in found if name not in titles]


def mean_and_spread(values: Sequence[float]) -> str:
    """Mean and, of several values, standard deviation."""
    return f"{fmean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def cells_of(row: Row, columns: Sequence[str]) -> list[str]:
    """The cells of a row as text: scenario, student, each column, and those of `HEADINGS`."""
    gaps = ", ".join(f"{column} {_as_gap(share)}" for column, share in row.recovered.items())
    p_values = ", ".join(
        f"{column} {'< 0.001' if p < 0.001 else f'{p:.3f}'}" for column, p in row.significance.items()
    )
    seeds = max(len(values) for values in row.top1.values())
    figures = [_cell(row.top1.get(column, ()), seeds, row.clips) for column in columns]
    clips, chance = _clips(row), f"{row.chance:.1f}" if row.clips else ""
    return [row.scenario, row.student, *figures, gaps, p_values, clips, chance]


def _clips(row: Row) -> str:
    """The number of test clips, and in how many of them nobody was detected by the input of a column."""
    if not row.clips:
        return ""
    counts: dict[int, list[str]] = {}
    for column, nobody in row.nobody.items():
        if nobody:
            counts.setdefault(nobody, []).append(column)
    missing = [f"{nobody} without a person for {', '.join(names)}" for nobody, names in counts.items()]
    return f"{row.clips}" + (f" ({'; '.join(missing)})" if missing else "")


def _as_gap(share: float | None) -> str:
    return "no gap" if share is None else f"{round(share, 2) + 0:.0%}"  # no sign for zero


def _cell(values: Sequence[float], seeds: int, clips: int) -> str:
    """Mean, spread and 95 % interval, with the number of seeds if other columns of the row have more.

    The interval is that of the mean accuracy on the test clips of one seed.
    """
    if not values:
        return ""
    text = mean_and_spread(values)
    if clips:
        interval = accuracy_interval(round(fmean(values) * clips / 100), clips)
        text += f" [{interval.low:.1f}, {interval.high:.1f}]"
    return text + ("" if len(values) == seeds else f" ({len(values)} of {seeds} seeds)")


HEADINGS: Final = ("gap recovered", "p against LQS-S", "test clips", "chance %")


def to_markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown."""
    columns = columns_of(rows)
    lines = [["scenario", "student", *columns, *HEADINGS]]
    lines += [["---"] * len(lines[0]), *(cells_of(row, columns) for row in rows)]
    return markdown_table(lines)


def markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """Cells as a Markdown table, of which the first line are the headings and the second the rule."""
    return "".join(
        f"| {' | '.join(printable(cell).replace('|', '/') for cell in line)} |\n" for line in lines
    )


def to_csv(trained: Sequence[TrainedNetwork]) -> str:
    """One line for each trained network."""
    names = [field.name for field in fields(TrainedNetwork) if field.name not in {"losses", "correct"}]
    losses = sorted({name for each in trained for name in each.losses})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, *(f"loss_{name}" for name in losses)])
    for each in trained:
        writer.writerow(
            [
                *("" if getattr(each, name) is None else getattr(each, name) for name in names),
                *(each.losses.get(name, "") for name in losses),
            ]
        )
    return text.getvalue()


def to_json(rows: Sequence[Row], trained: Sequence[TrainedNetwork], failed: Sequence[str]) -> str:
    """Rows and networks without the predictions for single clips, and the reason of each failed run."""
    networks: list[dict[str, Any]] = [asdict(each) for each in trained]
    for network in networks:
        del network["correct"]
    return to_strict_json(
        {
            "format": TABLE_FORMAT,
            "rows": [asdict(row) for row in rows],
            "networks": networks,
            "failed": list(failed),
        },
        indent=1,
    )
