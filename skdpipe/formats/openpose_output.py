"""OpenPose's JSON files and Kinetics-skeleton's, written: both hold OpenPose's 18 joints.

OpenPose (Cao et al., TPAMI 2021, doc/02_output.md) writes a folder a video and in it a file a frame,
``NAME_000000000000_keypoints.json``, in pixels. Kinetics-skeleton (Yan, Xiong, Lin, AAAI 2018) has a file a
clip in ``kinetics_train`` and ``kinetics_val``, in shares of the picture from its top left, frames counted
from 1, and a file of labels for each side of the split.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skdpipe.atomic_file import open_atomically
from skdpipe.errors import FormatError
from skdpipe.formats.defaults import distinct_name, folders_for, number_classes
from skdpipe.skeleton import Keypoints, Origin, PoseSequence

_LAYOUT = "openpose-18"
_OTHER_PARTS = ("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d")


def write_openpose(sequences: Iterable[PoseSequence], folder: Path) -> int:
    """Write a folder for each clip and a file for each stored frame, below folders for splits and classes.

    Unseen joints are 0; ``person_id`` is the person's place, as OpenPose's tracking writes it.

    Returns:
        How many clips were written.

    Raises:
        FormatError: if a clip's layout is not openpose-18, its label cannot name a folder, or a file cannot
            be written.
    """
    taken: set[str] = set()
    for sequence in sequences:
        _require_layout(sequence)
        name = distinct_name(sequence.origin, taken)
        clip = folder.joinpath(*folders_for(sequence.origin), name)
        for frame, people in zip(sequence.frame_index, sequence.keypoints, strict=True):
            found = [_openpose_person(place, pose) for place, pose in enumerate(people) if _is_seen(pose)]
            with open_atomically(clip / f"{name}_{frame:012d}_keypoints.json") as file:
                file.write(_to_json({"version": 1.3, "people": found}))
    return len(taken)


def write_kinetics(sequences: Iterable[PoseSequence], folder: Path, *, classes: Sequence[str] = ()) -> int:
    """Write ``kinetics_train/NAME.json``, ``kinetics_train_label.json`` and so on for each side of the split.

    Clips without a split go to ``kinetics_all``. Places and scores have three digits, as in the released
    files; people who are not seen in a frame are not listed there.

    Args:
        sequences: the clips.
        folder: where to write.
        classes: the classes in the order of their numbers; by default sorted.

    Returns:
        How many clips were written.

    Raises:
        FormatError: if there are none, a clip's layout is not openpose-18, it has no label, or a file cannot
            be written.
    """
    origins: list[Origin] = []
    taken: set[str] = set()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".kinetics-", dir=folder) as waiting:
            for sequence in sequences:
                _require_layout(sequence)
                name = distinct_name(sequence.origin, taken)
                origins.append(replace(sequence.origin, source=name))
                (Path(waiting) / name).write_bytes(_to_json(_kinetics_frames(sequence)))
            _, numbers = number_classes(origins, classes)
            _finish(folder, Path(waiting), origins, numbers)
    except OSError as error:
        raise FormatError(f"cannot write into {folder} ({error}); choose another folder") from error
    return len(origins)


def _finish(folder: Path, waiting: Path, origins: Sequence[Origin], numbers: Sequence[int]) -> None:
    """Give each clip the number of its class, which is known when all clips have been seen."""
    if not origins:
        raise FormatError(f"no clips for {folder}; expected one or more")
    sides: dict[str, dict[str, Any]] = {}
    for origin, number in zip(origins, numbers, strict=True):
        frames = json.loads((waiting / origin.source).read_bytes())
        side = origin.split or "all"
        if not side.isalnum():
            raise FormatError(f"split {side!r} of {origin.source} cannot name a file; rename it")
        label = {"label": origin.label, "label_index": number}
        with open_atomically(folder / f"kinetics_{side}" / f"{origin.source}.json") as file:
            file.write(_to_json({"data": frames, **label}))
        shown = any(frame["skeleton"] for frame in frames)
        sides.setdefault(side, {})[origin.source] = {"has_skeleton": shown, **label}
    for side, labels in sides.items():
        with open_atomically(folder / f"kinetics_{side}_label.json") as file:
            file.write(_to_json(labels))


def _kinetics_frames(sequence: PoseSequence) -> list[dict[str, Any]]:
    share = sequence.keypoints / np.array([*sequence.size, 1], np.float32)
    return [
        {
            "frame_index": int(frame) + 1,
            "skeleton": [_kinetics_person(pose) for pose in people if _is_seen(pose)],
        }
        for frame, people in zip(sequence.frame_index, share, strict=True)
    ]


def _kinetics_person(pose: Keypoints) -> dict[str, list[float]]:
    shown = _rounded(pose)
    return {"pose": shown[:, :2].ravel().tolist(), "score": shown[:, 2].tolist()}


def _openpose_person(place: int, pose: Keypoints) -> dict[str, Any]:
    shown = _rounded(pose).ravel().tolist()
    return {"person_id": [place], "pose_keypoints_2d": shown, **{part: [] for part in _OTHER_PARTS}}


def _rounded(pose: Keypoints) -> NDArray[np.float64]:
    """Unseen joints as 0, the others to three digits; what is seen stays so."""
    seen = pose[:, 2] > 0
    shown: NDArray[np.float64] = np.where(seen[:, None], pose, 0).astype(np.float64).round(3)
    shown[seen, 2] = np.maximum(shown[seen, 2], 0.001)
    return shown


def _is_seen(pose: Keypoints) -> bool:
    return bool((pose[:, 2] > 0).any())


def _require_layout(sequence: PoseSequence) -> None:
    if sequence.layout.name != _LAYOUT:
        raise FormatError(
            f"{sequence.origin.source} has layout {sequence.layout.name}; expected {_LAYOUT}: map it with "
            f"--target-layout {_LAYOUT}"
        )


def _to_json(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
