"""The timeline below footage: a row of segments for each person, and a cursor at the current time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from skdpipe.inference.timeline import Segment, Timeline
from skdpipe.overlay.colours import BLACK, DARK, GREY, LIGHT, WHITE, colours_of, ink_on, person_colour
from skdpipe.overlay.lettering import Lettering
from skdpipe.video import Frame

_PAGE: Final = 60.0  # seconds at most
_STEPS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30)  # seconds between marks of the axis
_MARKS: Final = 6  # at most
_MOST_ROWS: Final = 8
_SHARE: Final = 0.4  # of the picture's height, at most, for the rows
_LEGEND_LINES: Final = 2

Row = int | None  # a person's number; None for all together


@dataclass(frozen=True)
class _Page:
    """A part of the footage that is displayed at once.

    Attributes:
        start, end: seconds.
        rows: segments that are partly in it, by row.
        left_out: number of rows for which there is no place.
    """

    start: float
    end: float
    rows: dict[Row, list[Segment]]
    left_out: int


class Strip:
    """Draws the timeline of footage, a minute or less at a time.

    Args:
        timeline: of the footage.
        size: width and height of the picture above it in pixels.
        lettering: of all text.

    Attributes:
        height: of the strip in pixels; its width is that of the picture.
    """

    def __init__(self, timeline: Timeline, size: tuple[int, int], lettering: Lettering) -> None:
        self._lettering, self._width = lettering, size[0]
        self._gap = max(1, lettering.height // 6)
        self._line = lettering.height + self._gap
        most = max(2, min(_MOST_ROWS, int(_SHARE * size[1] / self._line)))
        self._colours = colours_of(each.label for each in timeline.segments if each.label is not None)
        self._pages = _paginate(timeline, most)
        names = {_name_of(row) for page in self._pages for row in page.rows} | {_clock(timeline.seconds, 1)}
        widest = max(lettering.width(each) for each in names) + 3 * self._gap
        self._gutter = min(self._width // 3, widest)
        self._legends = [self._legend_of(page) for page in self._pages]
        self._rows = max(len(page.rows) for page in self._pages)
        self._rest = any(page.left_out for page in self._pages)
        lines = self._rows + self._rest + 1 + max(map(len, self._legends))
        self.height = self._line * lines + 2 * self._gap
        self._drawn: tuple[int, Frame] | None = None

    def draw(self, image: Frame, seconds: float) -> None:
        """Draw the strip at a time on an image of its size."""
        length = self._pages[0].end - self._pages[0].start
        number = min(len(self._pages) - 1, max(0, int(seconds / length)))
        if self._drawn is None or self._drawn[0] != number:
            self._drawn = number, self._draw_page(number)
        image[:] = self._drawn[1]
        x = self._place(self._pages[number], seconds)
        bottom = self._gap + self._line * self._rows
        half = self._gap // 4
        cv2.rectangle(image, (x - half - 1, 0), (x + half + 1, bottom), BLACK, -1)
        cv2.rectangle(image, (x - half, 0), (x + half, bottom), WHITE, -1)
        self._lettering.write(image, _clock(seconds, 1), self._gap, self._axis_top, WHITE)

    @property
    def _axis_top(self) -> int:
        return self._gap + self._line * (self._rows + self._rest)

    def _place(self, page: _Page, seconds: float) -> int:
        """The column of a time."""
        right = self._width - 2 * self._gap
        share = (seconds - page.start) / (page.end - page.start)
        return self._gutter + round((right - self._gutter) * min(1.0, max(0.0, share)))

    def _draw_page(self, number: int) -> Frame:
        page = self._pages[number]
        image = np.full((self.height, self._width, 3), DARK, np.uint8)
        for line, (row, segments) in enumerate(page.rows.items()):
            top = self._gap + self._line * line
            self._draw_row_name(image, row, top)
            for each in segments:
                self._draw_segment(image, page, each, top)
        if page.left_out:
            text = f"and {page.left_out} more {'person' if page.left_out == 1 else 'people'}"
            top = self._gap + self._line * self._rows
            self._lettering.write(image, text, self._gutter, top, GREY)
        self._draw_axis(image, page)
        self._draw_legend(image, self._legends[number])
        return image

    def _draw_row_name(self, image: Frame, row: Row, top: int) -> None:
        name = self._lettering.shorten(_name_of(row), self._gutter - 3 * self._gap)
        colour = DARK if row is None else person_colour(row)
        right = self._lettering.width(name) + 2 * self._gap
        image[top : top + self._lettering.height, :right] = colour
        self._lettering.write(image, name, self._gap, top, ink_on(colour))

    def _draw_segment(self, image: Frame, page: _Page, segment: Segment, top: int) -> None:
        left, right = self._place(page, segment.start), self._place(page, segment.end)
        fill = GREY if segment.label is None else self._colours[segment.label]
        height = self._lettering.height
        if segment.reason == "no person":
            top, height = top + height // 2, 1
        right = max(left + 1, right - 1)  # a column between two
        image[top : top + height, left:right] = fill
        name = self._lettering.shorten(segment.text, right - left - 2 * self._gap)
        if segment.reason != "no person":
            self._lettering.write(image, name, left + self._gap, top, ink_on(fill))

    def _draw_axis(self, image: Frame, page: _Page) -> None:
        step = _step_of(page.end - page.start)
        decimals = 0 if step >= 1 else 1
        free = self._gutter
        for mark in range(math.ceil(page.start / step - 1e-6), math.floor(page.end / step + 1e-6) + 1):
            x, text = self._place(page, mark * step), _clock(mark * step, decimals)
            left = min(x, self._width - self._gap - self._lettering.width(text))
            image[self._gap : self._axis_top : 4, x] = GREY
            if left >= free:
                self._lettering.write(image, text, left, self._axis_top, GREY)
                free = left + self._lettering.width(text) + 2 * self._gap

    def _legend_of(self, page: _Page) -> list[list[tuple[str, str]]]:
        """Lines of classes and their names as they are drawn: of the classes of which no segment is named.

        What does not fit is counted: the class is empty then.
        """
        shown = {each.text for row in page.rows.values() for each in row if self._is_named(page, each)}
        names = {each.text: None for row in page.rows.values() for each in row if each.label is not None}
        missing = [each for each in names if each not in shown]
        room = self._width - self._gutter - 2 * self._gap
        lines: list[list[tuple[str, str]]] = []
        free = 0
        for number, each in enumerate(missing):
            text = self._lettering.shorten(each, room - self._entry_width(""))
            if self._entry_width(text) > free:
                if len(lines) == _LEGEND_LINES:
                    lines[-1][-1:] = [("", f"and {len(missing) - number + 1} more")]
                    break
                lines.append([])
                free = room
            lines[-1].append((each, text))
            free -= self._entry_width(text)
        return lines

    def _is_named(self, page: _Page, segment: Segment) -> bool:
        room = self._place(page, segment.end) - 1 - self._place(page, segment.start) - 2 * self._gap
        return self._lettering.width(segment.text) <= room

    def _entry_width(self, text: str) -> int:
        return self._line + self._lettering.width(text) + 4 * self._gap

    def _draw_legend(self, image: Frame, legend: Sequence[Sequence[tuple[str, str]]]) -> None:
        side = self._lettering.height // 2
        for line, entries in enumerate(legend, 1):
            top, left = self._axis_top + self._line * line, self._gutter
            for label, text in entries:
                if label:
                    image[top + side // 2 : top + side // 2 + side, left : left + side] = self._colours[label]
                self._lettering.write(image, text, left + side + self._gap, top, LIGHT)
                left += self._entry_width(text)


def _paginate(timeline: Timeline, most: int) -> list[_Page]:
    """Pages of equal length, each with the ``most`` rows of the longest segments, by number."""
    end = max([timeline.seconds, 1e-3, *(each.end for each in timeline.segments)])
    count = math.ceil(end / _PAGE)
    length = end / count
    pages: list[defaultdict[Row, list[Segment]]] = [defaultdict(list) for _ in range(count)]
    per_person = any(each.person is not None for each in timeline.segments)
    for each in timeline.segments:
        if per_person and each.person is None and each.reason == "no person":
            continue
        first, last = int(each.start / length), math.ceil(each.end / length)
        for number in range(max(0, first), min(count, max(last, first + 1))):
            pages[number][each.person].append(each)
    return [_page_of(rows, number * length, (number + 1) * length, most) for number, rows in enumerate(pages)]


def _page_of(rows: dict[Row, list[Segment]], start: float, end: float, most: int) -> _Page:
    def seen(row: Row) -> float:
        return sum(min(end, each.end) - max(start, each.start) for each in rows[row])

    def order(row: Row) -> tuple[bool, int]:
        return row is not None, row or 0

    kept = sorted(sorted(rows, key=order), key=seen, reverse=True)[:most]
    return _Page(start, end, {row: rows[row] for row in sorted(kept, key=order)}, len(rows) - len(kept))


def _step_of(seconds: float) -> float:
    return next((step for step in _STEPS if seconds / step <= _MARKS), _STEPS[-1])


def _name_of(row: Row) -> str:
    return "all" if row is None else str(row)


def _clock(seconds: float, decimals: int) -> str:
    """Hours (where there are some), minutes and seconds."""
    ticks = round(seconds * 10**decimals)
    whole, rest = divmod(ticks, 10**decimals)
    clock = f"{whole // 3600}:{whole // 60 % 60:02}" if whole >= 3600 else f"{whole // 60}"
    return f"{clock}:{whole % 60:02}" + (f".{rest:0{decimals}}" if decimals else "")
