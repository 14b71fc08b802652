"""Series of numbered images, which are read like a video."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable
from io import BytesIO
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image

from skdpipe.errors import VideoError, in_one_line
from skdpipe.file_digest import sha256_of
from skdpipe.regular_file import kind_of
from skdpipe.video.endings import IMAGE_EXTENSIONS
from skdpipe.video.picture import MOST_PIXELS, Frame, Picture, require_few_pixels
from skdpipe.video.regular_file import require_regular_file

IMAGE_FPS: Final = 30.0
"""Frames per second of a series of images, which states no rate."""

_NUMBERED: Final = re.compile(r"(.*?)([0-9]+)(\.[^.]+)", re.DOTALL)
_NUMBER: Final = re.compile(r"%(?:0([0-9]{1,2}))?d")  # in a pattern such as img_%05d.jpg
_MOST_BYTES: Final = 9 * MOST_PIXELS  # of an image: four channels of 16 bits, and the header
_LISTED: Final = 5  # numbers in an error message


def is_image_series(path: Path) -> bool:
    """Whether a path is read as a series of images: a folder, or a pattern that is not the name of a file."""
    try:
        return kind_of(path) == "folder"
    except (OSError, ValueError):
        return _number_in(path) is not None


def series_in(names: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """The numbered images among the files of a folder, by the text before and after their number."""
    series: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name in sorted(names):
        match = _NUMBERED.fullmatch(name)
        if match and match[3].lower() in IMAGE_EXTENSIONS and not name.startswith("."):
            series[match[1], match[3]].append(name)
    return dict(series)


def images_of(path: Path) -> list[Path]:
    """The images of a series, in the order of their numbers.

    Raises:
        VideoError: if there are none, several series in one folder, or numbers that are missing.
    """
    try:
        is_folder = path.is_dir()
        folder = path if is_folder else path.parent
        names = sorted(each.name for each in folder.iterdir())
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})") from error
    numbers = _numbers_in_folder(path, names) if is_folder else _numbers_of_pattern(path, names)
    first, last = min(numbers), max(numbers)
    if len(numbers) <= last - first:
        missing = (number for number in range(first, last + 1) if number not in numbers)
        some = ", ".join(str(number) for number, _ in zip(missing, range(_LISTED), strict=False))
        raise VideoError(
            f"{path}: {last - first + 1 - len(numbers)} of the images {first} to {last} are missing ({some}"
            f"{', ...' * (last - first + 1 - len(numbers) > _LISTED)}); expected consecutive numbers: add "
            "or renumber them"
        )
    return [folder / numbers[number] for number in range(first, last + 1)]


def read_image(path: Path) -> Frame:
    """An image as RGB ``(height, width, 3)`` uint8, turned upright by its EXIF orientation.

    Raises:
        VideoError: if it cannot be decoded or is larger than 8K.
    """
    require_regular_file(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise VideoError(f"{path}: more than {_MOST_BYTES} bytes; expected one image")
        content = path.read_bytes()
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        with Image.open(BytesIO(content)) as header:
            size = header.size
    except Exception as error:  # Pillow raises many kinds for damaged headers
        raise _unreadable(path, in_one_line(error)) from error
    require_few_pixels(path, *size)
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise _unreadable(path, error.err) from error
    if image is None:
        raise _unreadable(path, "damaged")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _unreadable(path: Path, found: str) -> VideoError:
    return VideoError(f"{path}: not a readable image ({found}); replace or convert the file")


def read_images(path: Path, wanted: Callable[[float], bool]) -> Generator[Picture]:
    """The wanted images of a series.

    Raises:
        VideoError: as `images_of` and `read_image`.
    """
    for number, name in enumerate(images_of(path)):
        seconds = number / IMAGE_FPS
        image = read_image(name)
        yield image if wanted(seconds) else None, (image.shape[1], image.shape[0]), seconds


def key_of_images(path: Path) -> str:
    """The first 32 hexadecimal digits of a digest of the images' names and contents.

    Raises:
        VideoError: as `images_of`, or if an image cannot be read.
    """
    digest = hashlib.sha256(b"images")
    for image in images_of(path):
        require_regular_file(image)
        try:
            content = sha256_of(image)
        except OSError as error:
            raise VideoError(f"{image}: cannot be read ({error.strerror})") from error
        digest.update(f"\0{image.name}\0{content}".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def _numbers_in_folder(folder: Path, names: list[str]) -> dict[int, str]:
    series = series_in(names)
    if not series:
        raise VideoError(
            f"{folder}: cannot be read: a directory without numbered images; expected a video, or images "
            "such as 0001.jpg"
        )
    if len(series) > 1:
        several = ", ".join(first for first, *_ in list(series.values())[:3])
        raise VideoError(
            f"{folder}: {len(series)} series of images ({several}); expected one: name one by a pattern such "
            "as img_%05d.jpg"
        )
    ((before, _), (images)) = next(iter(series.items()))
    return _by_number(folder, {name: name[len(before) :].split(".")[0] for name in images})


def _numbers_of_pattern(pattern: Path, names: list[str]) -> dict[int, str]:
    number = _number_in(pattern)
    assert number is not None
    before, after = pattern.name[: number.start()], pattern.name[number.end() :]
    digits = rf"[0-9]{{{int(number[1] or 1)},}}"
    matches = (re.fullmatch(f"{re.escape(before)}({digits}){re.escape(after)}", name) for name in names)
    found = {match[0]: match[1] for match in matches if match}
    if not found:
        raise VideoError(f"{pattern}: cannot be read: no image has such a name; correct the pattern")
    return _by_number(pattern, found)


def _by_number(path: Path, digits_of: dict[str, str]) -> dict[int, str]:
    """The names by their number."""
    names: dict[int, str] = {}
    for name, digits in digits_of.items():
        if (other := names.setdefault(int(digits), name)) != name:
            raise VideoError(f"{path}: {other} and {name} have the same number; expected one image for each")
    return names


def _number_in(path: Path) -> re.Match[str] | None:
    """The number in a pattern of an image's name; None if the name is no such pattern."""
    found = list(_NUMBER.finditer(path.name))
    return found[0] if len(found) == 1 and path.suffix.lower() in IMAGE_EXTENSIONS else None
