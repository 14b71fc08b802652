"""COCO's keypoint results: the people detected in images, one JSON list for a whole data set.

https://cocodataset.org/#format-results: ``{"image_id", "category_id", "keypoints": [x, y, c] * 17, "score"}``
for each detected person. An images file, ``{"images": [{"id", "file_name", "width", "height"}]}`` (part of
any COCO annotation file), assigns images to clips; without it the ids do. Also read are

- ground truth, ``{"images", "annotations", "categories"}``: annotations with keypoints are the people. The
  third value of a joint is 0 if it is not labelled (unseen), 1 if it is hidden (here confidence 0.5), 2 if it
  is visible (confidence 1). Annotations of crowds and without a labelled joint are left out.
- AlphaPose's ``alphapose-results.json`` in its three forms; the others are objects of images by name, with
  ``bodies`` (form cmu) or ``people`` (form open). Since AlphaPose gives every video's file this name, the
  clip is named after the folder.

Conventions:

- ``train/label/clip/000123.jpg`` is frame 123 of ``clip``. The folders above are its label and, if train, val
  or test, its split; without such folders those above the results file are. An absolute path has a label only
  if it has a folder train, val or test. Without a folder, or in a folder with images of several names, the
  name ``clip_000123.jpg`` is that of the clip. Ids that are text are read like file names. Ids that are
  numbers are the frames of one clip, named after the results file.
- Frames count from 0. A clip whose images are listed and begin with number 1 counts from 1.
- With an images file the rows of a clip are the listed images, without one all frames up to the last with a
  person. `count_frames` refuses the numbers of photos.
- `json_people.person_category` says which category is the person; others are left out and counted. The third
  value of a joint is a confidence; values above 1 (visibility flags) become 1.
- People are tracked over frames (`skdpipe.pose.tracker.track`) unless all have a ``track_id``, ``idx`` or
  ``person_id``. If all are 0, which AlphaPose writes without its tracker, people are tracked here.
- Frames per second are not recorded. The image size is recorded only in an images file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, NamedTuple, TypeGuard

import numpy as np

from skdpipe.errors import FormatError, in_brief
from skdpipe.formats.clip_arrays import count_frames
from skdpipe.formats.clip_names import (
    clip_name,
    distinct_name,
    distinct_names,
    folders_between,
    folders_for,
    label_and_split,
)
from skdpipe.formats.defaults import FPS, every_frame
from skdpipe.formats.folder_files import paths_below
from skdpipe.formats.format import (
    NO_SURROUNDINGS,
    Format,
    FormatOptions,
    Note,
    SizeOf,
    Surroundings,
    Target,
    read_each,
)
from skdpipe.formats.json_files import fields_of, is_whole_number, read_json, to_json
from skdpipe.formats.json_people import (
    OTHER_CATEGORIES,
    DetectedPerson,
    is_of_other_category,
    join_frames,
    layout_of_people,
    person_category,
    read_coco_people,
    require_layout,
    seen_people,
    to_coco_person,
)
from skdpipe.formats.output import open_output
from skdpipe.names import LONGEST_NAME, require_name
from skdpipe.skeleton import COCO_17, Origin, PoseSequence, clip_key
from skdpipe.skeleton.plausible import LARGEST_SIDE
from skdpipe.skeleton.sequence import split_named

ESTIMATOR = "coco results"

_EXPECTED: Final = "COCO's results, a list with an entry per person"
_IMAGES_SUFFIX: Final = ".images.json"
_ALPHAPOSE: Final = "alphapose-results.json"
_ALPHAPOSE_COPIES: Final = "sep-json"  # a folder with the same results, one file per image
_ALPHAPOSE_FORMS: Final = {"bodies": "joints", "people": "pose_keypoints_2d"}
_CONFIDENCE: Final = {0: 0.0, 1: 0.5, 2: 1.0}  # by the visibility of a labelled joint
_TRACK_FIELDS: Final = ("track_id", "idx", "person_id")
_NUMBER_AT_END = re.compile(r"(.*?)[_-]?(\d+)")
_FRAME_DIGITS: Final = 9


class _ImagePosition(NamedTuple):
    """Where an image belongs: its clip with the folders above, and its frame number."""

    clip: tuple[str, ...]
    frame: int


@dataclass
class _Clip:
    """The results of a clip by frame number."""

    size: tuple[int, int] | None = None
    frames: dict[int, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Content:
    """What a file holds: the people found, and the images and names of the categories if it has them."""

    results: list[Any]
    images: Any = None
    categories: Any = None


@dataclass(frozen=True)
class _File:
    """What the clips of a file have in common."""

    path: Path
    unnamed: tuple[str, ...]
    folders: tuple[str, ...]
    every_frame: bool
    category: Any
    size: tuple[int, int] | None
    size_of: SizeOf | None
    layout: str | None
    fps: float
    note: Note


def find_coco(path: Path) -> tuple[Path, ...]:
    """The results file itself, or all below a folder, sorted; files of images (``.images.json``) are not.

    Raises:
        FormatError: if there are none.
    """
    if path.is_file():
        return (path,)
    files = tuple(
        sorted(
            file
            for file in paths_below(path, ".json")
            if not file.name.endswith(_IMAGES_SUFFIX) and _ALPHAPOSE_COPIES not in file.parts
        )
    )
    if not files:
        raise FormatError(f"no file at {path}; expected a JSON list of COCO's keypoint results")
    return files


def named_by(file: Path) -> Path:
    """The file, or the folder of a file that AlphaPose named."""
    return file.absolute().parent if file.name == _ALPHAPOSE else file


# Reading ---------------------------------------------------------------------------------------


def load_coco(
    path: Path,
    *,
    images: Path | None = None,
    size: tuple[int, int] | None = None,
    layout: str | None = None,
    fps: float = FPS,
    root: Path | None = None,
    around: Surroundings = NO_SURROUNDINGS,
) -> Iterator[PoseSequence]:
    """The clips of a results file; the iterator can be continued after a clip that raises.

    Args:
        path: the results.
        images: the file with the ids and names of the images; by default the file beside the results that
            `write_coco` writes, ``NAME.images.json``, if it is there.
        size: width and height of the images if there is no images file.
        layout: name of the layout; by default the known layout with that number of joints (coco-17).
        fps: frames per second.
        root: the folder that contains the class folders, if the results files are in such folders.
        around: names the clip of an unnamed video, gives the sizes of videos, and receives what is left out.

    Raises:
        FormatError: immediately if a file is not as described, and on the way for each clip that is not.
        DataError: if there is no such layout.
    """
    beside = path.with_suffix(_IMAGES_SUFFIX)
    images = images or (beside if beside.is_file() else None)
    content = _read_content(path, around.note)
    listed, categories = content.images, content.categories
    if images:
        fields = fields_of(read_json(images, "COCO's images with id and file_name"))
        listed, categories = fields.get("images"), fields.get("categories", categories)
    unnamed = (around.clip or clip_name(named_by(path).name),)
    clips: dict[tuple[str, ...], _Clip] = {}
    shared = _shared_folders(fields_of(result).get("image_id") for result in content.results)
    positions = _read_images(images or path, listed, unnamed, clips) if images or listed is not None else None
    for number, result in enumerate(content.results):
        image = fields_of(result).get("image_id")
        if positions is not None:
            position = positions.get(image) if _is_id(image) else None
        else:
            position = _position(image, unnamed, shared)
        if position is None:
            raise FormatError(
                f"{path}: result {number} is of image {in_brief(image)}; expected one that is known"
            )
        clips.setdefault(position.clip, _Clip()).frames.setdefault(position.frame, []).append(result)
    category = person_category(content.results, _names_of(categories), path)
    around.note(OTHER_CATEGORIES, sum(is_of_other_category(each, category) for each in content.results))
    file = _File(
        path,
        unnamed,
        folders_between(root, named_by(path)),
        positions is None,
        category,
        size,
        around.size_of,
        layout,
        fps,
        around.note,
    )
    names = distinct_names(list(clips))
    return read_each(
        path,
        list(zip(names, clips.items(), strict=True)),
        lambda item: _sequence(file, item[0], *item[1]),
        lambda item: f"clip {item[0]}",
    )


def _read_content(path: Path, note: Note) -> _Content:
    content = read_json(path, "a JSON list of COCO's keypoint results")
    if isinstance(content, list):
        return _Content(content)
    fields = fields_of(content)
    if isinstance(fields.get("annotations"), list):
        return _ground_truth(fields, note)
    if fields and all(_ALPHAPOSE_FORMS.keys() & fields_of(each).keys() for each in fields.values()):
        return _Content([person for image, each in fields.items() for person in _alphapose(image, each)])
    if _ALPHAPOSE_FORMS.keys() & fields.keys():
        raise FormatError(
            f"{path} is one frame and not a list; expected {_EXPECTED}: import a folder of such files with "
            "`skdpipe import openpose`"
        )
    raise FormatError(f"{path} is not a list; expected {_EXPECTED}")


def _ground_truth(fields: Mapping[str, Any], note: Note) -> _Content:
    annotations = [
        {**each, "keypoints": _to_confidences(each.get("keypoints"))}
        for each in map(fields_of, fields["annotations"])
        if not each.get("iscrowd") and each.get("num_keypoints", True) and each.get("keypoints")
    ]
    note(
        "annotations of crowds or without keypoints are left out",
        len(fields["annotations"]) - len(annotations),
    )
    return _Content(annotations, fields.get("images"), fields.get("categories"))


def _to_confidences(keypoints: Any) -> Any:
    """The keypoints with confidences instead of visibility flags; unchanged if they are not a list."""
    if not isinstance(keypoints, list):
        return keypoints
    values = list(keypoints)
    values[2::3] = [_CONFIDENCE.get(flag, flag) if isinstance(flag, int) else flag for flag in values[2::3]]
    return values


def _alphapose(image: str, found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The people of an image in AlphaPose's forms cmu and open, as COCO's results."""
    for people, keypoints in _ALPHAPOSE_FORMS.items():
        persons = found.get(people) or []
        for person in persons if isinstance(persons, list) else [persons]:
            yield {**fields_of(person), "image_id": image, "keypoints": fields_of(person).get(keypoints)}


def _names_of(categories: Any) -> dict[Any, str]:
    """The names of the categories by their id."""
    listed = [fields_of(each) for each in categories] if isinstance(categories, list) else []
    return {
        each["id"]: each["name"]
        for each in listed
        if is_whole_number(each.get("id")) and isinstance(each.get("name"), str)
    }


def _read_images(
    path: Path, images: Any, unnamed: tuple[str, ...], clips: dict[tuple[str, ...], _Clip]
) -> dict[int | str, _ImagePosition]:
    """The position of each image id; the clips are added with all their frames."""
    if not isinstance(images, list):
        raise FormatError(f"{path} has no list of images; expected COCO's images with id and file_name")
    positions: dict[int | str, _ImagePosition] = {}
    shared = _shared_folders(fields_of(image).get("file_name") for image in images)
    for number, image in enumerate(images):
        fields = fields_of(image)
        size = (fields.get("width"), fields.get("height"))
        name, image_id = fields.get("file_name"), fields.get("id")
        position = _position(name, unnamed, shared) if isinstance(name, str) else None
        if position is None or not _is_id(image_id) or not _is_size(size):
            raise FormatError(
                f"{path}: image {number} is {in_brief(image, 80)}; expected id, width, height and a "
                "file_name that ends in the frame's number"
            )
        if image_id in positions:
            raise FormatError(
                f"{path} has two images of id {in_brief(image_id)}; expected one: correct the file"
            )
        clip = clips.setdefault(position.clip, _Clip(size))
        if clip.size != size or position.frame in clip.frames:
            raise FormatError(
                f"{path}: {name:.60} does not fit the images of clip {position.clip[-1]:.60} "
                "before it; expected one size, and each frame once: images that are not frames of videos "
                "cannot be imported"
            )
        clip.frames[position.frame] = []
        positions[image_id] = position
    _count_from_zero(clips, positions)
    return positions


def _count_from_zero(clips: dict[tuple[str, ...], _Clip], positions: dict[int | str, _ImagePosition]) -> None:
    from_one = {name for name, clip in clips.items() if min(clip.frames) == 1}
    for name in from_one:
        clips[name].frames = {frame - 1: people for frame, people in clips[name].frames.items()}
    for image_id, position in positions.items():
        if position.clip in from_one:
            positions[image_id] = position._replace(frame=position.frame - 1)


def _is_size(size: tuple[Any, Any]) -> TypeGuard[tuple[int, int]]:
    return all(is_whole_number(side) and 0 < side <= LARGEST_SIDE for side in size)


def _is_id(value: object) -> TypeGuard[int | str]:
    return is_whole_number(value) or isinstance(value, str)


def _position(image: object, unnamed: tuple[str, ...], shared: Set[tuple[str, ...]]) -> _ImagePosition | None:
    """The position by a file name or a number; None if it has no frame number.

    Args:
        image: the name or the number.
        unnamed: the clip of images whose names are only numbers.
        shared: folders that hold several clips.
    """
    if is_whole_number(image):
        return _ImagePosition(unnamed, image) if 0 <= image < 10**_FRAME_DIGITS else None
    if not isinstance(image, str) or len(image) > LONGEST_NAME:
        return None
    folders, file = _folders_and_file(image)
    numbered = _NUMBER_AT_END.fullmatch(file)
    if numbered is None or len(numbered[2].lstrip("0")) > _FRAME_DIGITS:
        return None
    name = (numbered[1],) if numbered[1] else ()
    clip = (*folders, *name) if folders in shared else folders or name or unnamed
    return _ImagePosition(clip, int(numbered[2]))


def _folders_and_file(image: str) -> tuple[tuple[str, ...], str]:
    """The folders of an image, the first one "/" if the path is absolute, and its name without the ending."""
    path = PurePosixPath(image.replace("\\", "/"))
    folders = path.parts[:-1]
    return ("/", *folders[1:]) if folders and folders[0].endswith(("/", ":")) else folders, path.stem


def _class_folders(folders: tuple[str, ...]) -> tuple[str, ...]:
    """The folders above a clip that state split and class; of an absolute path those from the last split."""
    if folders[:1] != ("/",):
        return folders
    splits = [number for number, name in enumerate(folders) if split_named(name)]
    return folders[splits[-1] :] if splits else ()


def _shared_folders(images: Iterable[object]) -> frozenset[tuple[str, ...]]:
    """The folders that hold the images of several clips, by the names in front of the numbers."""
    names: dict[tuple[str, ...], set[str]] = {}
    for image in images:
        if isinstance(image, str) and len(image) <= LONGEST_NAME:
            folders, file = _folders_and_file(image)
            numbered = _NUMBER_AT_END.fullmatch(file)
            names.setdefault(folders, set()).add(numbered[1] if numbered else "")
    return frozenset(folders for folders, found in names.items() if len(found) > 1)


def _sequence(file: _File, name: str, path: tuple[str, ...], clip: _Clip) -> PoseSequence:
    require_name(name, file.path)
    where = f"{file.path}: clip {name}"
    size = clip.size or file.size or (file.size_of(path) if file.size_of else None)
    if size is None:
        raise FormatError(
            f"{where}: the size of the images is unknown; give --images or --size WIDTH HEIGHT, or --videos"
        )
    count = count_frames(clip.frames, where, "give --images, or import frames of a video")
    numbers = sorted(clip.frames)
    index = every_frame(count) if file.every_frame else np.array(numbers, np.int32)
    people = _without_equal_numbers(
        [read_coco_people(clip.frames[number], _TRACK_FIELDS, file.category, where) for number in numbers]
    )
    by_row = dict(zip(numbers if file.every_frame else range(len(numbers)), people, strict=True))
    joints = layout_of_people(people, file.layout, where)
    inside = (clip_name(named_by(file.path).name),) if path == file.unnamed else path[path[0] == "/" :]
    label, split = label_and_split(_class_folders(path[:-1]) if len(path) > 1 else file.folders)
    return PoseSequence(
        keypoints=join_frames(by_row, len(index), joints, size, where, file.note),
        frame_index=index,
        video_frames=count,
        layout=joints,
        fps=file.fps,
        size=size,
        origin=Origin(str(file.path.joinpath(*inside)), clip_key(name), ESTIMATOR, label, split),
    )


def _without_equal_numbers(frames: Sequence[list[DetectedPerson]]) -> Sequence[list[DetectedPerson]]:
    """The people, without track numbers if all are 0."""
    if any(person.track_id != 0 for people in frames for person in people):
        return frames
    return [[replace(person, track_id=None) for person in people] for people in frames]


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
    images_path = path.with_suffix(_IMAGES_SUFFIX)
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


def _read(
    file: Path, root: Path, options: FormatOptions, around: Surroundings = NO_SURROUNDINGS
) -> Iterator[PoseSequence]:
    if root.is_dir() and options.images and file.resolve() == options.images.resolve():
        return iter(())
    return load_coco(
        file,
        images=options.images,
        size=options.size,
        layout=options.layout,
        fps=options.fps_or_default,
        root=root,
        around=around,
    )


def _write(sequences: Iterable[PoseSequence], path: Path, options: FormatOptions) -> int:
    return write_coco(sequences, path)


FORMAT = Format(
    name="coco",
    find=find_coco,
    read=_read,
    options=frozenset({"layout", "size", "fps", "images"}),
    named_by=named_by,
    json_keys=tuple(
        frozenset({each}) for each in ("[].image_id", "[]", "annotations", "images", "{}.bodies", "{}.people")
    ),
)
TARGET = Target("coco", _write)
