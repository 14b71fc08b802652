"""The output of ``python -m openpifpaf.video --json-output``: one file per video, one line per frame.

    {"frame": n, "predictions": [{"keypoints": [x, y, c] * 17, "bbox", "score", "category_id", "id_"}]}

OpenPifPaf (Kreiss, Bertoni, Alahi, 2021) counts frames from 1; a file with a frame 0 counts from 0. Its
tracking decoders write the number of a person as ``id_``, except the number 0. If nobody has a number, people
are tracked here (`skdpipe.pose.tracker.track`). Neither the frame size nor the frames per second are
recorded. The package itself is not imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skdpipe.errors import FormatError, in_brief
from skdpipe.formats.clip_arrays import count_frames
from skdpipe.formats.clip_names import (
    distinct_name,
    folders_between,
    folders_for,
    key_of_name,
    label_and_split,
)
from skdpipe.formats.defaults import FPS, require_size
from skdpipe.formats.folder_files import paths_below
from skdpipe.formats.format import (
    NO_SURROUNDINGS,
    Format,
    FormatOptions,
    Note,
    Surroundings,
    Target,
    ignore_note,
)
from skdpipe.formats.json_files import fields_of, is_whole_number, parse_json, to_json
from skdpipe.formats.json_people import (
    OTHER_CATEGORIES,
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
from skdpipe.regular_file import require_regular
from skdpipe.skeleton import COCO_17, Origin, PoseSequence

ESTIMATOR = "openpifpaf json"

_SUFFIX = ".openpifpaf.json"
_EXPECTED = 'lines {"frame": n, "predictions": [...]} of openpifpaf.video --json-output'


def find_openpifpaf(path: Path) -> tuple[Path, ...]:
    """The file itself, or all files below a folder that end in ``.openpifpaf.json``.

    If there are none, all files that end in ``.json``.

    Raises:
        FormatError: if there are none of these either.
    """
    if path.is_file():
        return (path,)
    paths = paths_below(path, _SUFFIX) or paths_below(path, ".json")
    if not paths:
        raise FormatError(f"no JSON files at {path}; expected files of {_EXPECTED}")
    return tuple(paths)


def load_openpifpaf(
    path: Path,
    *,
    size: tuple[int, int] | None,
    root: Path | None = None,
    layout: str | None = None,
    fps: float = FPS,
    note: Note = ignore_note,
) -> PoseSequence:
    """The tracked people of one video.

    Args:
        path: the file.
        size: width and height of the video in pixels.
        root: the folder that contains the class folders; without it the clip has no label.
        layout: name of the layout; by default the known layout with that number of joints (coco-17).
        fps: frames per second.
        note: receives the numbers of results of other categories and of people that are left out.

    Raises:
        FormatError: if the file is not as described, or the size is missing.
        DataError: if there is no such layout.
    """
    size = require_size(size, path, " or --videos")
    frames = _read_frames(path)
    numbers = sorted(frames)
    first = 0 if numbers[0] == 0 else 1
    count = count_frames([number - first for number in numbers], path)
    found = [each for number in numbers for each in frames[number].predictions]
    category = person_category(found, {}, path)
    note(OTHER_CATEGORIES, sum(is_of_other_category(each, category) for each in found))
    people = [
        read_coco_people(frames[number].predictions, ["id_"], category, frames[number].where)
        for number in numbers
    ]
    if any(person.track_id is not None for each in people for person in each):
        people = [[replace(person, track_id=person.track_id or 0) for person in each] for each in people]
    joints = layout_of_people(people, layout, path)
    label, split = label_and_split(folders_between(root, path))
    return PoseSequence(
        keypoints=join_frames(dict(enumerate(people)), len(people), joints, size, path, note),
        frame_index=np.array(numbers, np.int32) - first,
        video_frames=count,
        layout=joints,
        fps=fps,
        size=size,
        origin=Origin(str(path), key_of_name(path), ESTIMATOR, label, split),
    )


def write_openpifpaf(sequences: Iterable[PoseSequence], folder: Path) -> int:
    """Write a file for each clip, in folders for its split and class if it has them.

    Numbers have two digits, as OpenPifPaf writes them; ``id_`` is the person index, from 1.

    Returns:
        The number of clips written.

    Raises:
        FormatError: if a clip's layout is not coco-17, its label cannot name a folder, or a file cannot be
            written.
    """
    taken: set[str] = set()
    for sequence in sequences:
        require_layout(sequence, COCO_17)
        name = distinct_name(sequence.origin, taken)
        with open_output(folder.joinpath(*folders_for(sequence.origin), f"{name}{_SUFFIX}")) as file:
            for frame, people in zip(sequence.frame_index, sequence.keypoints, strict=True):
                found = [{**to_coco_person(pose), "id_": index + 1} for index, pose in seen_people(people)]
                file.write(to_json({"frame": int(frame) + 1, "predictions": found}) + b"\n")
    return len(taken)


class _Line(NamedTuple):
    """The predictions of a frame, and the words for the line in errors."""

    predictions: list[Any]
    where: str


def _read_frames(path: Path) -> dict[int, _Line]:
    frames: dict[int, _Line] = {}
    try:
        require_regular(path)
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    where = f"{path}, line {number}"
                    frame, predictions = _parse_line(line, where)
                    if frame in frames:
                        raise FormatError(f"{where}: frame {frame} again; expected each frame once")
                    frames[frame] = _Line(predictions, where)
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error.strerror}); expected {_EXPECTED}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not text ({error}); expected {_EXPECTED}") from error
    if not frames:
        raise FormatError(f"{path} is empty; expected {_EXPECTED}")
    return frames


def _parse_line(line: str, where: str) -> tuple[int, list[Any]]:
    fields = fields_of(parse_json(line, where, _EXPECTED))
    frame, found = fields.get("frame"), fields.get("predictions")
    if not is_whole_number(frame) or frame < 0 or not isinstance(found, list):
        raise FormatError(f"{where}: {in_brief(line.strip(), 60)}; expected {_EXPECTED}")
    return frame, found


# Catalogue -------------------------------------------------------------------------------------


def _read(
    file: Path, root: Path, options: FormatOptions, around: Surroundings = NO_SURROUNDINGS
) -> Iterator[PoseSequence]:
    yield load_openpifpaf(
        file,
        size=options.size,
        root=root,
        layout=options.layout,
        fps=options.fps_or_default,
        note=around.note,
    )


def _write(sequences: Iterable[PoseSequence], path: Path, options: FormatOptions) -> int:
    return write_openpifpaf(sequences, path)


FORMAT = Format(
    name="openpifpaf",
    find=find_openpifpaf,
    read=_read,
    options=frozenset({"layout", "size", "fps"}),
    one_clip=True,
    json_keys=(frozenset({"frame", "predictions"}),),
)
TARGET = Target("openpifpaf", _write)
