"""Kinetics-skeleton (Yan, Xiong, Lin, AAAI 2018): Kinetics-400 by OpenPose, a JSON file a clip.

    kinetics_train/ID.json:
    {"data": [{"frame_index": 1, "skeleton": [{"pose": [x, y, ...], "score": [...]}]}], "label": name}

Places are shares of the picture from its top left, frames count from 1, 18 joints; people stand in no order.
`openpose_output` writes the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from skdpipe.errors import FormatError
from skdpipe.formats.unsaid import FPS, to_keypoints
from skdpipe.pose.tracking import track
from skdpipe.skeleton import OPENPOSE_18, Keypoints, Origin, PoseSequence, clip_key

ESTIMATOR: Final = "kinetics-skeleton openpose"
SIZE: Final = (340, 256)  # what the videos were brought to before OpenPose saw them

_SPLITS = {"kinetics_train": "train", "kinetics_val": "val", "kinetics_test": "test"}
_LABELS = "_label.json"
_MOST_FRAMES = 1_000_000
_EXPECTED = '{"data": [{"frame_index": 1, "skeleton": [{"pose": 36 numbers, "score": 18}]}], "label": name}'


def find_kinetics(path: Path) -> tuple[Path, ...]:
    """The file itself, or all clips under a folder, by name; the files of labels are not needed.

    Raises:
        FormatError: if there are none.
    """
    if path.is_file():
        return (path,)
    paths = tuple(sorted(each for each in path.rglob("*.json") if not each.name.endswith(_LABELS)))
    if not paths:
        raise FormatError(f"no JSON files under {path}; expected kinetics_train and kinetics_val with clips")
    return paths


def load_kinetics(path: Path, *, size: tuple[int, int] = SIZE, fps: float = FPS) -> PoseSequence:
    """The people of one clip, followed from frame to frame; the split is the folder's.

    Args:
        path: the file.
        size: width and height of the picture in pixels, of which the places are shares.
        fps: frames per second.

    Raises:
        FormatError: if the file is not as described.
    """
    try:
        content: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{path} is no JSON ({error!s:.60}); expected {_EXPECTED}") from error
    fields = content if isinstance(content, dict) else {}
    frames, label = fields.get("data"), fields.get("label")
    if not isinstance(frames, list) or not frames or not isinstance(label, str):
        raise FormatError(f"{path} holds {', '.join(fields) or 'no clip'}; expected {_EXPECTED}")
    people = dict(sorted(_frame(each, size, path) for each in frames))
    numbers = list(people)
    return PoseSequence(
        keypoints=track(list(people.values()), OPENPOSE_18, size),
        frame_index=np.array(numbers, np.int32) - 1,
        video_frames=numbers[-1],
        layout=OPENPOSE_18,
        fps=fps,
        size=size,
        origin=Origin(str(path), clip_key(path.stem), ESTIMATOR, label, _SPLITS.get(path.parent.name)),
    )


def _frame(found: Any, size: tuple[int, int], path: Path) -> tuple[int, Keypoints]:
    fields = found if isinstance(found, dict) else {}
    number, skeletons = fields.get("frame_index"), fields.get("skeleton")
    if not isinstance(number, int) or not 1 <= number <= _MOST_FRAMES or not isinstance(skeletons, list):
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
