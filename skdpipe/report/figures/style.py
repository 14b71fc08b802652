"""Colours, markers and text that the figures share."""

from __future__ import annotations

import io
import re
import warnings
from typing import Final, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLACK, ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
# Okabe and Ito's colours but for their yellow, which is too faint on white.
OKABE_ITO: Final = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, BLACK)
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
GREY: Final = "#B0B0B0"


class Look(NamedTuple):
    """How a category is drawn."""

    colour: str
    marker: str
    line: str = "-"


_LOOKS: Final = {
    "teacher": Look(GREEN, "D", "-."),
    "baseline": Look(VERMILLION, "o", "--"),
    "smoothed": Look(ORANGE, "s", ":"),
    "student": Look(BLUE, "^", "-"),
    "student_smoothed": Look(PURPLE, "v", (0, (5, 1))),  # type: ignore[arg-type]
}


def look_of(method: str) -> Look:
    """How a method is drawn, the same in every figure."""
    return _LOOKS.get(method, Look(BLACK, "X"))


def look_number(index: int) -> Look:
    """How one of many categories is drawn: 70 pairs of colour and marker, then again from the start."""
    return Look(OKABE_ITO[index % len(OKABE_ITO)], MARKERS[index // len(OKABE_ITO) % len(MARKERS)])


def as_text(text: str, most: int = 30) -> str:
    """A name for a figure: not too long, and nothing in it read as a formula or a hidden label."""
    short = text if len(text) <= most else f"{text[: most - 1]}…"
    return re.sub(r"^_", " _", short).replace("$", r"\$")


def tidy(axes: Axes, *, grid: str = "both") -> None:
    """No box, a faint grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis=grid, color="#E5E5E5", linewidth=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an element of an HTML page; ``name`` keeps its ids apart from those of other figures."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    # Text stays text, so that class names can be searched for; letters that a font lacks are the browser's.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(file, format="svg", dpi=140, metadata=nothing)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    for before in (r'\bid="', r'href="#', r"url\(#"):
        svg = re.sub(f"({before})", rf"\g<1>{name}-", svg)
    return svg
