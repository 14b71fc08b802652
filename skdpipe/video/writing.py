"""Writing of videos."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Final

import av
import av.error

from skdpipe.atomic_file import open_atomically
from skdpipe.errors import VideoError
from skdpipe.video.picture import Frame

_TICKS: Final = 90_000  # of a second, of frames with times of their own
_TIMED: Final = {
    ".mp4": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
}  # containers that store the times of frames


def write_video(path: Path, frames: Iterable[Frame], fps: float, *, quality: int = 18) -> None:
    """Write RGB frames as H.264; equal frames give equal files.

    Args:
        path: the file; its folder is created.
        frames: ``(height, width, 3)`` uint8, one or more, all of one even size. H.264 stores one colour for
            each block of 2x2 pixels, and padding would change the size of the video.
        fps: frames per second.
        quality: x264's constant rate factor, 0 (lossless) to 51.

    Raises:
        VideoError: if the frames do not have this form, or the file's ending is no video's.
        OSError: if the file cannot be written; a former file stays as it is.
    """
    container_format = {"mkv": "matroska"}.get(suffix := path.suffix[1:].lower(), suffix)
    _write(path, ((frame, None) for frame in frames), fps, container_format, quality)


def require_timed_ending(path: Path) -> None:
    """Check that `write_timed_video` can write a file of this name.

    Raises:
        VideoError: if its container does not store the times of frames.
    """
    if path.suffix.lower() not in _TIMED:
        raise VideoError(f"{path}: cannot be written as a video; expected an ending of {', '.join(_TIMED)}")


def write_timed_video(
    path: Path, frames: Iterable[tuple[Frame, float]], fps: float, *, quality: int = 18
) -> None:
    """Write RGB frames as H.264, each with its time, as of a video of variable rate.

    Args:
        path: the file, ``.mp4``, ``.mov`` or ``.mkv``; its folder is created.
        frames: as for `write_video`, with times in seconds, which increase.
        fps: frames per second, about; the last frame is shown for one period.
        quality: x264's constant rate factor, 0 (lossless) to 51.

    Raises:
        VideoError: if the frames do not have this form, or the ending is another one.
        OSError: if the file cannot be written; a former file stays as it is.
    """
    require_timed_ending(path)
    timed = ((frame, round(seconds * _TICKS)) for frame, seconds in frames)
    _write(path, timed, fps, _TIMED[path.suffix.lower()], quality)


def _write(
    path: Path, frames: Iterable[tuple[Frame, int | None]], fps: float, container_format: str, quality: int
) -> None:
    """Write frames with their times in ticks, or without times at a constant rate."""
    frames = iter(frames)
    first = next(frames, None)
    if first is None or fps <= 0:
        raise VideoError(f"{path}: nothing to write; expected frames and a rate above 0 (found {fps})")
    height, width = first[0].shape[:2]
    if width % 2 or height % 2:
        raise VideoError(f"{path}: cannot write {width}x{height} pixels; crop or pad them to an even size")
    try:
        with (
            open_atomically(path) as file,
            av.open(file, "w", format=container_format) as container,
        ):
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.options = {
                "crf": str(quality),
                "preset": "veryfast",
                "threads": "1",
                "x264-params": "cpu-independent=1",  # without it, equal frames sometimes give other bytes
            }
            if first[1] is not None:
                stream.codec_context.time_base = Fraction(1, _TICKS)
            for frame, ticks in chain([first], frames):
                if frame.shape != first[0].shape:
                    raise VideoError(
                        f"{path}: frames of {first[0].shape} and {frame.shape}; expected one size"
                    )
                picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
                if ticks is not None:
                    picture.pts, picture.time_base = ticks, Fraction(1, _TICKS)
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoError(f"{path}: cannot be written ({error}); expected uint8 frames and .mp4") from error
