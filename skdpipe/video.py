"""Reading and writing video; the only file that knows the decoder (PyAV, FFmpeg's libraries)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import VideoError

Frame = NDArray[np.uint8]
EXTENSIONS = frozenset(
    {".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp"}
)
_FALLBACK_FPS = 25.0  # for the rare container that states none


@dataclass(frozen=True)
class VideoInfo:
    """What the container says: frames per second, width and height in pixels, frames (0 if unknown)."""

    fps: float
    size: tuple[int, int]
    frames: int


def probe(path: Path) -> VideoInfo:
    """Read a video's header.

    Raises:
        VideoError: if the file cannot be opened or has no picture.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        fps = float(stream.average_rate or stream.guessed_rate or _FALLBACK_FPS)
        frames = stream.frames
        if not frames and container.duration:
            frames = round(container.duration / 1e6 * fps)
        return VideoInfo(fps, (stream.width, stream.height), frames)


def read_frames(path: Path) -> Iterator[Frame]:
    """All frames in order as RGB ``(height, width, 3)`` uint8.

    Raises:
        VideoError: if the file cannot be opened, has no picture, breaks off, or changes its size.
    """
    with _open(path) as container:
        container.streams.video[0].thread_type = "AUTO"
        shape = None
        try:
            for frame in container.decode(video=0):
                picture = frame.to_ndarray(format="rgb24")
                if shape is not None and picture.shape != shape:
                    raise VideoError(
                        f"{path}: the picture changes from {shape} to {picture.shape} in mid-video"
                    )
                shape = picture.shape
                yield np.asarray(picture, np.uint8)
        except av.error.FFmpegError as error:
            raise VideoError(
                f"{path}: decoding broke off ({error.strerror}); convert or replace the file"
            ) from error
        if shape is None:
            raise VideoError(f"{path}: not one frame could be decoded; expected a video with pictures")


def write_video(path: Path, frames: Iterable[Frame], fps: float, *, quality: int = 18) -> None:
    """Write RGB frames as H.264; the same frames give the same file.

    Args:
        path: where to; its folder is made.
        frames: ``(height, width, 3)`` uint8, all of one even size.
        fps: frames per second.
        quality: x264's constant rate factor, 0 (lossless) to 51.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
                stream.width, stream.height, stream.pix_fmt = frame.shape[1], frame.shape[0], "yuv420p"
                stream.options = {"crf": str(quality), "preset": "veryfast", "threads": "1"}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())


def content_key(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes, shortened to 32 digits."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})") from error


def _open(path: Path) -> av.container.InputContainer:
    try:
        container = av.open(str(path))
    except FileNotFoundError as error:
        raise VideoError(f"{path}: no such file") from error
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: not a readable video ({error.strerror})") from error
    if not container.streams.video:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "no streams"
        container.close()
        raise VideoError(f"{path}: has no picture (only {kinds}); expected a video")
    return container
