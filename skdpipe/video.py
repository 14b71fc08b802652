"""Reading and writing of videos; the only file that imports the decoder (PyAV, the libraries of FFmpeg)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from skdpipe.errors import VideoError

Frame = NDArray[np.uint8]
EXTENSIONS = frozenset(
    {".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp"}
)
_FALLBACK_FPS = 25.0  # for containers that do not state a rate


@dataclass(frozen=True)
class VideoInfo:
    """Metadata of a video according to its container.

    Attributes:
        fps: frames per second.
        size: width and height in pixels, before the frames of a phone are rotated upright.
        frames: number of frames, 0 if unknown.
    """

    fps: float
    size: tuple[int, int]
    frames: int


def probe(path: Path) -> VideoInfo:
    """Read the header of a video.

    Raises:
        VideoError: if the file cannot be opened or has no video stream.
    """
    with _open(path) as (container, stream):
        fps = float(stream.average_rate or stream.guessed_rate or _FALLBACK_FPS)
        frames = stream.frames
        if not frames and container.duration:
            frames = round(container.duration / 1e6 * fps)
        return VideoInfo(fps, (stream.width, stream.height), frames)


def read_frames(path: Path) -> Iterator[Frame]:
    """Decode all frames in order as RGB ``(height, width, 3)`` uint8, rotated upright as in a player.

    A truncated file is an error if the container detects it (MP4, AVI); Matroska does not.

    Raises:
        VideoError: if the file cannot be opened, has no video stream, is truncated, or has frames of several
            sizes.
    """
    with _open(path) as (container, stream):
        stream.thread_type = "AUTO"
        shape = None
        try:
            for packet in container.demux(stream):
                if packet.is_corrupt:
                    raise VideoError(
                        f"{path}: the file is truncated or damaged; download or convert it again"
                    )
                for frame in packet.decode():
                    image = _rotate_upright(frame)
                    if shape is not None and image.shape != shape:
                        raise VideoError(
                            f"{path}: the frame size changes from {shape[1]}x{shape[0]} to "
                            f"{image.shape[1]}x{image.shape[0]}; convert the video to one size"
                        )
                    shape = image.shape
                    yield image
        except av.error.FFmpegError as error:
            raise VideoError(
                f"{path}: decoding failed ({error.strerror}); convert or replace the file"
            ) from error
        if shape is None:
            raise VideoError(f"{path}: no frame could be decoded; expected a video with one frame or more")


def write_video(path: Path, frames: Iterable[Frame], fps: float, *, quality: int = 18) -> None:
    """Write RGB frames as H.264; equal frames give equal files.

    Args:
        path: the file; its folder is created.
        frames: ``(height, width, 3)`` uint8, one or more, all of one even size. H.264 stores one colour for
            each block of 2x2 pixels, and padding would change the size of the video.
        fps: frames per second.
        quality: x264's constant rate factor, 0 (lossless) to 51.

    Raises:
        VideoError: if the frames do not have this form, or the file cannot be written.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None or fps <= 0:
        raise VideoError(f"{path}: nothing to write; expected frames and a rate above 0 (found {fps})")
    height, width = first.shape[:2]
    if width % 2 or height % 2:
        raise VideoError(f"{path}: cannot write {width}x{height} pixels; crop or pad them to an even size")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with av.open(_url(path), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.options = {
                "crf": str(quality),
                "preset": "veryfast",
                "threads": "1",
                "x264-params": "cpu-independent=1",  # without it, equal frames sometimes give other bytes
            }
            for frame in chain([first], frames):
                if frame.shape != first.shape:
                    raise VideoError(f"{path}: frames of {first.shape} and {frame.shape}; expected one size")
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoError(f"{path}: cannot be written ({error}); expected uint8 frames and .mp4") from error


def content_key(path: Path) -> str:
    """The first 32 hexadecimal digits of the sha256 of a file.

    Raises:
        VideoError: if the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})") from error


@contextmanager
def _open(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its best video stream according to FFmpeg."""
    try:
        container = av.open(_url(path))
    except FileNotFoundError as error:
        raise VideoError(f"{path}: no such file") from error
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: not a readable video ({error.strerror})") from error
    with container:
        stream = container.streams.best("video")
        covers = Disposition.attached_pic | Disposition.timed_thumbnails
        if not isinstance(stream, VideoStream) or stream.disposition & covers or _is_text(container):
            kinds = ", ".join(sorted({each.type for each in container.streams})) or "nothing"
            found = "text" if _is_text(container) else kinds
            raise VideoError(f"{path}: has no video stream (found {found}); expected a video")
        if stream.codec_context is None:  # accessing the decoder would crash the process
            raise VideoError(
                f"{path}: this FFmpeg has no decoder for the codec; convert the video, for example to H.264"
            )
        yield container, stream


def _url(path: Path) -> str:
    """The path as a URL; FFmpeg would parse ``take 1: wave.mp4`` as a network protocol."""
    return f"file:{path}"


def _is_text(container: InputContainer) -> bool:
    """Whether FFmpeg would decode the file as text on a terminal."""
    return container.format.name == "tty"


def _rotate_upright(frame: av.VideoFrame) -> Frame:
    """The frame as RGB, rotated according to the video's metadata."""
    image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
