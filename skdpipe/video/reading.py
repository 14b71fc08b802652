"""Reading of videos, whatever they are stored in."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import overload

import av.error

from skdpipe.errors import VideoError
from skdpipe.file_digest import sha256_of
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
from skdpipe.video.picture import (
    Decoded,
    Frame,
    Picture,
    deinterlaced,
    displayed_width,
    require_few_pixels,
    to_rgb,
)
from skdpipe.video.regular_file import require_regular_file
from skdpipe.video.sampled import Outline, UnforeseenFrameError, decode_wanted, outline_of

Sampling = Callable[[], Callable[[float], bool]]
"""Begins a choice of frames: returns a function that is called once for each frame, in order, with its time
in seconds, and returns whether the frame is chosen. A second choice for the same times must be the same."""


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
def read_timed_frames(path: Path, sampling: Sampling | None) -> Generator[tuple[Frame | None, float]]: ...


def read_timed_frames(path: Path, sampling: Sampling | None = None) -> Generator[tuple[Frame | None, float]]:
    """The frames as `read_frames` returns them, with their times in seconds since the first frame.

    Args:
        path: the video.
        sampling: None stands in the place of a frame that it does not choose. Of MP4 and AVI, damage to
            frames is not noticed if no chosen frame needs them.

    Raises:
        VideoError: as `read_frames`; if the frames turn out not to be those that the index states after some
            of them were returned.
    """
    size = None
    images = read_images(path, (sampling or _all)()) if is_image_series(path) else _read_file(path, sampling)
    with closing(images) as frames:
        for image, found, seconds in frames:
            if size is not None and found not in (size, None):
                raise VideoError(
                    f"{path}: the frame size changes from {size[0]}x{size[1]} to {found[0]}x{found[1]}; "
                    "convert the video to one size"
                )
            size = found or size
            yield image, seconds


def _all() -> Callable[[float], bool]:
    return lambda seconds: True


def _read_file(path: Path, sampling: Sampling | None) -> Generator[Picture]:
    """The chosen frames of a file. If it is not decoded as foreseen, it is decoded again in full."""
    given, chosen = array("d"), bytearray()  # the times so far, and whether the frames were chosen
    if sampling is not None:
        with open_container(path) as (container, stream):
            outline = outline_of(container, stream)
        if outline is not None:
            with suppress(UnforeseenFrameError), closing(_read_wanted(path, outline, sampling())) as pictures:
                for image, size, seconds in pictures:
                    yield image, size, seconds
                    given.append(seconds)
                    chosen.append(image is not None)
                return
    before = zip(given, chosen, strict=True)
    with closing(_read_in_full(path, (sampling or _all)())) as pictures:
        for image, size, seconds in pictures:
            expected = next(before, None)
            if expected is None:
                yield image, size, seconds
            elif expected != (seconds, image is not None):
                raise _damaged(path)
    if next(before, None) is not None:
        raise _damaged(path)


def _damaged(path: Path) -> VideoError:
    return VideoError(
        f"{path}: its frames are not those that its index states; expected a file without damage: download "
        "or convert it again"
    )


def _read_in_full(path: Path, wanted: Callable[[float], bool]) -> Generator[Picture]:
    with open_container(path) as (container, stream), _conversion_of(path):
        use_threads(stream)
        aspect = stream.sample_aspect_ratio
        with closing(decode(path, container, stream, warn=True)) as decoded:
            for each in deinterlaced(decoded):
                yield _shown(path, each, aspect, wanted(each.seconds))


def _read_wanted(path: Path, outline: Outline, wanted: Callable[[float], bool]) -> Generator[Picture]:
    chosen = [wanted(seconds) for seconds in outline.seconds]
    with open_container(path) as (container, stream), _conversion_of(path):
        use_threads(stream)
        aspect = stream.sample_aspect_ratio
        with closing(decode_wanted(path, container, stream, outline, chosen)) as decoded:
            for each, seconds in zip(decoded, outline.seconds, strict=True):
                yield (None, None, seconds) if each is None else _shown(path, each, aspect, True)


def _shown(path: Path, each: Decoded, aspect: Fraction | None, wanted: bool) -> Picture:
    width, height = displayed_width(each.frame.width, aspect), each.frame.height
    require_few_pixels(path, width, height)
    image = each.orientation.apply(to_rgb(each.frame, width)) if wanted else None
    return image, each.orientation.size_of((width, height)), each.seconds


@contextmanager
def _conversion_of(path: Path) -> Iterator[None]:
    try:
        yield
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoError(
            f"{path}: its frames cannot be converted to RGB ({error}); convert the video"
        ) from error


def measure_timing(path: Path) -> Timing:
    """When the frames of a video were taken.

    The times of the packets are read. The video is decoded only if these are not evenly spaced, and its
    frames may have other times.

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
        outline = outline_of(container, stream)
    if outline is not None:
        return timing_of(outline.seconds, fps)
    with open_container(path) as (container, stream):
        use_threads(stream)
        return timing_of([each.seconds for each in decode(path, container, stream, warn=False)], fps)


def measure_duration(path: Path) -> float:
    """Length of a video in seconds, from its first frame to the end of its last one.

    It is that of the packets in the file, which a header may promise more of. A video without times, such as
    a bare H.264 stream, is decoded.

    Raises:
        VideoError: as `probe`.
    """
    info = probe(path)
    if is_image_series(path):
        return info.frames / info.fps
    with open_container(path) as (container, stream):
        times = packet_times(container, stream)
    if not times:
        with closing(read_timed_frames(path, lambda: lambda seconds: False)) as frames:
            times = [seconds for _, seconds in frames]
    return times[-1] - times[0] + 1 / info.fps


def content_key(path: Path) -> str:
    """The first 32 hexadecimal digits of the sha256 of a file, or of the names and contents of images.

    Raises:
        VideoError: if the file cannot be read.
    """
    if is_image_series(path):
        return key_of_images(path)
    require_regular_file(path)
    try:
        return sha256_of(path)[:32]
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})") from error
