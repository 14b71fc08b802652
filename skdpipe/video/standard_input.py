"""Video on standard input: raw frames, or a container that can be read without seeking."""

from __future__ import annotations

import math
import os
import select
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import av
import av.error
import numpy as np

from skdpipe.errors import VideoError
from skdpipe.video.container import FORMATS, LIMITS, use_threads, video_of
from skdpipe.video.feed import Feed, LiveFrame
from skdpipe.video.live_clock import LiveClock
from skdpipe.video.picture import Frame, require_few_pixels
from skdpipe.video.receiving import Receiver

NAME: Final = "standard input"
_NO_FILES: Final = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
_WAKE: Final = 0.2  # seconds between two looks at whether to stop
_READ_BYTES: Final = 2**20


@dataclass(frozen=True)
class RawVideo:
    """Frames without a container, one after the other.

    Attributes:
        size: width and height in pixels.
        fps: frames per second.
        pixel_format: the order of the three bytes of a pixel.

    Raises:
        VideoError: if the size or the rate is not positive.
    """

    size: tuple[int, int]
    fps: float
    pixel_format: Literal["rgb24", "bgr24"] = "rgb24"

    def __post_init__(self) -> None:
        if min(self.size) < 1 or not 0 < self.fps < math.inf:
            width, height = self.size
            raise VideoError(
                f"raw frames of {width}x{height} at {self.fps:g} frames/s; expected positive numbers"
            )


class Pipe:
    """Reads a file descriptor until its end, or until an event.

    Args:
        descriptor: of a pipe, a socket or a file.
        stop: ends a reading that waits for data.

    Attributes:
        count: number of bytes given by `read`.
    """

    def __init__(self, descriptor: int, stop: threading.Event) -> None:
        self._descriptor, self._stop, self.count = descriptor, stop, 0

    def read(self, most: int) -> bytes:
        """What is there, at most so many bytes; empty at the end."""
        data = os.read(self._descriptor, most) if self._wait() else b""
        self.count += len(data)
        return data

    def read_into(self, buffer: memoryview) -> int:
        """Fill a buffer; fewer bytes than its size at the end only."""
        filled = 0
        while filled < len(buffer) and self._wait():
            count = os.readv(self._descriptor, [buffer[filled:]])
            if not count:
                break
            filled += count
        return filled

    def _wait(self) -> bool:
        while not self._stop.is_set():
            if sys.platform == "win32" or select.select([self._descriptor], [], [], _WAKE)[0]:
                return True
        return False


@contextmanager
def open_input(
    raw: RawVideo | None,
    clock: LiveClock,
    on_corrupt: Callable[[], None],
    patience: float,
    stop: threading.Event,
    descriptor: int = 0,
) -> Iterator[Feed]:
    """Read video from standard input, or from another descriptor.

    Raises:
        VideoError: if it is a terminal, or has no video stream.
    """
    if os.isatty(descriptor):
        raise VideoError(f"{NAME}: is a terminal; expected video from a pipe or a file")
    pipe = Pipe(descriptor, stop)
    if raw is not None:
        require_few_pixels(NAME, *raw.size)
        yield Feed(_raw_frames(pipe, raw), raw.fps, is_recording=True)
        return
    try:
        container = av.open(
            pipe,
            mode="r",
            metadata_errors="replace",
            container_options=_NO_FILES,
            options=LIMITS,
            buffer_size=_READ_BYTES,
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if not pipe.count:
            raise VideoError(f"{NAME}: is empty; expected video from a pipe or a file") from error
        raise VideoError(
            f"{NAME}: not a video that can be read without seeking; expected MPEG-TS, Matroska, fragmented "
            "MP4, MJPEG or Y4M, or raw frames and their size"
        ) from error
    with container, video_of(NAME, container) as stream:
        use_threads(stream)
        yield Receiver(NAME, container, stream, clock, on_corrupt, patience, is_recording=True).feed()


def _raw_frames(pipe: Pipe, raw: RawVideo) -> Iterator[LiveFrame]:
    width, height = raw.size
    number = 0
    while True:
        image = np.empty((height, width, 3), np.uint8)
        count = pipe.read_into(image.data.cast("B"))
        if count < image.nbytes:
            break
        yield LiveFrame(
            number / raw.fps, time.monotonic(), raw.size, partial(_to_rgb, image, raw.pixel_format)
        )
        number += 1
    if not number:
        raise VideoError(
            f"{NAME}: ended after {count} bytes; expected {image.nbytes} for a frame of {width}x{height}"
        )
    if count:
        warnings.warn(
            f"{NAME}: ended with {count} of the {image.nbytes} bytes of a frame of {width}x{height}; is the "
            "size right?",
            stacklevel=1,
        )


def _to_rgb(image: Frame, pixel_format: str) -> Frame:
    return image if pixel_format == "rgb24" else np.ascontiguousarray(image[..., ::-1])
