"""Kinetics-skeleton (Yan, Xiong, Lin, AAAI 2018): Kinetics-400 by OpenPose, a JSON file a clip.

    kinetics_train/ID.json:
    {"data": [{"frame_index": 1, "skeleton": [{"pose": [x, y, ...], "score": [...]}]}], "label": name}

Places are shares of the picture from its top left, frames count from 1, 18 joints; people stand in no order.
Beside a folder, ``kinetics_train_label.json`` says of each ID whether anybody was found: ``has_skeleton``.
Files that ST-GCN's own tools pack from a user's videos count frames from 0 and have a frame 0, by which they
are told. `openpose_output` writes the same as was released.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from skdpipe.errors import FormatError
from skdpipe.formats.defaults import FPS, to_keypoints
from skdpipe.pose.tracker import track
from skdpipe.skeleton import OPENPOSE_18, Keypoints, Origin, PoseSequence, clip_key

ESTIMATOR: Final = "kinetics-skeleton openpose"
SIZE: Final = (340, 256)  # what the videos were brought to before OpenPose saw them

_SPLITS = {"kinetics_train": "train", "kinetics_val": "val", "kinetics_test": "test"}
_LABELS = "_label.json"
_MOST_FRAMES = 1_000_000
_EXPECTED = '{"data": [{"frame_index": 1, "skeleton": [{"pose": 36 numbers, "score": 18}]}], "label": name}'


def find_kinetics(path: Path) -> tuple[Path, ...]:
    """The file itself, or the clips under a folder by name, but those without people.

    Clips of which the file of labels says that they have no skeleton are left out of training and testing, as
    ST-GCN's authors do. Where there is no such file, all clips are taken.

    Raises:
        FormatError: if there are none, or a file of labels cannot be read.
    """
    if path.is_file():
        return (path,)
    found = [each for each in path.rglob("*.json") if not each.name.endswith(_LABELS)]
    without_people = {folder: _without_people(folder) for folder in {each.parent for each in found}}
    paths = tuple(sorted(each for each in found if each.stem not in without_people[each.parent]))
    if not paths:
        raise FormatError(f"no JSON files of clips with people under {path}; expected kinetics_train or _val")
    return paths


def _without_people(folder: Path) -> frozenset[str]:
    """The clips of a folder that have no skeleton, by the file of labels beside it."""
    whole = folder.resolve()  # the folder one is in has no name otherwise
    labels = whole.with_name(whole.name + _LABELS)
    if not labels.is_file():
        return frozenset()
    said = _parsed(labels, '{"ID": {"has_skeleton": true, "label": name, "label_index": 0}}')
    clips = said.items() if isinstance(said, dict) else ()
    return frozenset(
        name for name, clip in clips if isinstance(clip, dict) and clip.get("has_skeleton") is False
    )


def _parsed(path: Path, expected: str) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path} is no JSON ({error!s:.60}); expected {expected}") from error


def load_kinetics(path: Path, *, size: tuple[int, int] = SIZE, fps: float = FPS) -> PoseSequence:
    """The people of one clip, followed from frame to frame; the split is the folder's.

    Args:
        path: the file.
        size: width and height of the picture in pixels, of which the places are shares.
        fps: frames per second.

    Raises:
        FormatError: if the file is not as described.
    """
    content = _parsed(path, _EXPECTED)
    fields = content if isinstance(content, dict) else {}
    frames, label = fields.get("data"), fields.get("label")
    if not isinstance(frames, list) or not frames or not isinstance(label, str):
        raise FormatError(f"{path} holds {', '.join(fields) or 'no clip'}; expected {_EXPECTED}")
    people = dict(_frame(each, size, path) for each in frames)
    if len(people) != len(frames):
        raise FormatError(f"{path}: {len(frames)} frames with {len(people)} numbers; expected one for each")
    numbers = sorted(people)
    first = min(1, numbers[0])
    return PoseSequence(
        keypoints=track([people[number] for number in numbers], OPENPOSE_18, size),
        frame_index=np.array(numbers, np.int32) - first,
        video_frames=numbers[-1] - first + 1,
        layout=OPENPOSE_18,
        fps=fps,
        size=size,
        origin=Origin(str(path), clip_key(path.stem), ESTIMATOR, label, _SPLITS.get(path.parent.name)),
    )


def _frame(found: Any, size: tuple[int, int], path: Path) -> tuple[int, Keypoints]:
    fields = found if isinstance(found, dict) else {}
    number, skeletons = fields.get("frame_index"), fields.get("skeleton")
    if not isinstance(number, int) or not 0 <= number <= _MOST_FRAMES or not isinstance(skeletons, list):
        raise FormatError(f"{path}: frame {number!r:.20}; expected {_EXPECTED}")
    return number, np.array([_person(each, size, path) for each in skeletons], np.float32).reshape(-1, 18, 3)


def _person(found: Any, size: tuple[int, int], path: Path) -> Keypoints:
    fields = found if isinstance(found, dict) else {}
    try:
        pose, score = (np.array(fields.get(name), np.float32) for name in ("pose", "score"))
    except (TypeError, ValueError, OverflowError):
        pose = score = np.zeros(0, np.float32)
    if pose.shape != (36,) or score.shape != (18,):
        raise FormatError(f"{path}: a person of {pose.size} and {score.size} numbers; expected {_EXPECTED}")
    return to_keypoints(pose.reshape(18, 2) * np.array(size, np.float32), score)
