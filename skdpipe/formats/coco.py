"""COCO's keypoint results: the people detected in images, one JSON list for a whole data set.

https://cocodataset.org/#format-results: ``{"image_id", "category_id", "keypoints": [x, y, c] * 17, "score"}``
for each detected person. An images file, ``{"images": [{"id", "file_name", "width", "height"}]}`` (part of
any COCO annotation file), assigns images to clips; without it the ids do. Conventions:

- ``train/label/clip/000123.jpg`` is frame 123 of ``clip``. The folders above are its label and, if train, val
  or test, its split. Without a folder, the name ``clip_000123.jpg`` is used. Ids that are text are read like
  file names. Ids that are numbers are the frames of one clip, named after the results file.
- Frames count from 0. A clip whose images are listed and begin with number 1 counts from 1.
- With an images file the rows of a clip are the listed images, without one all frames up to the last with a
  person.
- Category 1 is the person; others are left out. The third value of a joint is a confidence; values above 1
  (visibility flags) become 1.
- People are tracked over frames (`skdpipe.pose.tracker.track`) unless all have a ``track_id``.
- Frames per second are not recorded. The image size is recorded only in an images file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, TypeGuard

import numpy as np

from skdpipe.errors import FormatError
from skdpipe.formats.clip_names import clip_name, distinct_name, folders_for, label_and_split
from skdpipe.formats.defaults import FPS
from skdpipe.formats.format import Format, FormatOptions, Target
from skdpipe.formats.json_files import fields_of, read_json, to_json
from skdpipe.formats.json_people import (
    join_frames,
    layout_of_people,
    read_coco_people,
    require_layout,
    seen_people,
    to_coco_person,
)
from skdpipe.formats.output import open_output
from skdpipe.skeleton import COCO_17, Origin, PoseSequence, clip_key

ESTIMATOR = "coco results"

_NUMBER_AT_END = re.compile(r"(.*?)[_-]?(\d+)")
_MOST_FRAMES = 10_000_000  # days of video


class _ImagePosition(NamedTuple):
    """Where an image belongs: its clip, the folders above the clip, and its frame number."""

    clip: str
    folders: tuple[str, ...]
    frame: int


@dataclass
class _Clip:
    """The results of a clip by frame number."""

    folders: tuple[str, ...]
    size: tuple[int, int] | None = None
    frames: dict[int, list[Any]] = field(default_factory=dict)


def find_coco(path: Path) -> tuple[Path, ...]:
    """The results file itself.

    Raises:
        FormatError: if it does not exist.
    """
    if not path.is_file():
        raise FormatError(f"no file at {path}; expected a JSON list of COCO's keypoint results")
    return (path,)


# Reading ---------------------------------------------------------------------------------------


def load_coco(
    path: Path,
    *,
    images: Path | None = None,
    size: tuple[int, int] | None = None,
    layout: str | None = None,
    fps: float = FPS,
) -> Iterator[PoseSequence]:
    """The clips of a results file; the iterator can be continued after a clip that raises.

    Args:
        path: the results.
        images: the file with the ids and names of the images.
        size: width and height of the images if there is no images file.
        layout: name of the layout; by default the known layout with that number of joints (coco-17).
        fps: frames per second.

    Raises:
        FormatError: immediately if a file is not as described, and on the way for each clip that is not.
        DataError: if there is no such layout.
    """
    results = read_json(path, "a JSON list of COCO's keypoint results")
    if not isinstance(results, list):
        raise FormatError(f"{path} is not a list; expected COCO's results, a list with an entry per person")
    clips: dict[str, _Clip] = {}
    positions = _read_images(images, clips) if images else None
    for number, result in enumerate(results):
        image = fields_of(result).get("image_id")
        if positions is not None:
            position = positions.get(image) if isinstance(image, int | str) else None
        else:
            position = _position(image, path)
        if position is None:
            raise FormatError(
                f"{path}: result {number} is of image {image!r:.40}; expected one that is known"
            )
        clip = clips.setdefault(position.clip, _Clip(position.folders))
        clip.frames.setdefault(position.frame, []).append(result)

    def sequence(item: tuple[str, _Clip]) -> PoseSequence:
        return _sequence(path, *item, positions is None, size, layout, fps)

    return map(sequence, clips.items())


def _read_images(path: Path, clips: dict[str, _Clip]) -> dict[int | str, _ImagePosition]:
    """The position of each image id; the clips are added with all their frames."""
    images = fields_of(read_json(path, "COCO's images with id and file_name")).get("images")
    if not isinstance(images, list):
        raise FormatError(f"{path} has no list of images; expected COCO's images with id and file_name")
    positions: dict[int | str, _ImagePosition] = {}
    for number, image in enumerate(images):
        fields = fields_of(image)
        size = (fields.get("width"), fields.get("height"))
        name, image_id = fields.get("file_name"), fields.get("id")
        position = _position(name, path) if isinstance(name, str) else None
        if position is None or not isinstance(image_id, int | str) or not _is_size(size):
            raise FormatError(
                f"{path}: image {number} is {image!r:.80}; expected id, width, height and a file_name that "
                "ends in the frame's number"
            )
        if image_id in positions:
            raise FormatError(f"{path} has two images of id {image_id!r:.40}; expected one: correct the file")
        clip = clips.setdefault(position.clip, _Clip(position.folders, size))
        if clip.folders != position.folders or clip.size != size or position.frame in clip.frames:
            raise FormatError(
                f"{path}: {name} does not fit the images of clip {position.clip} before it; expected one "
                "folder, one size, and each frame once"
            )
        clip.frames[position.frame] = []
        positions[image_id] = position
    _count_from_zero(clips, positions)
    return positions


def _count_from_zero(clips: dict[str, _Clip], positions: dict[int | str, _ImagePosition]) -> None:
    from_one = {name for name, clip in clips.items() if min(clip.frames) == 1}
    for name in from_one:
        clips[name].frames = {frame - 1: people for frame, people in clips[name].frames.items()}
    for image_id, position in positions.items():
        if position.clip in from_one:
            positions[image_id] = position._replace(frame=position.frame - 1)


def _is_size(size: tuple[Any, Any]) -> TypeGuard[tuple[int, int]]:
    return all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in size)


def _position(image: object, path: Path) -> _ImagePosition | None:
    """The position by a file name or a number; None if it has no frame number."""
    if isinstance(image, int) and not isinstance(image, bool):
        return _ImagePosition(clip_name(path.name), (), image) if image >= 0 else None
    if not isinstance(image, str):
        return None
    *folders, file = PurePosixPath(image).parts or ("",)
    numbered = _NUMBER_AT_END.fullmatch(PurePosixPath(file).stem)
    if numbered is None or len(numbered[2]) > 9:
        return None
    clip = folders.pop() if folders else numbered[1] or clip_name(path.name)
    return _ImagePosition(clip, tuple(folders), int(numbered[2]))


def _sequence(
    path: Path,
    name: str,
    clip: _Clip,
    every_frame: bool,
    size: tuple[int, int] | None,
    layout: str | None,
    fps: float,
) -> PoseSequence:
    where = f"{path}: clip {name}"
    size = clip.size or size
    if size is None:
        raise FormatError(f"{where}: the size of the images is unknown; give --images or --size WIDTH HEIGHT")
    count = max(clip.frames) + 1
    if count > _MOST_FRAMES:
        raise FormatError(f"{where} has a frame {count - 1}; expected numbers of frames: give --images")
    rows = range(count) if every_frame else sorted(clip.frames)
    people = [read_coco_people(clip.frames.get(row, ()), "track_id", where) for row in rows]
    joints = layout_of_people(people, layout, where)
    label, split = label_and_split(clip.folders)
    return PoseSequence(
        keypoints=join_frames(people, joints, size, where),
        frame_index=np.array(rows, np.int32),
        video_frames=count,
        layout=joints,
        fps=fps,
        size=size,
        origin=Origin(str(path / name), clip_key(name), ESTIMATOR, label, split),
    )


# Writing ---------------------------------------------------------------------------------------


def write_coco(sequences: Iterable[PoseSequence], path: Path) -> int:
    """Write clips as results, and the ids and names of their images to a file beside it, ``.images.json``.

    Every stored frame becomes an image ``split/label/clip/000123.jpg``; frames count from 0. The person
    index, from 1, is written as ``track_id``, which COCO's tools ignore.

    Returns:
        The number of clips written.

    Raises:
        FormatError: if a clip's layout is not coco-17, its label cannot name a folder, or a file cannot be
            written.
    """
    image = 0
    taken: set[str] = set()
    images_path = path.with_suffix(".images.json")
    with open_output(images_path) as images_file, open_output(path) as results_file:
        images, results = _JsonListWriter(images_file, b'{"images":['), _JsonListWriter(results_file, b"[")
        for sequence in sequences:
            require_layout(sequence, COCO_17)
            folder = PurePosixPath(*folders_for(sequence.origin), distinct_name(sequence.origin, taken))
            width, height = sequence.size
            for frame, people in zip(sequence.frame_index, sequence.keypoints, strict=True):
                image += 1
                name = str(folder / f"{frame:06d}.jpg")
                images.add({"id": image, "file_name": name, "width": width, "height": height})
                for index, pose in seen_people(people):
                    results.add({"image_id": image, **to_coco_person(pose), "track_id": index + 1})
        images.close(b"]}")
        results.close(b"]")
    return len(taken)


class _JsonListWriter:
    """Writes a JSON list item by item."""

    def __init__(self, file: IO[bytes], start: bytes) -> None:
        self._file, self._separator = file, b"\n"
        file.write(start)

    def add(self, item: Mapping[str, object]) -> None:
        self._file.write(self._separator + to_json(item))
        self._separator = b",\n"

    def close(self, end: bytes) -> None:
        self._file.write(b"\n" + end + b"\n")


# Catalogue -------------------------------------------------------------------------------------


def _read(file: Path, root: Path, options: FormatOptions) -> Iterator[PoseSequence]:
    return load_coco(
        file,
        images=options.images,
        size=options.size,
        layout=options.layout,
        fps=options.fps_or_default,
    )


def _write(sequences: Iterable[PoseSequence], path: Path, options: FormatOptions) -> int:
    return write_coco(sequences, path)


FORMAT = Format("coco", find_coco, _read, frozenset({"layout", "size", "fps", "images"}))
TARGET = Target("coco", _write)
