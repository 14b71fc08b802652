"""Robustness: how accuracy falls as the clips get worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from skdpipe.report.figures.style import look_of, tidy
from skdpipe.report.robustness import RobustnessCurve


def draw_robustness(card: Sequence[RobustnessCurve], titles: Mapping[str, str]) -> Figure:
    """A panel for each way of spoiling, a line for each network; dashed where smoothed for the test alone."""
    columns = 3
    rows = -(-(len(card) + 1) // columns)
    figure = Figure((12, 3.5 * rows))
    cells = figure.subplots(rows, columns, sharey=True, squeeze=False).flat
    figure.set_layout_engine("constrained", hspace=0.08)
    panels = [next(cells) for _ in card]
    for axes, each in zip(panels, card, strict=True):
        for network, top1 in each.top1.items():
            look, label = look_of(network.method), titles[network.method]
            if network.smoothed_for_test:
                label += ", smoothed for the test"
            axes.plot(
                each.strengths, top1, color=look.colour, marker=look.marker, markersize=5, label=label,
                linestyle="--" if network.smoothed_for_test else "-",
                markerfacecolor="white" if network.smoothed_for_test else look.colour,
            )  # fmt: skip
        axes.set_title(each.spoiling.name)
        axes.set_xlabel(each.spoiling.unit)
        axes.set_xticks(each.strengths, [f"{strength:g}" for strength in each.strengths])
        axes.set_ylim(0, 102)
        axes.tick_params(labelleft=True)
        tidy(axes)
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel("top-1 (%)")
    rest = list(cells)
    for axes in rest:
        axes.set_axis_off()
    rest[0].legend(*panels[0].get_legend_handles_labels(), loc="center", frameon=False)
    return figure
