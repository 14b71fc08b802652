"""Where on the body the networks respond."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from skdpipe.report.figures.style import GREY, VERMILLION, as_text
from skdpipe.report.gather import Response


def draw_response(response: Response, titles: Mapping[str, str]) -> Figure:
    """A row for each network, a skeleton for each moment, a disc for each joint that grows with the response.

    Joints that only the good skeleton has are ringed where the network sees the poor one.
    """
    rows, columns = len(response.magnitude), len(response.moments)
    middle, half = _frame_around(response.pose)
    figure = Figure((1.75 * columns + 1.2, 1.8 * rows + 0.8), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for row, (method, magnitude) in enumerate(response.magnitude.items()):
        line = grid[row]
        for column, axes in enumerate(line):
            pose, strength = response.pose[column], magnitude[column]
            bones = [
                pose[list(bone)] for bone in response.layout.edges if np.isfinite(pose[list(bone)]).all()
            ]
            axes.add_collection(LineCollection(bones, colors=GREY, linewidths=1.5, zorder=1))
            ringed = response.hidden[column] & (method != "teacher")
            discs = axes.scatter(
                *pose.T, c=strength, s=12 + 190 * strength, cmap="viridis", vmin=0, vmax=1, zorder=2,
                edgecolors=np.where(ringed, VERMILLION, "#303030"), linewidths=np.where(ringed, 1.6, 0.5),
            )  # fmt: skip
            axes.set_xlim(middle[column, 0] - half, middle[column, 0] + half)
            axes.set_ylim(middle[column, 1] + half, middle[column, 1] - half)
            axes.set_aspect("equal")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_color("#DDDDDD")
            if row == 0:
                axes.set_title(f"frame {response.moments[column] + 1} of {response.frames}", fontsize=9)
        said = as_text(response.said[method], 22)
        largest = response.largest[method]
        line[0].set_ylabel(f"{titles[method]}\nsays {said}\nlargest norm {largest:.3g}", fontsize=8.5)
    bar = figure.colorbar(discs, ax=grid, shrink=0.7, pad=0.01, fraction=0.03)
    bar.set_label("‖features‖₂ over channels,\nas a share of the network's largest")
    figure.suptitle(
        f"Response by joint: {as_text(response.label)} ({as_text(response.source, 40)})", fontsize=11
    )
    return figure


def _frame_around(pose: NDArray[np.floating]) -> tuple[NDArray[np.floating], float]:
    """The middle of each moment's skeleton ``(moment, 2)``, and half the side of a square that holds any."""
    middle, half = np.zeros((len(pose), 2)), 0.0
    for index, points in enumerate(pose):
        seen = points[np.isfinite(points).all(axis=1)]
        if len(seen):
            low, high = seen.min(axis=0), seen.max(axis=0)
            middle[index], half = (low + high) / 2, max(half, float((high - low).max()) / 2)
    return middle, 1.2 * half or 1.0
