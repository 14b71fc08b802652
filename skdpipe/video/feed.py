"""What a connection to a live source gives: frames, until it breaks off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from skdpipe.video.picture import Frame


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """A frame of a live source.

    Attributes:
        seconds: when it was taken, since the first frame of the source.
        arrived: `time.monotonic` when its data were here.
        size: width and height in pixels.
    """

    seconds: float
    arrived: float
    size: tuple[int, int]
    _picture: Callable[[], Frame] = field(repr=False)

    @cached_property
    def image(self) -> Frame:
        """The frame as RGB ``(height, width, 3)`` uint8, converted when it is first used.

        Raises:
            VideoError: if it cannot be converted.
        """
        return self._picture()


@dataclass(frozen=True)
class Feed:
    """The frames of one connection.

    Attributes:
        frames: raises VideoError when the connection breaks off.
        fps: frames per second as the source states them; None if it states none.
        is_recording: whether the source waits for its reader, and its end is the end.
    """

    frames: Iterator[LiveFrame]
    fps: float | None
    is_recording: bool = False
