"""Figures of calibration: reliability diagrams, accuracy against the share of labelled clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from skdpipe.distill.methods import method_named
from skdpipe.report.figures.style import GREY, look_of, tidy
from skdpipe.report.reliability import Coverage, Reliability

_LEAST_LABELLED: Final = 0.05  # of the clips; the accuracy of fewer depends on chance

Floats = NDArray[np.floating]


def title_of_reliability(reliability: Reliability) -> str:
    """The network, and the temperature if there is one."""
    title = method_named(reliability.method).title
    return title if reliability.temperature is None else f"{title}, temperature {reliability.temperature:.2f}"


def draw_reliability(measured: Sequence[Reliability]) -> Figure:
    """A reliability diagram for each network, with the number of clips of each bin below it."""
    figure = Figure((max(6.6, 3.2 * len(measured)), 4.6), layout="constrained")
    rows = figure.subplots(2, len(measured), sharex=True, sharey="row", squeeze=False, height_ratios=(5, 2))
    for (upper, lower), each in zip(rows.T, measured, strict=True):
        bins, colour = each.bins, look_of(each.method).colour
        count = len(bins.clips)
        edges, width = np.arange(count) / count, 1 / count
        upper.plot([0, 1], [0, 100], color="#606060", linewidth=1, linestyle="--")
        upper.bar(edges, 100 * bins.accuracy, width, align="edge", color=f"{colour}40", edgecolor=colour)
        upper.scatter(
            bins.confidence,
            100 * bins.accuracy,
            color=colour,
            marker=look_of(each.method).marker,
            s=22,
            zorder=3,
        )
        upper.set_title(f"{title_of_reliability(each)}\nECE {100 * each.error:.1f} points", fontsize=10)
        upper.set_ylim(0, 102)
        lower.bar(edges, bins.clips, width, align="edge", color=GREY, edgecolor="white")
        for left, clips in zip(edges, bins.clips.tolist(), strict=True):
            if clips:
                lower.text(
                    left + width / 2, clips, f" {clips}", rotation=90, ha="center", va="bottom", fontsize=6.5
                )
        lower.set_ylim(0, 1.45 * max(int(part.bins.clips.max()) for part in measured))
        lower.set_xlim(0, 1)
        lower.set_xlabel("probability of the label")
        tidy(upper)
        tidy(lower, grid="y")
    rows[0, 0].set_ylabel("accuracy (%)")
    rows[1, 0].set_ylabel("clips")
    return figure


def draw_coverage(
    curves: Mapping[str, tuple[Floats, Floats]], method: str, marked: Sequence[Coverage]
) -> Figure:
    """Accuracy of the labelled clips against their share, for every lowest probability of a label.

    Args:
        curves: by method, share and accuracy, both from 0 to 1.
        method: whose thresholds are marked.
        marked: these thresholds.
    """
    figure = Figure((7.5, 4), layout="constrained")
    axes = figure.subplots()
    for name, (labelled, accuracy) in curves.items():
        look = look_of(name)
        axes.plot(
            100 * labelled,
            100 * accuracy,
            color=look.colour,
            linestyle=look.line,
            label=method_named(name).title,
        )
    look = look_of(method)
    for each in marked:
        if each.labelled >= _LEAST_LABELLED:
            point = 100 * each.labelled, 100 * each.accuracy
            axes.plot(*point, marker=look.marker, color=look.colour, markersize=6)
            axes.annotate(f"{each.threshold:g}", point, (4, 5), textcoords="offset points", fontsize=8)
    shown = [accuracy[labelled >= _LEAST_LABELLED] for labelled, accuracy in curves.values()]
    lowest = 100 * min(float(each.min(initial=1)) for each in shown)
    axes.set_ylim(10 * np.floor(max(lowest - 1, 0) / 10), 101)
    axes.set_xlim(0, 101)
    axes.set_xlabel("test clips that get a label (%)")
    axes.set_ylabel("of these, correct (%)")
    axes.set_title("Accuracy of the labelled clips", fontsize=11)
    tidy(axes)
    axes.legend(loc="lower left", frameon=False)
    return figure
