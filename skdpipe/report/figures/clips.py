"""Which clips a network takes for alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from skdpipe.report.figures.style import as_text, look_number


def draw_map(
    places: Mapping[str, NDArray[np.floating]], label: NDArray[np.integer], classes: Sequence[str]
) -> Figure:
    """Maps ``(clip, 2)`` of the same clips by title, side by side, coloured by true class."""
    present = np.unique(label).tolist()
    columns = min(6, max(1, len(present)))
    lines = -(-len(present) // columns)
    figure = Figure((4.2 * len(places) + 0.2, 4.4 + 0.19 * lines), layout="constrained")
    row = figure.subplots(1, len(places), squeeze=False)[0]
    for axes, (title, xy) in zip(row, places.items(), strict=True):
        for index in present:
            look, chosen = look_number(index), label == index
            axes.scatter(
                *xy[chosen].T, marker=look.marker, color=look.colour, s=14, linewidths=0.3,
                edgecolors="white", rasterized=True,
            )  # fmt: skip
        axes.set_title(title)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel("t-SNE 1 (no unit)")
        axes.margins(0.04)
    row[0].set_ylabel("t-SNE 2 (no unit)")
    looks = [look_number(index) for index in present]
    handles = [Line2D([], [], marker=look.marker, color=look.colour, linestyle="") for look in looks]
    names = [as_text(classes[index], 24) for index in present]
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=7.5)
    return figure
