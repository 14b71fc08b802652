"""Text in pictures, in the scripts for which the machine has a font."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from skdpipe.printable import printable
from skdpipe.video import Frame

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

# Beside Pillow's own font, which has Latin letters: fonts that Linux, macOS and Windows have, by file name.
_SYSTEM_FONTS: Final = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "segoeui.ttf", "Arial Unicode.ttf"),
    *("NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf"),
    *("msyh.ttc", "YuGothM.ttc", "malgun.ttf", "Hiragino Sans GB.ttc", "AppleSDGothicNeo.ttc"),
    *("NotoSansDevanagari-Regular.ttf", "NotoSansArabic-Regular.ttf", "NotoSansThai-Regular.ttf"),
    *("Nirmala.ttf", "Nirmala.ttc", "LeelawUI.ttf", "FreeSans.ttf", "unifont.otf"),
)
_ABSENT: Final = "\U0010ffff"  # no font has a glyph for it
_LINE, _BASELINE = 1.4, 1.05  # in sizes of the font
_MOST: Final = 200  # characters
_KEPT: Final = 256  # texts


class Lettering:
    """Text of one size.

    A character for which no font is found is drawn as its escape, such as ``\\u6325``.

    Args:
        size: of the font in pixels.

    Attributes:
        height: of a line in pixels.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.height = round(_LINE * size)
        self._opened: list[ImageFont.FreeTypeFont] = []
        self._not_tried = iter(("", *_SYSTEM_FONTS))
        self._mask = lru_cache(_KEPT)(self._mask_of)
        self._shown = lru_cache(_KEPT)(self._choose)
        self._has = lru_cache(16 * _KEPT)(self._has_glyph)

    def width(self, text: str) -> int:
        """Width of a text in pixels."""
        font, shown = self._shown(text)
        return int(np.ceil(font.getlength(shown)))

    def shorten(self, text: str, width: int) -> str:
        """The text, or as much of its start as fits into a width with three dots; empty if nothing does."""
        if self.width(text) <= width:
            return text
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.width(f"{text[:middle]}...") <= width else (low, middle - 1)
        return f"{text[:low].rstrip()}..." if low else ""

    def write(self, image: Frame, text: str, left: int, top: int, colour: Colour) -> None:
        """Draw a line of text on the image; what is outside of it is cut off."""
        y, x = max(0, -top), max(0, -left)
        bottom, right = max(0, image.shape[0] - top), max(0, image.shape[1] - left)
        mask = self._mask(text)[y:bottom, x:right]
        place = image[top + y :, left + x :][: mask.shape[0], : mask.shape[1]]
        place[:] = np.rint(place + (np.array(colour, np.float32) - place) * mask)

    def _mask_of(self, text: str) -> NDArray[np.float32]:
        """Opacity ``(height, width, 1)``, 0 to 1."""
        font, shown = self._shown(text)
        image = Image.new("L", (max(1, self.width(text)), self.height))
        ImageDraw.Draw(image).text((0, round(_BASELINE * self._size)), shown, 255, font, anchor="ls")
        opacity: NDArray[np.float32] = np.asarray(image, np.float32) / np.float32(255)
        return opacity[..., None]

    def _choose(self, text: str) -> tuple[ImageFont.FreeTypeFont, str]:
        """The font that has most of the characters, the first of several; the others are escaped."""
        text = printable(text, _MOST)
        characters = {each for each in text if not each.isspace()}
        best, absent = None, characters
        for font in self._fonts():
            without = {each for each in characters if not self._has(font, each)}
            if best is None or len(without) < len(absent):
                best, absent = font, without
            if not without:
                break
        assert best is not None
        return best, "".join(
            each.encode("unicode_escape").decode() if each in absent else each for each in text
        )

    def _fonts(self) -> Iterator[ImageFont.FreeTypeFont]:
        """Pillow's font, then those of the system; each is opened when it is needed for the first time."""
        yield from self._opened
        for name in self._not_tried:
            try:
                font = ImageFont.truetype(name, self._size) if name else ImageFont.load_default(self._size)
            except OSError:  # not on this machine
                continue
            assert isinstance(font, ImageFont.FreeTypeFont)
            self._opened.append(font)
            yield font

    def _has_glyph(self, font: ImageFont.FreeTypeFont, character: str) -> bool:
        """Whether a character looks different from an absent one."""
        glyph, absent = font.getmask(character), font.getmask(_ABSENT)
        return glyph.size != absent.size or bytes(glyph) != bytes(absent)
