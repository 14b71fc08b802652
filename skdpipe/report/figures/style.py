"""Colours, markers and text that the figures share."""

from __future__ import annotations

import io
import re
import warnings
from typing import Final, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skdpipe.printable import printable

BLACK, ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
# The colours of Okabe and Ito without yellow, which has too little contrast on white.
OKABE_ITO: Final = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, BLACK)
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
GREY: Final = "#B0B0B0"


class Look(NamedTuple):
    """Colour, marker and line style of a category."""

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
    """The look of a method, the same in every figure."""
    return _LOOKS[method]


def numbered_look(index: int) -> Look:
    """The look of one of many categories: 70 pairs of colour and marker, then again from the first."""
    return Look(OKABE_ITO[index % len(OKABE_ITO)], MARKERS[index // len(OKABE_ITO) % len(MARKERS)])


def as_text(text: str, most: int = 30) -> str:
    """A name as one `printable` line of at most ``most`` characters.

    Escaped so that matplotlib neither parses it as a formula nor hides it from a legend.
    """
    line = printable(text)
    short = line if len(line) <= most else f"{line[: most - 1]}…"
    return re.sub(r"^_", " _", short).replace("$", r"\$")


def tidy(axes: Axes, *, grid: str = "both") -> None:
    """Remove the upper and right spine, add a light grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis=grid, color="#E5E5E5", linewidth=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def describe(figure: Figure) -> str:
    """What a figure shows, from its titles and the labels of its axes."""
    panels = []
    for axes in figure.axes:
        x, y, title = axes.get_xlabel(), axes.get_ylabel(), axes.get_title()
        quantities = f"{y} against {x}" if x and y else x or y
        panels.append(": ".join(filter(None, (title, quantities))))
    text = "; ".join(filter(None, (figure.get_suptitle(), *panels)))
    return " ".join(text.split()).replace(r"\$", "$")


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element; ``name`` is the prefix of its ids, which must be unique in a page."""
    file = io.StringIO()
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    # Text stays text: it can be searched, and the browser replaces characters that the font lacks.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(file, format="svg", dpi=140, metadata=no_metadata)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    for prefix in (r'\bid="', r'href="#', r"url\(#"):
        svg = re.sub(f"({prefix})", rf"\g<1>{name}-", svg)
    return svg
