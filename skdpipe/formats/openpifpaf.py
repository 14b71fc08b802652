"""What ``python -m openpifpaf.video --json-output`` writes: a file a video, a line a frame.

    {"frame": n, "predictions": [{"keypoints": [x, y, c] * 17, "bbox", "score", "category_id", "id_"}]}

OpenPifPaf (Kreiss, Bertoni, Alahi, 2021) counts frames from 1; a file with a frame 0 is taken to count from
0. Its tracking decoders write who a person is as ``id_``, though not the number 0; where nobody has one,
people are followed here (`skdpipe.pose.tracker.track`). Neither the picture's size nor the frames per second
are recorded. The package is not needed to read its files, and not imported.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from skdpipe.atomic_file import open_atomically
from skdpipe.errors import FormatError
from skdpipe.formats.coco_people import (
    DetectedPerson,
    follow,
    joint_layout,
    read_person,
    require_coco,
    write_person,
)
from skdpipe.formats.defaults import (
    FPS,
    clip_name,
    distinct_name,
    folders_between,
    folders_for,
    label_and_split,
)
from skdpipe.skeleton import Origin, PoseSequence, clip_key

ESTIMATOR = "openpifpaf json"

_ENDING = ".openpifpaf.json"
_MOST_FRAMES = 10_000_000  # days of video
_EXPECTED = 'lines {"frame": n, "predictions": [...]} of openpifpaf.video --json-output'


def find_openpifpaf(path: Path) -> tuple[Path, ...]:
    """The file itself, or all files of a folder (of class folders) that end in ``.openpifpaf.json``.

    Where none end so, all that end in ``.json``.

    Raises:
        FormatError: if there are none.
    """
    if path.is_file():
        return (path,)
    paths = sorted(path.rglob(f"*{_ENDING}")) or sorted(path.rglob("*.json"))
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
    """The people of one video, who keep their identity.

    Args:
        path: the file.
        size: width and height of the video in pixels.
        root: the folder whose folders name the classes; without it the clip has no label.
        layout: what the joints are; by default the known layout with as many (coco-17).
        fps: frames per second.

    Raises:
        FormatError: if the file is not as described, or the size is missing.
        DataError: if there is no such layout.
    """
    if size is None:
        raise FormatError(f"{path} does not say how large the video is; give --size WIDTH HEIGHT or --videos")
    frames = _frames(path)
    numbers = sorted(frames)
    first = 0 if numbers[0] == 0 else 1
    people = [frames[number] for number in numbers]
    if any(person.identity is not None for each in people for person in each):
        people = [[replace(person, identity=person.identity or 0) for person in each] for each in people]
    joints = joint_layout(people, layout, path)
    label, split = label_and_split(folders_between(root, path) if root else ())
    return PoseSequence(
        keypoints=follow(people, joints, size, path),
        frame_index=np.array(numbers, np.int32) - first,
        video_frames=numbers[-1] + 1 - first,
        layout=joints,
        fps=fps,
        size=size,
        origin=Origin(str(path), clip_key(clip_name(path.name)), ESTIMATOR, label, split),
    )


def write_openpifpaf(sequences: Iterable[PoseSequence], folder: Path) -> int:
    """Write a file for each clip, in folders for splits and classes as far as clips name them.

    Rounded as OpenPifPaf rounds, to two digits; ``id_`` is the person's place, counted from 1.

    Returns:
        How many clips were written.

    Raises:
        FormatError: if a clip's layout is not coco-17, its label cannot name a folder, or a file cannot be
            written.
    """
    taken: set[str] = set()
    for sequence in sequences:
        require_coco(sequence)
        name = distinct_name(sequence.origin, taken)
        with open_atomically(folder.joinpath(*folders_for(sequence.origin), f"{name}{_ENDING}")) as file:
            for frame, people in zip(sequence.frame_index, sequence.keypoints, strict=True):
                found = [
                    {**write_person(pose), "id_": place}
                    for place, pose in enumerate(people, 1)
                    if (pose[:, 2] > 0).any()
                ]
                line = json.dumps({"frame": int(frame) + 1, "predictions": found}, separators=(",", ":"))
                file.write(f"{line}\n".encode())
    return len(taken)


def _frames(path: Path) -> dict[int, list[DetectedPerson]]:
    frames: dict[int, list[DetectedPerson]] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    frame, people = _line(line, f"{path}, line {number}")
                    if frame in frames:
                        raise FormatError(f"{path}, line {number}: frame {frame} again; expected each once")
                    frames[frame] = people
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error.strerror}); expected {_EXPECTED}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is no text ({error}); expected {_EXPECTED}") from error
    if not frames:
        raise FormatError(f"{path} is empty; expected {_EXPECTED}")
    return frames


def _line(line: str, where: str) -> tuple[int, list[DetectedPerson]]:
    try:
        content: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where} is no JSON ({error!s:.60}); expected {_EXPECTED}") from error
    fields = content if isinstance(content, dict) else {}
    frame, found = fields.get("frame"), fields.get("predictions")
    if not isinstance(frame, int) or not 0 <= frame < _MOST_FRAMES or not isinstance(found, list):
        raise FormatError(f"{where}: {line.strip()!r:.60}; expected {_EXPECTED}")
    people = [read_person(each, "id_", where) for each in found]
    return frame, [person for person in people if person is not None]
