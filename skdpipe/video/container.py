"""Opening of video files, and decoding of their frames with times."""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import av
import av.error
import av.packet
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from skdpipe.errors import VideoError
from skdpipe.video.picture import MOST_PIXELS, Decoded, orientation_of, require_few_pixels
from skdpipe.video.promise import ends_inside_packet, is_joinable, is_short, stated_duration
from skdpipe.video.regular_file import require_regular_file

_FALLBACK_FPS: Final = 25.0  # for containers that do not state a rate
_BELIEVED_FPS: Final = 1 / 86_400, 10_000.0  # the header of raw DV states 60,000
_MOST_IN_THREADS: Final = 4096 * 2304  # pixels
LONGEST: Final = 366 * 86_400.0  # seconds; a frame beyond a year has a damaged time

# FFmpeg's containers that are opened: those of `EXTENSIONS`, some that are recognised by their content, and
# single images. None of them opens another file, as playlists, scripts and lists of files do.
_FORMATS: Final = (
    "mov,matroska,avi,flv,live_flv,kux,ogg,mpegts,mpeg,mpegvideo,asf,mxf,gxf,dv,rm,nut,wtv,yuv4mpegpipe,ivf,"
    "gif,apng,mjpeg,mpjpeg,h261,h263,h264,hevc,m4v,vc1,vvc,av1,obu,dirac,swf,nsv,pva,"
    "bmp_pipe,j2k_pipe,jpeg_pipe,pgm_pipe,png_pipe,ppm_pipe,tiff_pipe,webp_pipe"
)
_READ_ONE_FILE: Final = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
_LIMITS: Final = {"max_pixels": str(MOST_PIXELS)}  # of decoders
_INDEXED: Final = frozenset({"mov", "avi"})  # a truncated file lacks its index, or has an index of more
_MOST_INCOMPLETE: Final = 16  # frames at the end; more of them in a row are only marked as incomplete
_MOST_EMPTY: Final = 10_000  # packets in a row without a frame
_LONGEST_SEARCH: Final = 8.0  # seconds for the header, and then for each packet
_JUMP_BACK: Final = 0.5  # seconds by which the times of a joined piece are at least before the last time
_JUMP_AHEAD: Final = 10.0  # the same after the last time; as FFmpeg's -dts_delta_threshold


def url_of(path: Path) -> str:
    """The path as a URL; FFmpeg would parse ``take 1: wave.mp4`` as a network protocol."""
    return f"file:{path}"


@contextmanager
def open_container(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its best video stream according to FFmpeg.

    Raises:
        VideoError: if the file cannot be opened, has no video stream, or states pictures larger than 8K.
    """
    require_regular_file(path)
    try:
        container = av.open(
            url_of(path),
            metadata_errors="replace",
            container_options=_READ_ONE_FILE,
            options=_LIMITS,
            timeout=_LONGEST_SEARCH,
        )
    except av.error.ArgumentError as error:  # not one of the formats
        raise VideoError(
            f"{path}: not a readable video (text, a playlist or an unknown container); expected a video file"
        ) from error
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: not a readable video ({_why(error)})") from error
    with container:
        stream = container.streams.best("video")
        covers = Disposition.attached_pic | Disposition.timed_thumbnails
        if not isinstance(stream, VideoStream) or stream.disposition & covers:
            found = ", ".join(sorted({each.type for each in container.streams})) or "nothing"
            raise VideoError(f"{path}: has no video stream (found {found}); expected a video")
        if stream.codec_context is None:  # accessing the decoder would crash the process
            raise VideoError(
                f"{path}: this FFmpeg has no decoder for the codec; convert the video, for example to H.264"
            )
        require_few_pixels(path, stream.width, stream.height)
        stream.codec_context.options = _LIMITS
        try:
            yield container, stream
        finally:
            # The decoder's threads log errors with Python's lock, which its destruction holds: they must be
            # idle by then.
            stream.codec_context.flush_buffers()


def _why(error: OSError | av.error.FFmpegError) -> str | None:
    if isinstance(error, av.error.ExitError):
        return f"nothing was found in {_LONGEST_SEARCH:g} s"
    return error.strerror


def use_threads(stream: VideoStream) -> None:
    """Decode several frames at once, unless they are larger than 4K: each thread keeps some in memory."""
    if stream.width * stream.height <= _MOST_IN_THREADS:
        stream.thread_type = "AUTO"


def fps_of(stream: VideoStream) -> float:
    """Frames per second according to the container, 25 if it states none that can be believed."""
    lowest, highest = _BELIEVED_FPS
    rates = (float(rate or 0) for rate in (stream.average_rate, stream.guessed_rate))
    return next((rate for rate in rates if lowest <= rate < highest), _FALLBACK_FPS)


def stated_frames(path: Path, container: InputContainer, stream: VideoStream) -> int:
    """Number of frames according to the container; 0 if it states none, or more than the file has bytes."""
    frames = stream.frames
    if not frames and container.duration:
        frames = round(container.duration / 1e6 * fps_of(stream))
    return frames if 0 < frames <= path.stat().st_size else 0


def packet_times(container: InputContainer, stream: VideoStream) -> list[float] | None:
    """The times of the packets in seconds, sorted. Nothing is decoded.

    Returns:
        None if a packet has no time or cannot be read.
    """
    times: list[float] = []
    try:
        for packet in container.demux(stream):
            stamp = packet.dts if packet.pts is None else packet.pts
            if packet.size and not packet.is_discard:
                if stamp is None or packet.time_base is None:
                    return None
                times.append(float(stamp * packet.time_base))
    except av.error.FFmpegError:
        return None
    return sorted(times)


def decode(path: Path, container: InputContainer, stream: VideoStream, *, warn: bool) -> Generator[Decoded]:
    """The frames of a video in order.

    The times increase. A missing time, or one that does not increase, is one frame period after the time
    before. The times of a file that was joined from pieces continue in the same way where they jump.

    In containers with an index (MP4, AVI) an error of the decoder or a truncated file is an error. Other
    containers are read to their last complete frame, without the packets that cannot be decoded; a warning
    states what is missing.

    Args:
        path: of the file, for messages.
        container, stream: from `open_container`.
        warn: whether to warn if frames are missing.

    Raises:
        VideoError: if no frame can be decoded, the file has an index and is damaged, a time is absurd, or the
            display matrix is none of the eight of players.
    """
    names = {*container.format.name.split(",")}
    indexed = bool(_INDEXED & names)
    clock = _Clock(1 / fps_of(stream), is_joinable(container))
    content = _Content(clock, deque() if "avi" in names else None)
    try:
        for frame in _frames(path, container, stream, content, indexed=indexed):
            try:
                orientation = orientation_of(frame)
            except ValueError as error:
                raise VideoError(
                    f"{path}: {error}; expected a rotation by a multiple of 90 degrees, or a mirror: convert "
                    "the video"
                ) from error
            seconds = content.seconds_of(frame)
            if seconds > LONGEST:
                raise VideoError(
                    f"{path}: frame {content.frames} is {seconds:.3g} s after the first one; expected "
                    "at most a year: the times are damaged, convert the video"
                )
            yield Decoded(frame, seconds, orientation)
    except av.error.FFmpegError as error:
        if indexed or not content.frames:
            raise VideoError(
                f"{path}: decoding failed ({_why(error)}); convert or replace the file"
            ) from error
    if not content.frames:
        raise VideoError(f"{path}: no frame could be decoded; expected a video with one frame or more")
    if warn:
        for line in content.missing(path, container):
            warnings.warn(f"{path}: {line}", UserWarning, stacklevel=2)


def _frames(
    path: Path, container: InputContainer, stream: VideoStream, content: _Content, *, indexed: bool
) -> Iterator[av.VideoFrame]:
    """The frames, without the incomplete ones at the end of a container without an index."""
    incomplete: list[av.VideoFrame] = []
    empty = 0
    audio = [] if indexed else list(container.streams.audio)
    for packet in container.demux([stream, *audio]):
        if packet.stream.index != stream.index:
            content.add_audio(packet)
            continue
        if packet.is_corrupt and indexed:
            raise VideoError(f"{path}: the file is truncated or damaged; download or convert it again")
        content.add_video(packet)
        empty += 1
        if empty > _MOST_EMPTY:
            raise VideoError(f"{path}: {_MOST_EMPTY} packets in a row without a frame; replace the file")
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            if indexed:
                raise
            content.undecodable += 1
            continue
        for frame in frames:
            assert isinstance(frame, av.VideoFrame)
            empty = 0
            incomplete.append(frame)
            if indexed or not frame.is_corrupt or len(incomplete) > _MOST_INCOMPLETE:
                yield from incomplete
                incomplete.clear()
    content.incomplete = len(incomplete)


@dataclass
class _Clock:
    """Turns the timestamps of frames into seconds since the first frame, which increase.

    Attributes:
        period: seconds from one frame to the next.
        joined: whether files of this container may be joined from pieces.
    """

    period: float
    joined: bool
    _last: float | None = None
    _offset: float | None = None

    def seconds_at(self, stamp: float | None) -> float:
        """The time of the next frame.

        Args:
            stamp: its timestamp in seconds, None if it has none.
        """
        following = 0.0 if self._last is None else self._last + self.period
        seconds = following
        if stamp is not None:
            if self._offset is None:
                self._offset = following - stamp
            jump = stamp + self._offset - (self._last or 0.0)
            if jump < -_JUMP_BACK or (self.joined and jump > _JUMP_AHEAD):
                self._offset = following - stamp
            elif jump > 0:
                seconds = stamp + self._offset
        self._last = seconds
        return seconds


@dataclass
class _Content:
    """What was found in a file.

    Attributes:
        clock: of its frames.
        slots: timestamps of the packets whose frames were not yet returned, in seconds; None if the frames
            themselves have valid ones. (AVI stores frames in decoding order without their times, and FFmpeg's
            guess is wrong for H.264 with B-frames.)
        frames: number of frames decoded.
        first: timestamp of the first frame in seconds.
        last: seconds from the first to the last frame.
        duration: timestamp and duration of the latest packet with a duration, in seconds.
        audio: for each audio stream the timestamp of its first packet, and its duration, in seconds.
        undecodable: number of packets that the decoder refused.
        damaged: number of returned frames that the decoder could not decode completely.
        incomplete: number of incomplete frames at the end.
    """

    clock: _Clock
    slots: deque[float] | None
    frames: int = 0
    first: float = 0.0
    last: float = 0.0
    duration: tuple[float, float] = (-math.inf, 0.0)
    audio: dict[int, tuple[float, float]] = field(default_factory=dict)
    undecodable: int = 0
    damaged: int = 0
    incomplete: int = 0

    def seconds_of(self, frame: av.VideoFrame) -> float:
        """The time of the next frame."""
        stamp = frame.dts if frame.pts is None else frame.pts
        time = None if stamp is None or frame.time_base is None else float(stamp * frame.time_base)
        if self.slots is not None:
            time = self.slots.popleft() if self.slots else None
        self.last = self.clock.seconds_at(time)
        if not self.frames:
            self.first = time or 0.0
        self.frames += 1
        self.damaged += frame.is_corrupt
        return self.last

    @property
    def end(self) -> float:
        """Seconds from the start of the first to the end of the last frame."""
        return self.last + (self.duration[1] or self.clock.period)

    def add_video(self, packet: av.packet.Packet[Any]) -> None:
        """Take note of when and how long a frame is displayed."""
        base = float(packet.time_base or 0)
        if self.slots is not None and packet.size and packet.dts is not None:
            self.slots.append(packet.dts * base)
        if packet.pts is not None and packet.duration:
            self.duration = max(self.duration, (packet.pts * base, packet.duration * base))

    def add_audio(self, packet: av.packet.Packet[Any]) -> None:
        """Count the sound of a packet."""
        base = float(packet.time_base or 0)
        start, seconds = self.audio.get(packet.stream.index, ((packet.pts or 0) * base, 0.0))
        self.audio[packet.stream.index] = start, seconds + (packet.duration or 0) * base

    def missing(self, path: Path, container: InputContainer) -> list[str]:
        """What a warning should state, a line for each."""
        found = f"{self.end:.1f} s of video ({self.frames} frames)"
        advice = "the file is probably truncated: download or convert it again"
        stated = stated_duration(path, container) - max(0.0, self.first)
        audible = max((self._sound_beside(*audio) for audio in self.audio.values()), default=0.0)
        lines = []
        if is_short(self.end, stated):
            lines.append(f"{found}, but the container states {stated:.1f} s; {advice}")
        elif is_short(self.end, audible):
            lines.append(f"{found}, but {audible:.1f} s of audio; {advice}")
        elif self.incomplete:
            lines.append(f"{found}, and an incomplete frame at the end, which is left out; {advice}")
        elif ends_inside_packet(path, container):
            lines.append(f"{found}, and an incomplete packet at the end; {advice}")
        if self.damaged or self.undecodable:
            lines.append(
                f"{found}, of which {self.damaged} are damaged; {self.undecodable} packets cannot be "
                "decoded: download the file again if possible"
            )
        return lines

    def _sound_beside(self, start: float, seconds: float) -> float:
        """Seconds of an audio stream from the first frame on."""
        late = self.first - start
        return seconds - (late if 0 < late < _JUMP_AHEAD else 0.0)
