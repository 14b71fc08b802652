"""Figures of accuracy: confusion matrices, accuracy by class, accuracy against cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from skdpipe.distill.methods import BASELINE, STUDENT, TEACHER, method_named
from skdpipe.report.figures.style import GREY, MARKERS, as_text, look_of, tidy
from skdpipe.speed import Timing

_FRONT: Final = "Pareto front"
_MOST_NAMES: Final = 60
_MOST_WITH_NUMBERS: Final = 15


def draw_confusion(matrices: Mapping[str, NDArray[np.floating]], classes: Sequence[str]) -> Figure:
    """Confusion matrices ``(true, predicted)`` by method name, side by side; rows of NaN are grey.

    With at most 15 classes the cells contain the percentages; with more than 60 only some classes are named.
    """
    count = len(classes)
    size = float(np.clip(0.087 * count, 3.4, 9.0))
    longest = max(len(as_text(name)) for name in classes)
    font = float(np.clip(0.92 * 72 * size / min(count, _MOST_NAMES), 6.0, 9.0))
    margin = 0.0075 * font * longest + 0.5
    figure = Figure((len(matrices) * (size + 0.2) + margin + 0.7, size + margin + 0.5), layout="constrained")
    row = figure.subplots(1, len(matrices), sharey=True, squeeze=False)[0]
    ticks = range(0, count, -(-count // _MOST_NAMES))
    names = [as_text(classes[tick]) for tick in ticks]
    for axes, (method, matrix) in zip(row, matrices.items(), strict=True):
        axes.set_facecolor(GREY)
        image = axes.imshow(100 * matrix, cmap="cividis", vmin=0, vmax=100, interpolation="none")
        axes.set_title(method_named(method).title)
        axes.set_xlabel("predicted class")
        axes.set_xticks(ticks, names, rotation=90, fontsize=font)
        axes.set_yticks(ticks, names, fontsize=font)
        if count <= _MOST_WITH_NUMBERS:
            for (true, predicted), share in np.ndenumerate(matrix):
                if share >= 0.005:
                    colour = "white" if share < 0.5 else "black"
                    axes.text(
                        predicted,
                        true,
                        f"{100 * share:.0f}",
                        ha="center",
                        va="center",
                        color=colour,
                        fontsize=7,
                    )
    row[0].set_ylabel("true class")
    bar = figure.colorbar(image, ax=list(row), shrink=0.8, pad=0.01, fraction=0.02)
    bar.set_label("% of the class's test clips")
    return figure


def draw_accuracy_by_class(
    accuracy: Mapping[str, NDArray[np.floating]],
    classes: Sequence[str],
    clips: Sequence[int],
) -> Figure:
    """Top-1 by class: a row for each class in the given order, a marker for each method.

    Args:
        accuracy: by method ``(class,)`` in percent, NaN for a class without a clip.
        classes: names.
        clips: number of test clips of each class.
    """
    count = len(classes)
    figure = Figure((10.5, 0.21 * count + 1.5), layout="constrained")
    axes = figure.subplots()
    y = np.arange(count)
    if {BASELINE.name, STUDENT.name} <= accuracy.keys():
        before, after = accuracy[BASELINE.name], accuracy[STUDENT.name]
        gain = after - before
        for rows, method in ((gain > 0, STUDENT), (gain < 0, BASELINE)):
            colour = look_of(method.name).colour
            axes.hlines(y[rows], before[rows], after[rows], colors=colour, linewidth=2.5, alpha=0.45)
        for row, points in enumerate(gain):
            text = "no clip" if np.isnan(points) else f"{points:+.0f}" if points else "0"
            axes.text(103, row, text, va="center", ha="left", fontsize=8)
        axes.text(103, -1, f"{STUDENT.title} - {BASELINE.title}", va="center", fontsize=8)
    for name, values in accuracy.items():
        look = look_of(name)
        axes.scatter(
            values, y, marker=look.marker, edgecolors=look.colour,
            facecolors="none" if name == TEACHER.name else look.colour,
            s=28 if name == STUDENT.name else 48, label=method_named(name).title, zorder=3, clip_on=False,
        )  # fmt: skip
    names = [f"{as_text(name)} ({number})" for name, number in zip(classes, clips, strict=True)]
    axes.set_yticks(y, names, fontsize=8)
    axes.set_ylim(count - 0.4, -1.6)
    axes.set_xlim(-1, 101)
    axes.set_xlabel("top-1 on the class's test clips (%)")
    axes.set_ylabel("class (test clips)")
    axes.set_title("Accuracy by class")
    tidy(axes)
    figure.legend(loc="outside lower center", ncols=len(accuracy), frameon=False)
    return figure


@dataclass(frozen=True)
class CostPoint:
    """A network in the figure of accuracy against cost.

    Attributes:
        run, method: names.
        top1: in percent.
        parameters, gflops: as in `Figures`.
        time: of one clip, taken in turn with all networks of the figure.
    """

    run: str
    method: str
    top1: float
    parameters: int
    gflops: float
    time: Timing


def draw_cost(points: Sequence[CostPoint]) -> Figure:
    """Top-1 against GFLOPs and against time; areas grow with the parameters, markers stand for runs.

    A horizontal line at a time shows the shortest and the longest round. A grey line joins the networks that
    are more accurate than every cheaper one.
    """
    runs = list(dict.fromkeys(point.run for point in points))
    largest = max(point.parameters for point in points)
    figure = Figure((11, max(4.2, 0.17 * len(runs) + 2.0)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, cost, label in (
        (left, [point.gflops for point in points], "GFLOPs per clip"),
        (right, [1000 * point.time.median for point in points], "ms per clip, all networks in turn"),
    ):
        front = pareto_front(cost, [point.top1 for point in points])
        axes.plot(
            [cost[index] for index in front], [points[index].top1 for index in front],
            color="#808080", linewidth=1.2, linestyle="--", label=_FRONT, zorder=1,
        )  # fmt: skip
        for x, point in zip(cost, points, strict=True):
            look, marker = look_of(point.method), MARKERS[runs.index(point.run) % len(MARKERS)]
            area = max(25.0, 360 * point.parameters / largest)
            axes.scatter(
                x, point.top1, s=area, marker=marker, facecolors=f"{look.colour}30", edgecolors=look.colour,
                linewidths=1.8,
            )  # fmt: skip
            axes.plot(x, point.top1, marker=".", color=look.colour, markersize=3)
            if axes is right:
                spread = [1000 * point.time.lowest, 1000 * point.time.highest]
                axes.plot(spread, [point.top1] * 2, color=look.colour, linewidth=1)
        if min(cost) > 0 and max(cost) > 5 * min(cost):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        else:
            axes.set_xlim(0, 1.15 * max(cost) or 1)
        axes.set_xlabel(label)
        axes.margins(y=0.2)
        tidy(axes)
    left.set_ylabel("top-1 (%)")
    figure.suptitle("Accuracy against cost")
    entries = _entries_of_runs(points, runs) if len(runs) > 1 else _entries_of_points(points)
    handles, labels = left.get_legend_handles_labels()
    handles += [Line2D([], [], marker=marker, color=colour, linestyle="") for _, marker, colour in entries]
    labels += [text for text, _, _ in entries]
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _entries_of_points(points: Sequence[CostPoint]) -> list[tuple[str, str, str]]:
    """Text, marker and colour of each network in the legend, the most accurate first."""
    entries = []
    for point in sorted(points, key=lambda point: -point.top1):
        title, parameters = method_named(point.method).title, _in_millions(point.parameters)
        text = f"{title}: {point.top1:.1f} %, {parameters} parameters"
        entries.append((text, MARKERS[0], look_of(point.method).colour))
    return entries


def _entries_of_runs(points: Sequence[CostPoint], runs: Sequence[str]) -> list[tuple[str, str, str]]:
    """Colours of the methods, then markers of the runs."""
    methods = dict.fromkeys(point.method for point in points)
    return [
        *((method_named(name).title, MARKERS[0], look_of(name).colour) for name in methods),
        *((as_text(run, 40), MARKERS[number % len(MARKERS)], GREY) for number, run in enumerate(runs)),
    ]


def pareto_front(cost: Sequence[float], accuracy: Sequence[float]) -> list[int]:
    """Indices of what is more accurate than everything of the same or a lower cost, the cheapest first."""
    front: list[int] = []
    for index in sorted(range(len(cost)), key=lambda index: (cost[index], -accuracy[index])):
        if not front or accuracy[index] > accuracy[front[-1]]:
            front.append(index)
    return front


def _in_millions(parameters: int) -> str:
    return f"{parameters / 1e6:.2f} M" if parameters >= 10_000 else f"{parameters:,}"
