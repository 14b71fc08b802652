"""OpenPose's JSON files (Cao et al., TPAMI 2021, doc/02_output.md): a folder a video, a file a frame.

    NAME_000000000000_keypoints.json: {"people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, c, ...]}]}

Poses have COCO's 18 joints or BODY_25's, of which the same 18 are kept. Places are pixels, an unseen joint is
0, 0, 0. Neither the picture's size nor the frames per second are recorded. `openpose_output` writes the same.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import numpy as np

from skdpipe.errors import FormatError
from skdpipe.formats.coco_people import DetectedPerson, follow
from skdpipe.formats.defaults import FPS, clip_name, folders_between, label_and_split, to_keypoints
from skdpipe.skeleton import OPENPOSE_18, Origin, PoseSequence, clip_key

ESTIMATOR: Final = "openpose"

_FRAME = re.compile(r"(?:(.*)_)?(0*\d{1,9})_keypoints\.json")
# Where BODY_25 has the 18: its eighth is the middle of the hips, its last six are feet.
_OF_BODY_25: Final = (*range(8), *range(9, 19))
_EXPECTED = '{"people": [{"pose_keypoints_2d": [x, y, c, ...]}]} with 18 or 25 joints'


def find_openpose(path: Path) -> tuple[Path, ...]:
    """The folders under a path (itself among them) that hold files of frames, by name.

    Raises:
        FormatError: if there are none.
    """
    folders = sorted({file.parent for file in path.rglob("*_keypoints.json") if _FRAME.fullmatch(file.name)})
    if not folders:
        raise FormatError(
            f"no files like clip_000000000000_keypoints.json under {path}; expected a folder of them a clip"
        )
    return tuple(folders)


def load_openpose(
    folder: Path, *, size: tuple[int, int] | None, root: Path | None = None, fps: float = FPS
) -> PoseSequence:
    """The people of one video: by OpenPose's numbers where it tracked them, followed here otherwise.

    Args:
        folder: holds a file a frame; frames that have none are left out.
        size: width and height of the video in pixels.
        root: the folder whose folders name the classes; without it the clip has no label.
        fps: frames per second.

    Raises:
        FormatError: if a file is not as described, the folder holds more than one video, or the size is
            missing.
    """
    if size is None:
        raise FormatError(f"{folder} does not say how large the video is; give --size WIDTH HEIGHT")
    numbered = _numbered(folder)
    numbers = sorted(numbered)
    people = [_read_frame(numbered[number]) for number in numbers]
    label, split = label_and_split(folders_between(root, folder) if root else ())
    return PoseSequence(
        keypoints=follow(people, OPENPOSE_18, size, folder),
        frame_index=np.array(numbers, np.int32),
        video_frames=numbers[-1] + 1,
        layout=OPENPOSE_18,
        fps=fps,
        size=size,
        origin=Origin(str(folder), clip_key(clip_name(folder.name)), ESTIMATOR, label, split),
    )


def _numbered(folder: Path) -> dict[int, Path]:
    """The files of a video by the number of their frame."""
    files = {
        file: match for file in folder.glob("*_keypoints.json") if (match := _FRAME.fullmatch(file.name))
    }
    videos = sorted({match[1] or "" for match in files.values()})
    numbered = {int(match[2]): file for file, match in files.items()}
    if len(videos) != 1 or len(numbered) != len(files):
        raise FormatError(
            f"{folder} holds {len(files)} files with {len(numbered)} numbers of {len(videos)} videos "
            f"({', '.join(videos):.60}); expected a folder for each video and a file for each frame"
        )
    return numbered


def _read_frame(file: Path) -> list[DetectedPerson]:
    try:
        content: Any = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{file} is no JSON ({error!s:.60}); expected {_EXPECTED}") from error
    found = content.get("people") if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise FormatError(f"{file} lists no people; expected {_EXPECTED}")
    return [_read_person(each, file) for each in found]


def _read_person(found: Any, file: Path) -> DetectedPerson:
    fields = found if isinstance(found, dict) else {}
    try:
        values = np.array(fields.get("pose_keypoints_2d"), np.float32)
    except (TypeError, ValueError, OverflowError):
        values = np.zeros(0, np.float32)
    if values.shape not in {(3 * 18,), (3 * 25,)}:
        raise FormatError(f"{file}: a person of {values.size} numbers; expected {_EXPECTED}")
    joints = values.reshape(-1, 3)
    if len(joints) == 25:
        joints = joints[list(_OF_BODY_25)]
    return DetectedPerson(to_keypoints(joints[:, :2], joints[:, 2]), _identity(fields.get("person_id")))


def _identity(said: Any) -> int | None:
    """OpenPose's number of a person; -1 where it did not track."""
    tracked = isinstance(said, list) and len(said) == 1 and isinstance(said[0], int) and said[0] >= 0
    return int(said[0]) if tracked else None
