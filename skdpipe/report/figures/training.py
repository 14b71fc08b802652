"""Figures of the training: losses and gradient conflicts over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from skdpipe.distill.methods import method_named
from skdpipe.distill.training_state import Curve
from skdpipe.report.figures.style import BLACK, ORANGE, PURPLE, SKY, Look, as_text, look_of, tidy

_LOSS_LOOKS: Final = {"kl": Look(BLACK, "o"), "node": Look(ORANGE, "s"), "edge": Look(SKY, "^")}
_MOST_MARKERS: Final = 30


def draw_losses(curves: Mapping[str, Sequence[Curve]]) -> Figure:
    """A panel for each loss, a line over epochs for each method that has this loss."""
    names = list(dict.fromkeys(name for each in curves.values() for curve in each for name in curve.losses))
    figure = Figure((3.1 * max(2, len(names)), 3.7), layout="constrained")
    row = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(row, names, strict=True):
        lowest, highest = np.inf, 0.0
        for method, each in curves.items():
            values = [curve.losses.get(name, np.nan) for curve in each]
            if np.isfinite(values).any():
                _over_epochs(axes, values, look_of(method), method_named(method).title)
                lowest, highest = min(lowest, np.nanmin(values)), max(highest, np.nanmax(values))
        if 0 < 20 * lowest < highest:
            axes.set_yscale("log")
        axes.set_title(as_text(name))
        tidy(axes)
    row[0].set_ylabel("weighted loss, mean over the epoch")
    _legend_below(figure, row[0])
    return figure


def draw_conflicts(curves: Mapping[str, Sequence[Curve]]) -> Figure:
    """How often each distillation gradient was revised, and its cosine with the task gradient, over epochs.

    The line style stands for the method, colour and marker for the loss.
    """
    figure = Figure((11, 4), layout="constrained")
    share, cosine = figure.subplots(1, 2)
    for method, line in zip(curves, ("-", "--", ":", "-."), strict=False):
        for name in dict.fromkeys(name for curve in curves[method] for name in curve.revised):
            look = _LOSS_LOOKS.get(name, Look(PURPLE, "D"))._replace(line=line)
            label = f"{method_named(method).title}: {as_text(name)}"
            revised = [100 * curve.revised.get(name, np.nan) for curve in curves[method]]
            _over_epochs(share, revised, look, label)
            _over_epochs(cosine, [curve.cosines.get(name, np.nan) for curve in curves[method]], look, label)
    share.set_title("Revised gradients")
    share.set_ylabel("share of the epoch's steps (%)")
    share.set_ylim(-3, 103)
    cosine.axhline(0, color="#808080", linewidth=0.8)
    cosine.set_title("Cosine with the task gradient")
    cosine.set_ylabel("cosine (negative: conflict)")
    for axes in (share, cosine):
        tidy(axes)
    _legend_below(figure, share)
    return figure


def _over_epochs(axes: Axes, values: Sequence[float], look: Look, label: str) -> None:
    marker = look.marker if len(values) <= _MOST_MARKERS else ""
    epochs = range(1, len(values) + 1)
    axes.plot(
        epochs, values, color=look.colour, linestyle=look.line, marker=marker, markersize=5, label=label
    )
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _legend_below(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(6, len(labels)), frameon=False)
