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

import numpy as np

from skdpipe.errors import FormatError
from skdpipe.formats.clip_names import (
    distinct_name,
    folders_between,
    folders_for,
    key_of_name,
    label_and_split,
)
from skdpipe.formats.defaults import FPS, require_size
from skdpipe.formats.format import Format, FormatOptions, Target
from skdpipe.formats.json_files import fields_of, parse_json, to_json
from skdpipe.formats.json_people import (
    DetectedPerson,
    join_frames,
    layout_of_people,
    read_coco_people,
    require_layout,
    seen_people,
    to_coco_person,
)
from skdpipe.formats.output import open_output
from skdpipe.skeleton import COCO_17, Origin, PoseSequence

ESTIMATOR = "openpifpaf json"

_SUFFIX = ".openpifpaf.json"
_MOST_FRAMES = 10_000_000  # days of video
_EXPECTED = 'lines {"frame": n, "predictions": [...]} of openpifpaf.video --json-output'


def find_openpifpaf(path: Path) -> tuple[Path, ...]:
    """The file itself, or all files below a folder that end in ``.openpifpaf.json``.

    If there are none, all files that end in ``.json``.

    Raises:
        FormatError: if there are none of these either.
    """
    if path.is_file():
        return (path,)
    paths = sorted(path.rglob(f"*{_SUFFIX}")) or sorted(path.rglob("*.json"))
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
) -> PoseSequence:
    """The tracked people of one video.

    Args:
        path: the file.
        size: width and height of the video in pixels.
        root: the folder that contains the class folders; without it the clip has no label.
        layout: name of the layout; by default the known layout with that number of joints (coco-17).
        fps: frames per second.

    Raises:
        FormatError: if the file is not as described, or the size is missing.
        DataError: if there is no such layout.
    """
    size = require_size(size, path, " or --videos")
    frames = _read_frames(path)
    numbers = sorted(frames)
    first = 0 if numbers[0] == 0 else 1
    people = [frames[number] for number in numbers]
    if any(person.track_id is not None for each in people for person in each):
        people = [[replace(person, track_id=person.track_id or 0) for person in each] for each in people]
    joints = layout_of_people(people, layout, path)
    label, split = label_and_split(folders_between(root, path))
    return PoseSequence(
        keypoints=join_frames(people, joints, size, path),
        frame_index=np.array(numbers, np.int32) - first,
        video_frames=numbers[-1] + 1 - first,
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


def _read_frames(path: Path) -> dict[int, list[DetectedPerson]]:
    frames: dict[int, list[DetectedPerson]] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    frame, people = _parse_line(line, f"{path}, line {number}")
                    if frame in frames:
                        raise FormatError(
                            f"{path}, line {number}: frame {frame} again; expected each frame once"
                        )
                    frames[frame] = people
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error.strerror}); expected {_EXPECTED}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not text ({error}); expected {_EXPECTED}") from error
    if not frames:
        raise FormatError(f"{path} is empty; expected {_EXPECTED}")
    return frames


def _parse_line(line: str, where: str) -> tuple[int, list[DetectedPerson]]:
    fields = fields_of(parse_json(line, where, _EXPECTED))
    frame, found = fields.get("frame"), fields.get("predictions")
    if not isinstance(frame, int) or not 0 <= frame < _MOST_FRAMES or not isinstance(found, list):
        raise FormatError(f"{where}: {line.strip()!r:.60}; expected {_EXPECTED}")
    return frame, read_coco_people(found, "id_", where)


# Catalogue -------------------------------------------------------------------------------------


def _read(file: Path, root: Path, options: FormatOptions) -> Iterator[PoseSequence]:
    yield load_openpifpaf(
        file, size=options.size, root=root, layout=options.layout, fps=options.fps_or_default
    )


def _write(sequences: Iterable[PoseSequence], path: Path, options: FormatOptions) -> int:
    return write_openpifpaf(sequences, path)


FORMAT = Format("openpifpaf", find_openpifpaf, _read, frozenset({"layout", "size", "fps"}), key_of_name)
TARGET = Target("openpifpaf", _write)
