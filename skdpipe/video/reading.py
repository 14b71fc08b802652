"""Reading of videos, whatever they are stored in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import av.error

from skdpipe.errors import VideoError
from skdpipe.skeleton.timing import Timing, timing_of
from skdpipe.video.container import (
    LONGEST,
    decode,
    fps_of,
    open_container,
    packet_times,
    stated_frames,
    use_threads,
)
from skdpipe.video.images import (
    IMAGE_FPS,
    images_of,
    is_image_series,
    key_of_images,
    read_image,
    read_images,
)
from skdpipe.video.picture import Frame, deinterlaced, displayed_width, require_few_pixels, to_rgb
from skdpipe.video.regular_file import require_regular_file


@dataclass(frozen=True)
class VideoInfo:
    """Metadata of a video.

    Attributes:
        fps: frames per second according to the container; 30 for a series of images.
        size: width and height in pixels of the frames as `read_frames` returns them, unless `probe` was
            called for stored pixels.
        frames: number of frames according to the container, 0 if unknown.
    """

    fps: float
    size: tuple[int, int]
    frames: int


def probe(path: Path, *, square_pixels: bool = True) -> VideoInfo:
    """Read the header and the first frame of a video.

    Args:
        path: the video.
        square_pixels: if False, the size is that of the stored pixels, upright: of the frames in OpenCV and
            in the estimators that read videos with it, which ignore the sample aspect ratio.

    Raises:
        VideoError: if the file cannot be opened, has no video stream, or its first frame cannot be decoded.
    """
    if is_image_series(path):
        images = images_of(path)
        height, width = read_image(images[0]).shape[:2]
        return VideoInfo(IMAGE_FPS, (width, height), len(images))
    with open_container(path) as (container, stream):
        fps = fps_of(stream)
        frames = stated_frames(path, container, stream)
        with closing(decode(path, container, stream, warn=False)) as decoded:
            first = next(decoded)
        aspect = stream.sample_aspect_ratio if square_pixels else None
        width = displayed_width(first.frame.width, aspect)
        require_few_pixels(path, width, first.frame.height)
        return VideoInfo(fps, first.orientation.size_of((width, first.frame.height)), frames)


def read_frames(path: Path) -> Generator[Frame]:
    """Decode all frames in order as RGB ``(height, width, 3)`` uint8, as a player shows them.

    Frames are rotated and mirrored by the display matrix, scaled in width to square pixels, and deinterlaced.
    Of a truncated file in a container without an index (Matroska, WebM, MPEG-TS, ...) the frames that are
    there are read, and a warning states how much is missing; a truncated MP4 or AVI is an error.

    Raises:
        VideoError: if the file cannot be opened, has no video stream, is damaged, or has frames of several
            sizes.
    """
    with closing(read_timed_frames(path)) as frames:
        for image, _ in frames:
            yield image


@overload
def read_timed_frames(path: Path) -> Generator[tuple[Frame, float]]: ...


@overload
def read_timed_frames(
    path: Path, wanted: Callable[[float], bool]
) -> Generator[tuple[Frame | None, float]]: ...


def read_timed_frames(
    path: Path, wanted: Callable[[float], bool] | None = None
) -> Generator[tuple[Frame | None, float]]:
    """The frames as `read_frames` returns them, with their times in seconds since the first frame.

    Args:
        path: the video.
        wanted: called once for each frame, in order, with its time; None stands in the place of a frame that
            is not wanted.

    Raises:
        VideoError: as `read_frames`.
    """
    choose = wanted or _every
    size = None
    images = read_images(path, choose) if is_image_series(path) else _read_file(path, choose)
    with closing(images) as frames:
        for image, found, seconds in frames:
            if size is not None and found != size:
                raise VideoError(
                    f"{path}: the frame size changes from {size[0]}x{size[1]} to {found[0]}x{found[1]}; "
                    "convert the video to one size"
                )
            size = found
            yield image, seconds


def _every(seconds: float) -> bool:
    return True


def _read_file(
    path: Path, wanted: Callable[[float], bool]
) -> Generator[tuple[Frame | None, tuple[int, int], float]]:
    """The wanted frames of a file, and the sizes and times of all."""
    with open_container(path) as (container, stream):
        use_threads(stream)
        aspect = stream.sample_aspect_ratio
        with closing(decode(path, container, stream, warn=True)) as decoded:
            try:
                for each in deinterlaced(decoded):
                    width = displayed_width(each.frame.width, aspect)
                    require_few_pixels(path, width, each.frame.height)
                    size = each.orientation.size_of((width, each.frame.height))
                    chosen = wanted(each.seconds)
                    image = each.orientation.apply(to_rgb(each.frame, width)) if chosen else None
                    yield image, size, each.seconds
            except (av.error.FFmpegError, ValueError) as error:
                raise VideoError(
                    f"{path}: its frames cannot be converted to RGB ({error}); convert the video"
                ) from error


def measure_timing(path: Path) -> Timing:
    """When the frames of a video were taken.

    The times of the packets are read; only if these are not evenly spaced, the video is decoded.

    Raises:
        VideoError: as `read_frames`.
    """
    if is_image_series(path):
        return Timing(IMAGE_FPS)
    with open_container(path) as (container, stream):
        fps = fps_of(stream)
        times = packet_times(container, stream)
    if times and 0 < times[-1] - times[0] <= LONGEST and (timing := timing_of(times, fps)).times is None:
        return timing
    with open_container(path) as (container, stream):
        use_threads(stream)
        return timing_of([each.seconds for each in decode(path, container, stream, warn=False)], fps)


def content_key(path: Path) -> str:
    """The first 32 hexadecimal digits of the sha256 of a file, or of the names and contents of images.

    Raises:
        VideoError: if the file cannot be read.
    """
    if is_image_series(path):
        return key_of_images(path)
    require_regular_file(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})") from error
