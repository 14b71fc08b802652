"""The picture that a player shows for a decoded frame: upright, not mirrored, square pixels, deinterlaced."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, TypeVar

import av
import av.error
import av.filter
import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import SideDataContainer
from numpy.typing import NDArray

from skdpipe.errors import VideoError

Frame = NDArray[np.uint8]

Picture = tuple[Frame | None, tuple[int, int] | None, float]
"""A frame, None if it is not wanted; its width and height, None if it was not decoded; its time in
seconds."""

MOST_PIXELS: Final = 8192 * 4352
"""Pixels of a picture that is decoded: 8K, with rows for the blocks of a codec."""

_TILT: Final = math.tan(math.radians(1))  # FFmpeg, too, ignores less than one degree
_WIDEST_PIXEL: Final = 10  # a larger aspect ratio is not believed


@dataclass(frozen=True)
class Orientation:
    """How a stored frame is displayed.

    Attributes:
        swaps: whether x and y are exchanged; this comes first.
        mirrors_x, mirrors_y: whether the displayed x or y runs against the stored one.
    """

    swaps: bool = False
    mirrors_x: bool = False
    mirrors_y: bool = False

    @property
    def in_words(self) -> str:
        """The rotation clockwise, and the mirror before it."""
        turns = (90 if self.mirrors_x else 270) if self.swaps else (180 if self.mirrors_y else 0)
        is_mirror = (self.swaps + self.mirrors_x + self.mirrors_y) % 2 == 1
        rotation = f"rotated by {turns} degrees" * bool(turns)
        return ", ".join(filter(None, ("mirrored" * is_mirror, rotation))) or "as stored"

    def size_of(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the displayed frame."""
        return (size[1], size[0]) if self.swaps else size

    def apply(self, image: Frame) -> Frame:
        """The displayed image ``(height, width, 3)``."""
        turned = image.transpose(1, 0, 2) if self.swaps else image
        steps = (-1 if self.mirrors_y else 1), (-1 if self.mirrors_x else 1)
        return np.ascontiguousarray(turned[:: steps[0], :: steps[1]])


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """The orientation according to the display matrix of a frame, of a phone's video for example.

    Of the matrix ``[[a, b, u], [c, d, v], [x, y, w]]``, a pixel at x, y is displayed at a x + c y, b x + d y.
    Only the signs count; FFmpeg turns a scale into the sample aspect ratio. A matrix of zeros is ignored, as
    by players.

    Raises:
        ValueError: if the matrix is neither a rotation by a multiple of 90 degrees nor one of its mirrors.
    """
    # A frame that keeps its container of side data refers to itself, and stays in memory for a while.
    data: Any = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]
    if data is None:
        return Orientation()
    a, b, _, c, d, *_ = (float(value) for value in np.frombuffer(data, np.int32))
    if not any((a, b, c, d)):
        return Orientation()
    straight, crossed = (abs(a), abs(d)), (abs(b), abs(c))
    if max(crossed) <= _TILT * min(straight):
        return Orientation(mirrors_x=a < 0, mirrors_y=d < 0)
    if max(straight) <= _TILT * min(crossed):
        return Orientation(swaps=True, mirrors_x=c < 0, mirrors_y=b < 0)
    raise ValueError(f"its display matrix is {a / 2**16:g}, {b / 2**16:g}, {c / 2**16:g}, {d / 2**16:g}")


def displayed_width(width: int, aspect: Fraction | None) -> int:
    """The width of a frame with square pixels and the same height, as ffplay computes it.

    Args:
        width: of the stored frame.
        aspect: width of a pixel divided by its height; if unknown, or absurd, it is 1.
    """
    if aspect is None or not Fraction(1, _WIDEST_PIXEL) <= aspect <= _WIDEST_PIXEL:
        return width
    return max(1, round(width * aspect))


def require_few_pixels(path: Path | str, width: int, height: int) -> None:
    """Check the size of a picture before memory is allocated for it.

    Raises:
        VideoError: if it is larger than 8K.
    """
    if width * height > MOST_PIXELS:
        raise VideoError(
            f"{path}: pictures of {width}x{height} pixels; expected at most {MOST_PIXELS} pixels (8K): scale "
            "the video down"
        )


def to_rgb(frame: av.VideoFrame, width: int) -> Frame:
    """A frame as RGB ``(height, width, 3)`` uint8, scaled to a width.

    One thread converts a frame; more take longer, since FFmpeg starts them for each frame.
    """
    rgb = frame.reformat(width=width, height=frame.height, format="rgb24", threads=1)
    return np.asarray(rgb.to_ndarray(), np.uint8)


@dataclass(frozen=True)
class Decoded:
    """A decoded frame.

    Attributes:
        frame: as stored.
        seconds: since the first frame.
        orientation: how it is displayed.
    """

    frame: av.VideoFrame
    seconds: float
    orientation: Orientation


D = TypeVar("D", bound=Decoded)


def deinterlaced(decoded: Iterable[D]) -> Iterator[D]:
    """The same number of frames, from the first interlaced one on without interlacing.

    Progressive frames do not change. FFmpeg's bwdif computes the missing lines of a frame from the frames
    before and after it.
    """
    graph: Graph | None = None
    waiting: deque[D] = deque()
    for each in decoded:
        if graph is None and each.frame.interlaced_frame:
            graph = _deinterlacer(each.frame)
        if graph is None:
            yield each
        else:
            waiting.append(each)
            graph.vpush(each.frame)
            yield from _finished(graph, waiting)
    if graph is not None:
        graph.vpush(None)
        yield from _finished(graph, waiting)


def _deinterlacer(frame: av.VideoFrame) -> Graph:
    graph = Graph()
    graph.link_nodes(
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        ),
        graph.add("bwdif", "mode=send_frame:deint=interlaced"),
        graph.add("buffersink"),
    ).configure()
    return graph


def _finished(graph: Graph, waiting: deque[D]) -> Iterator[D]:
    while True:
        try:
            frame = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield replace(waiting.popleft(), frame=frame)
