"""Figure of the t-SNE maps of the test clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from skdpipe.distill.methods import method_named
from skdpipe.report.figures.style import as_text, numbered_look


def draw_map(
    positions: Mapping[str, NDArray[np.floating]], label: NDArray[np.integer], classes: Sequence[str]
) -> Figure:
    """Positions ``(clip, 2)`` of the same clips by method, side by side, coloured by true class."""
    present = np.unique(label).tolist()
    columns = min(6, max(1, len(present)))
    lines = -(-len(present) // columns)
    figure = Figure((4.2 * len(positions) + 0.2, 4.4 + 0.19 * lines), layout="constrained")
    row = figure.subplots(1, len(positions), squeeze=False)[0]
    for axes, (method, xy) in zip(row, positions.items(), strict=True):
        for index in present:
            look, of_class = numbered_look(index), label == index
            axes.scatter(
                *xy[of_class].T, marker=look.marker, color=look.colour, s=14, linewidths=0.3,
                edgecolors="white", rasterized=True,
            )  # fmt: skip
        axes.set_title(method_named(method).title)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel("t-SNE 1 (no unit)")
        axes.margins(0.04)
    row[0].set_ylabel("t-SNE 2 (no unit)")
    looks = [numbered_look(index) for index in present]
    handles = [Line2D([], [], marker=look.marker, color=look.colour, linestyle="") for look in looks]
    names = [as_text(classes[index], 24) for index in present]
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=7.5)
    return figure
