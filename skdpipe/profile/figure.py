"""The picture of a profile: the stages of each estimator, and accuracy against cost."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skdpipe.profile.accuracy import NetworkProfile
from skdpipe.profile.measure import Profile
from skdpipe.report.figures.style import BLACK, GREY, OKABE_ITO, as_text, numbered_look, tidy

_DOTS_PER_INCH: Final = 140
_WIDTH: Final = 9.0  # inches


def draw_profile(profile: Profile, budget: float | None = None) -> Figure:
    """Bars of the stages; below them, for each test, accuracy against cost with its Pareto front.

    Args:
        profile: the measurements.
        budget: seconds of a frame, drawn as a line.
    """
    tests = list(dict.fromkeys(each.test for each in profile.networks))
    heights = [1.2 + 0.45 * len(profile.estimators), *(4.0 for _ in tests)]
    figure = Figure((_WIDTH, sum(heights) + 0.5), layout="constrained")
    rows = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    _draw_stages(rows[0], profile)
    for axes, test in zip(rows[1:], tests, strict=True):
        _draw_accuracy(axes, profile, [each for each in profile.networks if each.test == test], budget)
    width, height = profile.size
    figure.suptitle(
        f"{as_text(profile.clip, 40)}: {profile.frames} frames, {width}x{height}, {profile.fps:g} fps; "
        f"{as_text(profile.machine, 60)}",
        fontsize=9,
    )
    return figure


def to_png(figure: Figure) -> bytes:
    """A figure as a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return file.getvalue()


def _draw_stages(axes: Axes, profile: Profile) -> None:
    stages = list(dict.fromkeys(stage for each in profile.estimators for stage in each.stages))
    y = range(len(profile.estimators))
    left = [0.0] * len(profile.estimators)
    for colour, stage in zip(OKABE_ITO, stages, strict=False):
        widths = [
            1000 * each.stages[stage].median / profile.frames if stage in each.stages else 0.0
            for each in profile.estimators
        ]
        axes.barh(y, widths, left=left, color=colour, label=stage, height=0.5)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    whole = [each.whole / profile.frames for each in profile.estimators]
    for row, time in zip(y, whole, strict=True):
        axes.plot([1000 * time.lowest, 1000 * time.highest], [row, row], color=BLACK, linewidth=1.5)
    medians = [1000 * each.median for each in whole]
    axes.plot(medians, y, "|", color=BLACK, markersize=14, label="from video to skeletons")
    axes.set_yticks(y, [as_text(each.name, 60) for each in profile.estimators], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("ms per frame of the video")
    _add_legend(axes)
    tidy(axes, grid="x")


def _draw_accuracy(
    axes: Axes, profile: Profile, networks: Sequence[NetworkProfile], budget: float | None
) -> None:
    names = [each.name for each in profile.estimators]
    for each in networks:
        look, cost = numbered_look(names.index(each.estimator)), each.cost / profile.frames
        axes.errorbar(
            1000 * cost.median,
            each.top1.estimate,
            xerr=[[1000 * (cost.median - cost.lowest)], [1000 * (cost.highest - cost.median)]],
            yerr=[[each.top1.estimate - each.top1.low], [each.top1.high - each.top1.estimate]],
            color=look.colour,
            ecolor=GREY,
            marker=look.marker,
            markersize=8 if each.on_front else 5,
            fillstyle="full" if each.on_front else "none",
            linewidth=1,
        )
        axes.annotate(
            as_text(each.network), (1000 * cost.median, each.top1.estimate), xytext=(5, 5),
            textcoords="offset points", fontsize=8,
        )  # fmt: skip
    front = sorted(
        (1000 * each.cost.median / profile.frames, each.top1.estimate) for each in networks if each.on_front
    )
    axes.step(*zip(*front, strict=True), where="post", color=BLACK, linewidth=1, label="Pareto front")
    if budget is not None:
        axes.axvline(1000 * budget, color=BLACK, linestyle=":", label=f"budget {1000 * budget:g} ms")
    axes.set_xlim(left=0)
    axes.margins(y=0.15)
    axes.set_xlabel("ms per frame of the video, from the video to the label")
    axes.set_ylabel("top-1 (%) with 95 % interval")
    _add_legend(axes)
    tidy(axes)


def _add_legend(axes: Axes) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)
