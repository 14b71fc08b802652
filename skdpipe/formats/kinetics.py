"""Kinetics-skeleton (Yan, Xiong, Lin, AAAI 2018): Kinetics-400 by OpenPose, one JSON file per clip.

    kinetics_train/ID.json:
    {"data": [{"frame_index": 1, "skeleton": [{"pose": [x, y, ...], "score": [...]}]}], "label": name}

Coordinates are shares of the frame from its top left, frames count from 1, poses have 18 joints, and the
order of the people has no meaning. ``kinetics_train_label.json`` beside the folder records for each ID
whether anybody was detected: ``has_skeleton``. Files that ST-GCN's own tools make from a user's videos count
frames from 0; they are recognised by their frame 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

import numpy as np

from skdpipe.errors import FormatError, in_brief
from skdpipe.formats.arrays import LARGEST_SHARE
from skdpipe.formats.class_names import number_classes
from skdpipe.formats.clip_arrays import count_frames
from skdpipe.formats.clip_names import distinct_name, key_of_name
from skdpipe.formats.defaults import FPS, to_keypoints
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
from skdpipe.formats.json_files import fields_of, is_whole_number, read_json, to_json, to_numbers
from skdpipe.formats.json_people import (
    DetectedPerson,
    join_frames,
    require_layout,
    round_pose,
    seen_people,
)
from skdpipe.formats.output import open_output, report_write_errors
from skdpipe.skeleton import OPENPOSE_18, Keypoints, Origin, PoseSequence

ESTIMATOR: Final = "kinetics-skeleton openpose"
SIZE: Final = (340, 256)  # the videos were resized to it before OpenPose

_SPLITS = {"kinetics_train": "train", "kinetics_val": "val", "kinetics_test": "test"}
_LABELS = "_label.json"
_EXPECTED = '{"data": [{"frame_index": 1, "skeleton": [{"pose": 36 numbers, "score": 18}]}], "label": name}'
_EXPECTED_LABELS = '{"ID": {"has_skeleton": true, "label": name, "label_index": 0}}'


def find_kinetics(path: Path) -> tuple[Path, ...]:
    """The file itself, or the clips under a folder, sorted, without those that contain no people.

    Clips with ``has_skeleton: false`` in the file of labels are left out, as ST-GCN's authors do. If there is
    no such file, all clips are listed. A file of labels that cannot be read is listed instead of its clips.

    Raises:
        FormatError: if there are none.
    """
    if path.is_file():
        return (path,)
    found = _files_under(path)
    if not found.to_read:
        raise FormatError(f"no JSON files of clips with people under {path}; expected kinetics_train or _val")
    return tuple(sorted(found.to_read))


@dataclass
class _Files:
    """The files under a folder.

    Attributes:
        to_read: the clips, and files of labels that cannot be read.
        without_people: the clips that are labelled as without a skeleton.
        unlabelled: the clips whose file of labels cannot be read.
    """

    to_read: list[Path] = field(default_factory=list)
    without_people: list[Path] = field(default_factory=list)
    unlabelled: list[Path] = field(default_factory=list)


def _files_under(folder: Path) -> _Files:
    files = _Files()
    clips = [each for each in paths_below(folder, ".json") if not each.name.endswith(_LABELS)]
    for parent, of_folder in groupby(clips, key=lambda clip: clip.parent):
        absolute = parent.resolve()  # "." has no name
        labels = absolute.with_name(absolute.name + _LABELS)
        try:
            without_people = _without_people(labels) if labels.exists() else frozenset[str]()
        except FormatError:
            files.to_read.append(labels)
            files.unlabelled += of_folder
            continue
        for clip in of_folder:
            (files.without_people if clip.stem in without_people else files.to_read).append(clip)
    return files


def _without_people(labels: Path) -> frozenset[str]:
    clips = fields_of(read_json(labels, _EXPECTED_LABELS))
    return frozenset(name for name, clip in clips.items() if fields_of(clip).get("has_skeleton") is False)


# Reading ---------------------------------------------------------------------------------------


def load_kinetics(
    path: Path, *, size: tuple[int, int] = SIZE, fps: float = FPS, note: Note = ignore_note
) -> PoseSequence:
    """The tracked people of one clip; the folder's name is the split.

    Args:
        path: the file.
        size: width and height of the frames in pixels.
        fps: frames per second.
        note: receives the number of people left out.

    Raises:
        FormatError: if the file is not as described, or has coordinates in pixels.
    """
    is_of_labels = path.name.endswith(_LABELS)
    fields = fields_of(read_json(path, _EXPECTED_LABELS if is_of_labels else _EXPECTED))
    frames, label = fields.get("data"), fields.get("label")
    if not isinstance(frames, list) or not frames or not isinstance(label, str):
        raise FormatError(f"{path} holds {', '.join(fields) or 'no clip':.100}; expected {_EXPECTED}")
    people = dict(_read_frame(each, size, path) for each in frames)
    if len(people) != len(frames):
        raise FormatError(f"{path}: {len(frames)} frames with {len(people)} numbers; expected one for each")
    numbers = sorted(people)
    first = min(1, numbers[0])
    count = count_frames([number - first for number in numbers], path)
    rows = {row: people[number] for row, number in enumerate(numbers)}
    return PoseSequence(
        keypoints=join_frames(rows, len(rows), OPENPOSE_18, size, path, note),
        frame_index=np.array(numbers, np.int32) - first,
        video_frames=count,
        layout=OPENPOSE_18,
        fps=fps,
        size=size,
        origin=Origin(str(path), key_of_name(path), ESTIMATOR, label, _SPLITS.get(path.parent.name)),
    )


def _read_frame(found: Any, size: tuple[int, int], path: Path) -> tuple[int, list[DetectedPerson]]:
    fields = fields_of(found)
    number, skeletons = fields.get("frame_index"), fields.get("skeleton")
    if not is_whole_number(number) or number < 0 or not isinstance(skeletons, list):
        raise FormatError(f"{path}: frame {in_brief(number, 20)}; expected {_EXPECTED}")
    return number, [DetectedPerson(_read_person(each, size, path), None) for each in skeletons]


def _read_person(found: Any, size: tuple[int, int], path: Path) -> Keypoints:
    pose, score = (to_numbers(fields_of(found).get(name)) for name in ("pose", "score"))
    if pose.shape != (36,) or score.shape != (18,):
        raise FormatError(f"{path}: a person of {pose.size} and {score.size} numbers; expected {_EXPECTED}")
    xy = pose.reshape(18, 2)
    largest = np.abs(xy[(score > 0) & np.isfinite(xy).all(axis=1)]).max(initial=0)
    if largest > LARGEST_SHARE:
        raise FormatError(
            f"{path} has a coordinate of {largest:.0f}; expected shares of the frame, from 0 to 1: divide "
            "pixels by the frame's width and height, or import OpenPose's own files with `skdpipe import "
            "openpose`"
        )
    return to_keypoints(xy * np.array(size, np.float32), score)


# Writing ---------------------------------------------------------------------------------------


def write_kinetics(sequences: Iterable[PoseSequence], folder: Path, *, classes: Sequence[str] = ()) -> int:
    """Write ``kinetics_train/NAME.json``, ``kinetics_train_label.json`` and so on for each split.

    Clips without a split go to ``kinetics_all``. Coordinates and scores have three digits, as in the released
    files; a frame lists only people with a seen joint.

    Args:
        sequences: the clips.
        folder: where to write.
        classes: the class names in order; by default sorted.

    Returns:
        The number of clips written.

    Raises:
        FormatError: if there are none, a clip's layout is not openpose-18, it has no label, or a file cannot
            be written.
    """
    origins: list[Origin] = []
    lengths: list[int] = []
    taken: set[str] = set()
    with report_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as unlabelled:
            for sequence in sequences:
                require_layout(sequence, OPENPOSE_18)
                name = distinct_name(sequence.origin, taken)
                origins.append(replace(sequence.origin, source=name))
                lengths.append(unlabelled.write(to_json(_to_frames(sequence))))
            _, numbers = number_classes(origins, classes)
            unlabelled.seek(0)
            _write_labelled(folder, map(unlabelled.read, lengths), origins, numbers)
    return len(origins)


def _write_labelled(
    folder: Path, unlabelled: Iterable[bytes], origins: Sequence[Origin], numbers: Sequence[int]
) -> None:
    """Write the files with class numbers, which are known only after all clips were read."""
    if not origins:
        raise FormatError(f"no clips for {folder}; expected one or more")
    labels_of_split: dict[str, dict[str, Any]] = {}
    for origin, number, content in zip(origins, numbers, unlabelled, strict=True):
        frames = json.loads(content)
        split = origin.split or "all"
        if not split.isalnum():
            raise FormatError(f"split {split!r} of {origin.source} cannot name a file; rename it")
        label = {"label": origin.label, "label_index": number}
        with open_output(folder / f"kinetics_{split}" / f"{origin.source}.json") as file:
            file.write(to_json({"data": frames, **label}))
        has_skeleton = any(frame["skeleton"] for frame in frames)
        labels_of_split.setdefault(split, {})[origin.source] = {"has_skeleton": has_skeleton, **label}
    for split, labels in labels_of_split.items():
        with open_output(folder / f"kinetics_{split}{_LABELS}") as file:
            file.write(to_json(labels))


def _to_frames(sequence: PoseSequence) -> list[dict[str, Any]]:
    share = sequence.keypoints / np.array([*sequence.size, 1], np.float32)
    return [
        {"frame_index": int(frame) + 1, "skeleton": [_to_person(pose) for _, pose in seen_people(people)]}
        for frame, people in zip(sequence.frame_index, share, strict=True)
    ]


def _to_person(pose: Keypoints) -> dict[str, list[float]]:
    rounded = round_pose(pose, 3)
    return {"pose": rounded[:, :2].ravel().tolist(), "score": rounded[:, 2].tolist()}


# Catalogue -------------------------------------------------------------------------------------


def _count_without_people(path: Path) -> dict[str, int]:
    files = _files_under(path) if path.is_dir() else _Files()
    return {
        "clips without a skeleton according to the file of labels": len(files.without_people),
        "clips whose file of labels cannot be read": len(files.unlabelled),
    }


def _read(
    file: Path, root: Path, options: FormatOptions, around: Surroundings = NO_SURROUNDINGS
) -> Iterator[PoseSequence]:
    yield load_kinetics(file, size=options.size or SIZE, fps=options.fps_or_default, note=around.note)


def _write(sequences: Iterable[PoseSequence], path: Path, options: FormatOptions) -> int:
    return write_kinetics(sequences, path, classes=options.classes)


FORMAT = Format(
    name="kinetics",
    find=find_kinetics,
    read=_read,
    options=frozenset({"size", "fps"}),
    one_clip=True,
    left_out=_count_without_people,
    json_keys=(frozenset({"data[].skeleton"}), frozenset({"{}.has_skeleton"})),
)
TARGET = Target("kinetics", _write, frozenset({"labels"}))
