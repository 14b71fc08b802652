"""Live sources: cameras, network streams and standard input, decoded in a thread of their own."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Literal, Self

from skdpipe.errors import VideoError
from skdpipe.video.address import open_address, scheme_of, without_secrets
from skdpipe.video.camera import open_camera
from skdpipe.video.feed import Feed, LiveFrame
from skdpipe.video.frame_buffer import FrameBuffer
from skdpipe.video.live_clock import LiveClock
from skdpipe.video.standard_input import NAME as STANDARD_INPUT
from skdpipe.video.standard_input import RawVideo, open_input

_FIRST_DELAY: Final = 0.5  # seconds
_LONGEST_DELAY: Final = 30.0  # seconds
_STEADY: Final = 30.0  # seconds after which a connection is not one of a series of failures
_GRACE: Final = 1.0  # seconds for the end of the thread


@dataclass(frozen=True)
class LiveEvent:
    """What happened to the connection of a live source.

    Attributes:
        kind: a new frame size is that of the frames that follow.
        reason: why the connection ended; otherwise empty.
        seconds: between the end of the connection and the next one; otherwise 0.
        size: width and height of the frames that follow; None without a connection.
    """

    kind: Literal["connected", "disconnected", "reconnected", "resized"]
    reason: str = ""
    seconds: float = 0.0
    size: tuple[int, int] | None = None


def is_live(source: str) -> bool:
    """Whether a source is one of `open_live`: a number, an address, or ``-``; not a path."""
    return source == "-" or source.isdecimal() or scheme_of(source) is not None


def open_live(
    source: str,
    *,
    raw: RawVideo | None = None,
    drop: bool | None = None,
    capacity: int = 8,
    patience: float = 10.0,
    on_event: Callable[[LiveEvent], None] = lambda event: None,
) -> LiveSource:
    """Connect to a live source, and wait for its first frame.

    Args:
        source: the number of a camera, an address, or ``-`` for standard input.
        raw: what the frames on standard input are, if they are in no container.
        drop: whether frames are dropped when the consumer is too slow; by default those of cameras and of
            live addresses are; standard input, and files over HTTP, wait for the consumer. An address that
            does not drop frames is a recording: it is not connected again at its end.
        capacity: number of frames that wait for the consumer at most.
        patience: seconds without an answer, or without a frame, after which a connection counts as broken.
        on_event: called in the consumer's thread, in the order of events and frames.

    Raises:
        VideoError: if the source is none of these, cannot be opened, or gives no frame.
    """
    if raw is not None and source != "-":
        raise VideoError(f"{_name_of(source)}: raw frames are read from standard input (-) only")
    return LiveSource(source, raw, drop, capacity, patience, on_event)


def _name_of(source: str) -> str:
    if source == "-":
        return STANDARD_INPUT
    return f"camera {source}" if source.isdecimal() else without_secrets(source)


class LiveSource:
    """The frames of a live source; a context manager, and an iterator.

    Made by `open_live`. The iteration ends with a recording or with standard input; a camera or a live
    address that vanishes is connected again, however long it takes.

    Attributes:
        name: of the source, without passwords.
        fps: frames per second as the source states them; None if it states none.
        corrupt: number of packets and frames left out because they could not be decoded completely.
        is_recording: whether the source waits for its consumer.
    """

    def __init__(
        self,
        source: str,
        raw: RawVideo | None,
        drop: bool | None,
        capacity: int,
        patience: float,
        on_event: Callable[[LiveEvent], None],
    ) -> None:
        self.name = _name_of(source)
        self.fps: float | None = None
        self.corrupt = 0
        self.is_recording = False
        self._source, self._raw, self._drop, self._patience = source, raw, drop, patience
        self._on_event = on_event
        self._clock = LiveClock()
        self._vanished: float | None = None  # when the connection ended
        self._last_size: tuple[int, int] | None = None
        self._stop = threading.Event()
        self._buffer: FrameBuffer[LiveFrame | LiveEvent] = FrameBuffer(capacity)
        self._thread = threading.Thread(target=self._run, name="live source", daemon=True)
        self._thread.start()
        try:
            self._first = self._take()
            if self._first is None:
                raise VideoError(f"{self.name}: ended without a frame; expected one or more")
        except BaseException:
            self.close()
            raise
        self.size = self._first.size

    @property
    def dropped(self) -> int:
        """Number of frames dropped because the consumer was too slow."""
        return self._buffer.dropped

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; a thread that waits for the network ends after its patience, unattended."""
        self._stop.set()
        self._buffer.close()
        self._thread.join(_GRACE)

    def __iter__(self) -> Iterator[LiveFrame]:
        return self

    def __next__(self) -> LiveFrame:
        """The next frame, waited for.

        Raises:
            VideoError: if a recording is damaged.
        """
        frame, self._first = self._first or self._take(), None
        if frame is None:
            raise StopIteration
        return frame

    def _take(self) -> LiveFrame | None:
        while isinstance(item := self._buffer.take(), LiveEvent):
            self._on_event(item)
        return item

    def _run(self) -> None:
        try:
            self._receive()
        except BaseException as error:  # passed to the consumer, which raises it
            self._buffer.end(error)
        else:
            self._buffer.end()

    def _receive(self) -> None:
        delays = _delays(random.Random())
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                with self._connect() as feed:
                    self._pass_on(feed)
                if feed.is_recording:
                    return
                self._disconnect("the stream ended")
            except VideoError as error:
                if self._last_size is None or self.is_recording:
                    raise
                self._disconnect(str(error).removeprefix(f"{self.name}: "))
            if time.monotonic() - began > _STEADY:
                delays = _delays(random.Random())
            self._stop.wait(next(delays))

    def _connect(self) -> AbstractContextManager[Feed]:
        if self._source == "-":
            return open_input(self._raw, self._clock, self._count_corrupt, self._patience, self._stop)
        if self._source.isdecimal():
            return open_camera(int(self._source), self._clock)
        is_recording = None if self._drop is None else not self._drop
        return open_address(self._source, self._clock, self._count_corrupt, self._patience, is_recording)

    def _pass_on(self, feed: Feed) -> None:
        self.fps, self.is_recording = feed.fps, feed.is_recording
        drops = not feed.is_recording if self._drop is None else self._drop
        is_first = True
        for frame in feed.frames:
            if self._stop.is_set():
                return
            if is_first:
                self._announce(frame.size)
            elif frame.size != self._last_size:
                self._buffer.put_message(LiveEvent("resized", size=frame.size))
            is_first, self._last_size = False, frame.size
            if drops:
                self._buffer.offer(frame)
            else:
                _ = frame.image  # converted in this thread
                self._buffer.put(frame)
        if is_first and self._last_size is None:
            raise VideoError(f"{self.name}: no frame could be decoded; expected one or more")

    def _announce(self, size: tuple[int, int]) -> None:
        if self._vanished is None:
            event = LiveEvent("connected", size=size)
        else:
            event = LiveEvent("reconnected", seconds=time.monotonic() - self._vanished, size=size)
        self._vanished = None
        self._buffer.put_message(event)

    def _disconnect(self, reason: str) -> None:
        if self._vanished is None and not self._stop.is_set():
            self._vanished = time.monotonic()
            self._buffer.put_message(LiveEvent("disconnected", reason))

    def _count_corrupt(self) -> None:
        self.corrupt += 1


def _delays(jitter: random.Random) -> Iterator[float]:
    """Seconds before each attempt to connect again: doubled each time, and up to a half less by chance."""
    delay = _FIRST_DELAY
    while True:
        yield delay * jitter.uniform(0.5, 1.0)
        delay = min(2 * delay, _LONGEST_DELAY)
