"""Decoding of a container that is read once, from start to end, as its packets arrive."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any, Final

import av
import av.error
from av.container import InputContainer
from av.format import Flags
from av.video.stream import VideoStream

from skdpipe.errors import VideoError
from skdpipe.video.container import empty_content, orientation_in, stated_fps
from skdpipe.video.feed import Feed, LiveFrame
from skdpipe.video.live_clock import LiveClock
from skdpipe.video.picture import (
    Decoded,
    Frame,
    deinterlaced,
    displayed_width,
    require_few_pixels,
    to_rgb,
)

_MOST_UNREADABLE: Final = 1000  # pieces in a row that are no packets
_LONGEST_PAUSE: Final = 1.0  # seconds before a frame of a segment is passed on


@dataclass(frozen=True)
class _Received(Decoded):
    """A decoded frame, and when its last packet arrived."""

    arrived: float


@dataclass(frozen=True, eq=False)
class Receiver:
    """Decodes the frames of a container.

    Attributes:
        name: of the source, for messages.
        container, stream: what is decoded.
        clock: of the source, of which this may be a later connection.
        on_corrupt: called for each packet or frame that cannot be decoded completely, and is left out.
        patience: seconds without a frame after which the connection counts as broken.
        is_recording: whether the container waits for its reader.
        comes_in_segments: whether several seconds arrive at once (HLS); they are passed on in real time.
    """

    name: str
    container: InputContainer
    stream: VideoStream
    clock: LiveClock
    on_corrupt: Callable[[], None]
    patience: float
    is_recording: bool
    comes_in_segments: bool = False

    def feed(self) -> Feed:
        """The frames, as a player shows them."""
        return Feed(self._frames(), stated_fps(self.stream), self.is_recording)

    def _frames(self) -> Iterator[LiveFrame]:
        with closing(self._received()) as received:
            for _, same in groupby(received, lambda each: (each.frame.width, each.frame.height)):
                aspect = self.stream.sample_aspect_ratio
                for each in deinterlaced(same):
                    yield self._shown(each, aspect)

    def _shown(self, each: _Received, aspect: Fraction | None) -> LiveFrame:
        width, height = displayed_width(each.frame.width, aspect), each.frame.height
        require_few_pixels(self.name, width, height)

        def convert() -> Frame:
            try:
                return each.orientation.apply(to_rgb(each.frame, width))
            except (av.error.FFmpegError, ValueError) as error:
                raise VideoError(f"{self.name}: its frames cannot be converted to RGB ({error})") from None

        return LiveFrame(each.seconds, each.arrived, each.orientation.size_of((width, height)), convert)

    def _received(self) -> Generator[_Received]:
        has_times = Flags.no_timestamps not in Flags(int(self.container.format.flags))
        content = empty_content(self.container, self.stream)
        began: float | None = None
        for packet, arrived in self._packets():
            if packet is not None:
                content.add_video(packet)
            for frame in self._decode(packet):
                if self.is_recording:
                    seconds = content.seconds_of(frame)
                elif self.comes_in_segments:
                    stamp = content.seconds_of(frame)
                    began = arrived if began is None else began
                    time.sleep(max(0.0, min(_LONGEST_PAUSE, began + stamp - time.monotonic())))
                    arrived = time.monotonic()
                    seconds = self.clock.seconds_at(stamp, arrived)
                else:
                    seconds = self.clock.seconds_at(frame.time if has_times else None, arrived)
                yield _Received(frame, seconds, orientation_in(self.name, frame), arrived)

    def _packets(self) -> Iterator[tuple[av.Packet[Any] | None, float]]:
        """The packets of the video with their arrivals; None at an end that the container does not state."""
        unreadable = 0
        latest = time.monotonic()
        while True:
            try:
                for packet in self.container.demux():
                    arrived = time.monotonic()
                    if packet.stream.index == self.stream.index:
                        unreadable = 0
                        latest = arrived
                        yield packet, arrived
                    elif arrived - latest > self.patience and not self.is_recording:
                        raise VideoError(self._stalled())
                return
            except av.error.InvalidDataError:  # no packet; the next one may be one again
                self.on_corrupt()
                unreadable += 1
                if unreadable > _MOST_UNREADABLE:
                    raise VideoError(
                        f"{self.name}: sends data that cannot be read one after the other; expected, for "
                        "example, MPEG-TS (ffmpeg -i FILE -c copy -f mpegts -)"
                    ) from None
            except av.error.ExitError:
                raise VideoError(self._stalled()) from None
            except (av.error.FFmpegError, OSError) as error:
                if self.is_recording and error.errno == errno.EIO and self.container.size <= 0:
                    yield None, time.monotonic()  # without a stated length, the end is a broken connection
                    return
                raise VideoError(f"{self.name}: the connection broke off ({error.strerror})") from None

    def _stalled(self) -> str:
        return f"{self.name}: no frame for {self.patience:g} s"

    def _decode(self, packet: av.Packet[Any] | None) -> Iterator[av.VideoFrame]:
        try:
            frames = self.stream.codec_context.decode(packet)
        except av.error.FFmpegError:
            self.on_corrupt()
            return
        for frame in frames:
            assert isinstance(frame, av.VideoFrame)
            if frame.is_corrupt:
                self.on_corrupt()
            else:
                yield frame
