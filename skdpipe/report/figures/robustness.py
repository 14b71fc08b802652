"""Figure of the robustness curves."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from skdpipe.distill.methods import method_named
from skdpipe.report.figures.style import look_of, tidy
from skdpipe.report.robustness import RobustnessCurve


def draw_robustness(curves: Sequence[RobustnessCurve]) -> Figure:
    """A panel for each degradation, a line for each network; dashed if smoothed only for the test."""
    columns = 3
    rows = -(-len(curves) // columns)
    figure = Figure((12, 3.5 * rows))
    cells = figure.subplots(rows, columns, sharey=True, squeeze=False).flat
    figure.set_layout_engine("constrained", hspace=0.08)
    panels = [next(cells) for _ in curves]
    for axes, curve in zip(panels, curves, strict=True):
        for network, top1 in curve.top1.items():
            look, label = look_of(network.method), method_named(network.method).title
            if network.smoothed_for_test:
                label += ", smoothed for the test"
            axes.plot(
                curve.strengths, top1, color=look.colour, marker=look.marker, markersize=5, label=label,
                linestyle="--" if network.smoothed_for_test else "-",
                markerfacecolor="white" if network.smoothed_for_test else look.colour,
            )  # fmt: skip
        axes.set_title(curve.axis.name)
        axes.set_xlabel(curve.axis.unit)
        axes.set_xticks(curve.strengths, [f"{strength:g}" for strength in curve.strengths])
        axes.set_ylim(0, 102)
        axes.tick_params(labelleft=True)
        tidy(axes)
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel("top-1 (%)")
    for axes in cells:
        axes.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)
    return figure
