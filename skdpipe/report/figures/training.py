"""Figures of the training: losses, accuracies and gradient conflicts over epochs."""

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
    """A panel for each loss, and one for the accuracies if known, with a line over epochs for each method.

    The dotted lines with hollow markers are accuracies on the test clips.
    """
    names = list(dict.fromkeys(name for each in curves.values() for curve in each for name in curve.losses))
    with_accuracy = any(curve.training_top1 is not None for each in curves.values() for curve in each)
    panels = len(names) + with_accuracy
    figure = Figure((3.1 * max(2, panels), 3.7), layout="constrained")
    row = figure.subplots(1, panels, squeeze=False)[0]
    for axes, name in zip(row, names, strict=False):
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
    if with_accuracy:
        _draw_accuracies(row[-1], curves)
    _legend_below(figure, row[0])
    return figure


def _draw_accuracies(axes: Axes, curves: Mapping[str, Sequence[Curve]]) -> None:
    for method, each in curves.items():
        look, title = look_of(method), method_named(method).title
        _over_epochs(axes, [_or_nan(curve.training_top1) for curve in each], look, title)
        tested = [(n, curve.test_top1) for n, curve in enumerate(each, 1) if curve.test_top1 is not None]
        if tested:
            epochs, values = zip(*tested, strict=True)
            axes.plot(epochs, values, f"{look.marker}:", color=look.colour, markerfacecolor="none")
    axes.set_title("accuracy (%)")
    axes.set_ylim(-3, 103)
    tidy(axes)


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


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
