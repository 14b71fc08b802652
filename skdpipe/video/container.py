"""Opening of video files, and decoding of their frames with times."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from skdpipe.errors import VideoError
from skdpipe.video.content import Clock, Content
from skdpipe.video.picture import MOST_PIXELS, Decoded, Orientation, orientation_of, require_few_pixels
from skdpipe.video.promise import is_joinable
from skdpipe.video.regular_file import require_regular_file

_FALLBACK_FPS: Final = 25.0  # for containers that do not state a rate
_BELIEVED_FPS: Final = 1 / 86_400, 10_000.0  # the header of raw DV states 60,000
_MOST_IN_THREADS: Final = 4096 * 2304  # pixels
LONGEST: Final = 366 * 86_400.0  # seconds; a frame beyond a year has a damaged time

# FFmpeg's containers that are opened: those of `EXTENSIONS`, some that are recognised by their content, and
# single images. None of them opens another file, as playlists, scripts and lists of files do.
FORMATS: Final = (
    "mov,matroska,avi,flv,live_flv,kux,ogg,mpegts,mpeg,mpegvideo,asf,mxf,gxf,dv,rm,nut,wtv,yuv4mpegpipe,ivf,"
    "gif,apng,mjpeg,mpjpeg,h261,h263,h264,hevc,m4v,vc1,vvc,av1,obu,dirac,swf,nsv,pva,"
    "bmp_pipe,j2k_pipe,jpeg_pipe,pgm_pipe,png_pipe,ppm_pipe,tiff_pipe,webp_pipe"
)
_READ_ONE_FILE: Final = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
LIMITS: Final = {"max_pixels": str(MOST_PIXELS)}  # of decoders
_INDEXED: Final = frozenset({"mov", "avi"})  # a truncated file lacks its index, or has an index of more
_MOST_INCOMPLETE: Final = 16  # frames at the end; more of them in a row are only marked as incomplete
_MOST_EMPTY: Final = 10_000  # packets in a row without a frame
_LONGEST_SEARCH: Final = 8.0  # seconds for the header, and then for each packet


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
            options=LIMITS,
            timeout=_LONGEST_SEARCH,
        )
    except av.error.ArgumentError as error:  # not one of the formats
        raise VideoError(
            f"{path}: not a readable video (text, a playlist or an unknown container); expected a video file"
        ) from error
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: not a readable video ({_why(error)})") from error
    with container, video_of(str(path), container) as stream:
        yield container, stream


@contextmanager
def video_of(name: str, container: InputContainer) -> Iterator[VideoStream]:
    """The best video stream of a container according to FFmpeg, with limits for its decoder.

    Args:
        name: of the container, for messages.

    Raises:
        VideoError: if the container has no video stream, or states pictures larger than 8K.
    """
    stream = container.streams.best("video")
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    if not isinstance(stream, VideoStream) or stream.disposition & covers:
        found = ", ".join(sorted({each.type for each in container.streams})) or "nothing"
        raise VideoError(f"{name}: has no video stream (found {found}); expected a video")
    if stream.codec_context is None:  # accessing the decoder would crash the process
        raise VideoError(
            f"{name}: this FFmpeg has no decoder for the codec; convert the video, for example to H.264"
        )
    require_few_pixels(name, stream.width, stream.height)
    stream.codec_context.options = LIMITS
    try:
        yield stream
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
    return stated_fps(stream) or _FALLBACK_FPS


def stated_fps(stream: VideoStream) -> float | None:
    """Frames per second according to the container, None if it states none that can be believed."""
    lowest, highest = _BELIEVED_FPS
    rates = (float(rate or 0) for rate in (stream.average_rate, stream.guessed_rate))
    return next((rate for rate in rates if lowest <= rate < highest), None)


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


def has_index(container: InputContainer) -> bool:
    """Whether a container has an index, by which a truncated file is known."""
    return bool(_INDEXED & {*container.format.name.split(",")})


def empty_content(container: InputContainer, stream: VideoStream) -> Content:
    """The content of a file of which nothing was read."""
    clock = Clock(1 / fps_of(stream), is_joinable(container))
    return Content(clock, deque() if container.format.name == "avi" else None)


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
    indexed = has_index(container)
    content = empty_content(container, stream)
    try:
        for frame in _frames(path, container, stream, content, indexed=indexed):
            seconds = content.seconds_of(frame)
            if seconds > LONGEST:
                raise VideoError(
                    f"{path}: frame {content.frames} is {seconds:.3g} s after the first one; expected "
                    "at most a year: the times are damaged, convert the video"
                )
            yield oriented(path, frame, seconds)
    except av.error.FFmpegError as error:
        if indexed or not content.frames:
            raise VideoError(
                f"{path}: decoding failed ({_why(error)}); convert or replace the file"
            ) from error
    if not content.frames:
        raise VideoError(f"{path}: no frame could be decoded; expected a video with one frame or more")
    if warn:
        content.warn(path, container)


def oriented(path: Path, frame: av.VideoFrame, seconds: float) -> Decoded:
    """A frame with its time and its orientation.

    Raises:
        VideoError: if the display matrix is none of the eight of players.
    """
    return Decoded(frame, seconds, orientation_in(str(path), frame))


def orientation_in(name: str, frame: av.VideoFrame) -> Orientation:
    """The orientation of a frame.

    Args:
        name: of the video, for messages.

    Raises:
        VideoError: if the display matrix is none of the eight of players.
    """
    try:
        return orientation_of(frame)
    except ValueError as error:
        raise VideoError(
            f"{name}: {error}; expected a rotation by a multiple of 90 degrees, or a mirror: convert "
            "the video"
        ) from error


def _frames(
    path: Path, container: InputContainer, stream: VideoStream, content: Content, *, indexed: bool
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
