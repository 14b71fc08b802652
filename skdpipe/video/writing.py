"""Writing of videos."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import av.error

from skdpipe.atomic_file import open_atomically
from skdpipe.errors import VideoError
from skdpipe.video.picture import Frame


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
    frames = iter(frames)
    first = next(frames, None)
    if first is None or fps <= 0:
        raise VideoError(f"{path}: nothing to write; expected frames and a rate above 0 (found {fps})")
    height, width = first.shape[:2]
    if width % 2 or height % 2:
        raise VideoError(f"{path}: cannot write {width}x{height} pixels; crop or pad them to an even size")
    container_format = {"mkv": "matroska"}.get(suffix := path.suffix[1:].lower(), suffix)
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
            for frame in chain([first], frames):
                if frame.shape != first.shape:
                    raise VideoError(f"{path}: frames of {first.shape} and {frame.shape}; expected one size")
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoError(f"{path}: cannot be written ({error}); expected uint8 frames and .mp4") from error
