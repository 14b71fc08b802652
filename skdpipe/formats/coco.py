"""COCO's keypoint results: the people found in pictures, one JSON list for a whole data set.

https://cocodataset.org/#format-results: ``{"image_id", "category_id", "keypoints": [x, y, c] * 17, "score"}``
for each person found. Pictures become clips by an images file, ``{"images": [{"id", "file_name", "width",
"height"}]}`` (any COCO annotation file has that part), or by their ids alone. What is taken for granted:

- ``train/label/clip/000123.jpg`` is frame 123 of ``clip``; the folders above are its label and, if they are
  train, val or test, its split. Without a folder, ``clip_000123.jpg`` will do. Ids that are text are read as
  file names are; ids that are numbers are the frames of one clip, called after the results file.
- Frames count from 0; a clip whose pictures are listed and begin with number 1 counts from 1.
- With an images file the clip's rows are the pictures listed, without one all frames to the last that shows
  anybody.
- Category 1 is the person; others are left out. The third value of a joint is a confidence, and above 1
  (a visibility flag) counts as 1.
- People are followed from frame to frame (`skdpipe.pose.tracker.track`) unless all have a ``track_id``.
- Frames per second are not recorded; the picture's size only in an images file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeGuard

import numpy as np

from skdpipe.atomic_file import open_atomically
from skdpipe.errors import FormatError
from skdpipe.formats.coco_people import follow, joint_layout, read_person, require_coco, write_person
from skdpipe.formats.defaults import FPS, clip_name, distinct_name, folders_for, label_and_split
from skdpipe.skeleton import Origin, PoseSequence, clip_key

ESTIMATOR = "coco results"

_NUMBER_AT_END = re.compile(r"(.*?)[_-]?(\d+)")


@dataclass
class _Clip:
    """The frames of a clip so far: who is in each."""

    folders: tuple[str, ...]
    size: tuple[int, int] | None = None
    frames: dict[int, list[Any]] = field(default_factory=dict)


def find_coco(path: Path) -> tuple[Path, ...]:
    """The results file itself.

    Raises:
        FormatError: if it is not there.
    """
    if not path.is_file():
        raise FormatError(f"no file at {path}; expected a JSON list of COCO's keypoint results")
    return (path,)


def load_coco(
    path: Path,
    *,
    images: Path | None = None,
    size: tuple[int, int] | None = None,
    layout: str | None = None,
    fps: float = FPS,
) -> Iterator[PoseSequence]:
    """The clips of a results file one after the other; the iterator goes on after a clip that is refused.

    Args:
        path: the results.
        images: the file that says which picture has which id.
        size: width and height of the pictures where no images file says them.
        layout: what the joints are; by default the known layout with as many (coco-17).
        fps: frames per second.

    Raises:
        FormatError: at once if a file is not as described, and for each clip that is not.
        DataError: if there is no such layout.
    """
    results = _parsed(path)
    if not isinstance(results, list):
        raise FormatError(f"{path} holds no list; expected COCO's results, a list with an entry a person")
    clips: dict[str, _Clip] = {}
    where_is = _places(images, clips) if images else None
    for number, result in enumerate(results):
        image = result.get("image_id") if isinstance(result, dict) else None
        if where_is is not None:
            place = where_is.get(image) if isinstance(image, int | str) else None
        else:
            place = _place(image, path)
        if place is None:
            raise FormatError(
                f"{path}: result {number} is of image {image!r:.40}; expected one that is known"
            )
        name, folders, frame = place
        clips.setdefault(name, _Clip(folders)).frames.setdefault(frame, []).append(result)
    every = where_is is None

    def sequence(item: tuple[str, _Clip]) -> PoseSequence:
        return _sequence(path, *item, every, size, layout, fps)

    return map(sequence, clips.items())


def write_coco(sequences: Iterable[PoseSequence], path: Path) -> int:
    """Write clips as results, and their pictures' ids and names beside them as ``.images.json``.

    Every stored frame gets a picture ``split/label/clip/000123.jpg``, frames counted from 0. People carry
    their place, from 1, as ``track_id``, which COCO's tools overlook.

    Returns:
        How many clips were written.

    Raises:
        FormatError: if a clip's layout is not coco-17, its label cannot name a folder, or a file cannot be
            written.
    """
    count, image = 0, 0
    taken: set[str] = set()
    pictures = path.with_suffix(".images.json")
    with open_atomically(pictures) as images_file, open_atomically(path) as results_file:
        images, results = _JsonList(images_file, b'{"images":['), _JsonList(results_file, b"[")
        for sequence in sequences:
            require_coco(sequence)
            folder = PurePosixPath(*folders_for(sequence.origin), distinct_name(sequence.origin, taken))
            width, height = sequence.size
            for frame, people in zip(sequence.frame_index, sequence.keypoints, strict=True):
                image += 1
                name = str(folder / f"{frame:06d}.jpg")
                images.add({"id": image, "file_name": name, "width": width, "height": height})
                for place, pose in enumerate(people, 1):
                    if (pose[:, 2] > 0).any():
                        results.add({"image_id": image, **write_person(pose), "track_id": place})
            count += 1
        images.end(b"]}")
        results.end(b"]")
    return count


class _JsonList:
    """A list that is written item by item."""

    def __init__(self, file: IO[bytes], start: bytes) -> None:
        self._file, self._before = file, b"\n"
        file.write(start)

    def add(self, item: Mapping[str, object]) -> None:
        self._file.write(self._before + json.dumps(item, separators=(",", ":")).encode())
        self._before = b",\n"

    def end(self, end: bytes) -> None:
        self._file.write(b"\n" + end + b"\n")


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error.strerror}); expected JSON") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is no JSON ({error!s:.80}); expected COCO's") from error


def _places(path: Path, clips: dict[str, _Clip]) -> dict[int | str, tuple[str, tuple[str, ...], int]]:
    """For each image's id its clip and frame; the clips are made, with all their frames."""
    content = _parsed(path)
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list):
        raise FormatError(f"{path} has no list of images; expected COCO's images with id and file_name")
    places: dict[int | str, tuple[str, tuple[str, ...], int]] = {}
    for number, image in enumerate(images):
        known = image if isinstance(image, dict) else {}
        size = (known.get("width"), known.get("height"))
        name, identity = known.get("file_name"), known.get("id")
        place = _place(name, path) if isinstance(name, str) else None
        if place is None or not isinstance(identity, int | str) or not _is_size(size):
            raise FormatError(
                f"{path}: image {number} is {image!r:.80}; expected id, width, height and a file_name that "
                "ends in the frame's number"
            )
        if identity in places:
            raise FormatError(f"{path} has two images of id {identity!r:.40}; expected one: mend the file")
        clip = clips.setdefault(place[0], _Clip(place[1], size))
        if clip.folders != place[1] or clip.size != size or place[2] in clip.frames:
            raise FormatError(
                f"{path}: {name} does not fit the pictures of clip {place[0]} before it; expected one "
                "folder, one size, and each frame once"
            )
        clip.frames[place[2]] = []
        places[identity] = place
    _count_from_zero(clips, places)
    return places


def _count_from_zero(
    clips: dict[str, _Clip], places: dict[int | str, tuple[str, tuple[str, ...], int]]
) -> None:
    from_one = {name for name, clip in clips.items() if min(clip.frames) == 1}
    for name in from_one:
        clips[name].frames = {frame - 1: people for frame, people in clips[name].frames.items()}
    for identity, (name, folders, frame) in places.items():
        if name in from_one:
            places[identity] = (name, folders, frame - 1)


def _is_size(size: tuple[Any, Any]) -> TypeGuard[tuple[int, int]]:
    return all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in size)


def _place(image: object, path: Path) -> tuple[str, tuple[str, ...], int] | None:
    """Clip, the folders above it, and frame, from a file name or a number."""
    if isinstance(image, int) and not isinstance(image, bool):
        return (clip_name(path.name), (), image) if image >= 0 else None
    if not isinstance(image, str):
        return None
    *folders, file = PurePosixPath(image).parts or ("",)
    numbered = _NUMBER_AT_END.fullmatch(PurePosixPath(file).stem)
    if numbered is None or len(numbered[2]) > 9:
        return None
    clip = folders.pop() if folders else numbered[1] or clip_name(path.name)
    return clip, tuple(folders), int(numbered[2])


def _sequence(
    path: Path,
    name: str,
    clip: _Clip,
    every: bool,
    size: tuple[int, int] | None,
    layout: str | None,
    fps: float,
) -> PoseSequence:
    where = f"{path}: clip {name}"
    size = clip.size or size
    if size is None:
        raise FormatError(f"{where}: nothing says how large the pictures are; give --images or --size")
    count = max(clip.frames) + 1
    if count > 10_000_000:
        raise FormatError(f"{where} has a frame {count - 1}; expected numbers of frames: give --images")
    rows = range(count) if every else sorted(clip.frames)
    people = [[read_person(each, "track_id", where) for each in clip.frames.get(row, ())] for row in rows]
    persons = [[person for person in found if person is not None] for found in people]
    joints = joint_layout(persons, layout, where)
    label, split = label_and_split(clip.folders)
    return PoseSequence(
        keypoints=follow(persons, joints, size, where),
        frame_index=np.array(rows, np.int32),
        video_frames=count,
        layout=joints,
        fps=fps,
        size=size,
        origin=Origin(str(path / name), clip_key(name), ESTIMATOR, label, split),
    )
