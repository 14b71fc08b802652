"""Figure of joint responses, drawn on the body."""

from __future__ import annotations

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from skdpipe.distill.methods import method_named
from skdpipe.report.figures.style import GREY, VERMILLION, as_text
from skdpipe.report.response import JointResponse


def draw_response(response: JointResponse) -> Figure:
    """A row for each network, a skeleton for each moment; the size of a joint's disc shows its response.

    In rows of networks with low-quality input, joints that are seen only in high quality have a red outline.
    """
    rows, columns = len(response.magnitude), len(response.moments)
    centre, half = _bounding_square(response.pose)
    figure = Figure((1.75 * columns + 1.2, 1.8 * rows + 0.8), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for row, (name, magnitude) in enumerate(response.magnitude.items()):
        line, method = grid[row], method_named(name)
        for column, axes in enumerate(line):
            pose, strength = response.pose[column], magnitude[column]
            bones = [
                pose[list(bone)] for bone in response.layout.edges if np.isfinite(pose[list(bone)]).all()
            ]
            axes.add_collection(LineCollection(bones, colors=GREY, linewidths=1.5, zorder=1))
            outlined = response.missing[column] & (method.quality == "low")
            discs = axes.scatter(
                *pose.T, c=strength, s=12 + 190 * strength, cmap="viridis", vmin=0, vmax=1, zorder=2,
                edgecolors=np.where(outlined, VERMILLION, "#303030"), linewidths=np.where(outlined, 1.6, 0.5),
            )  # fmt: skip
            axes.set_xlim(centre[column, 0] - half, centre[column, 0] + half)
            axes.set_ylim(centre[column, 1] + half, centre[column, 1] - half)
            axes.set_aspect("equal")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_color("#DDDDDD")
            if row == 0:
                axes.set_title(f"frame {response.moments[column] + 1} of {response.frames}", fontsize=9)
        predicted, largest = as_text(response.predicted[name], 22), response.largest[name]
        line[0].set_ylabel(f"{method.title}\npredicts {predicted}\nlargest norm {largest:.3g}", fontsize=8.5)
    bar = figure.colorbar(discs, ax=grid, shrink=0.7, pad=0.01, fraction=0.03)
    bar.set_label("‖features‖₂ over channels,\nrelative to the network's largest")
    figure.suptitle(
        f"Response by joint: {as_text(response.label)} ({as_text(response.source, 40)})", fontsize=11
    )
    return figure


def _bounding_square(pose: NDArray[np.floating]) -> tuple[NDArray[np.floating], float]:
    """Centre of each skeleton ``(moment, 2)``, and half the side of a square that contains any of them."""
    centre, half = np.zeros((len(pose), 2)), 0.0
    for index, points in enumerate(pose):
        seen = points[np.isfinite(points).all(axis=1)]
        if len(seen):
            low, high = seen.min(axis=0), seen.max(axis=0)
            centre[index], half = (low + high) / 2, max(half, float((high - low).max()) / 2)
    return centre, 1.2 * half or 1.0
