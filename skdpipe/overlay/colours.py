"""Colours which colour-blind readers can distinguish: strong ones for people, light ones for classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from skdpipe.overlay.lettering import Colour

BLACK: Final = (0, 0, 0)
WHITE: Final = (255, 255, 255)
DARK: Final = (28, 28, 28)
GREY: Final = (150, 150, 150)
LIGHT: Final = (220, 220, 220)

# Okabe and Ito.
_PEOPLE: Final = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)),
    *((204, 121, 167), (213, 94, 0), (0, 114, 178)),
)
# Tol's light scheme, made for black text.
_CLASSES: Final = (
    *((119, 170, 221), (238, 136, 102), (238, 221, 136), (255, 170, 187)),
    *((153, 221, 255), (68, 187, 153), (187, 204, 51), (170, 170, 0)),
)
_SHADES: Final = (1.0, 0.75, 0.55)


def person_colour(number: int) -> Colour:
    """The colour of the person with a number, the same in all frames."""
    return _PEOPLE[number % len(_PEOPLE)]


def colours_of(labels: Iterable[str]) -> dict[str, Colour]:
    """A colour for each label, by their alphabetical order: 24, then they repeat."""
    colours = {}
    for place, label in enumerate(sorted(set(labels))):
        red, green, blue = _CLASSES[place % len(_CLASSES)]
        shade = _SHADES[place // len(_CLASSES) % len(_SHADES)]
        colours[label] = round(red * shade), round(green * shade), round(blue * shade)
    return colours


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever is better legible on a colour."""
    red, green, blue = colour
    return BLACK if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else WHITE
