"""OpenPose's JSON files (Cao et al., TPAMI 2021, doc/02_output.md): one folder per video, one file per frame.

    NAME_000000000000_keypoints.json: {"people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, c, ...]}]}

Versions before 1.2 name the field ``pose_keypoints``. Poses have COCO's 18 joints or those of BODY_25, of
which the same 18 are kept unless the layout is named. An unseen joint is 0, 0, 0. Neither the frame size nor
the frames per second are recorded.

Coordinates are pixels. The shares that ``--keypoint_scale 3`` (0 to 1) and ``4`` (-1 to 1) write are
recognised by the seen joints of the whole clip, since no body is within one pixel, and become pixels by
OpenPose's own formula: 1 is the last column or row (size - 1). If all joints of a clip of scale 4 are in the
lower right quarter of the frame, it cannot be distinguished from scale 3. Pixels of another size (scale 1 and
2) are refused if most joints are outside a frame of one and a half times the size; smaller ones cannot be
recognised.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from skdpipe.errors import FormatError
from skdpipe.formats.clip_arrays import count_frames
from skdpipe.formats.clip_names import (
    distinct_name,
    folders_between,
    folders_for,
    key_of_name,
    label_and_split,
)
from skdpipe.formats.defaults import FPS, require_size, to_keypoints
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
    layout_of_people,
    require_layout,
    round_pose,
    seen_people,
)
from skdpipe.formats.output import open_output
from skdpipe.skeleton import (
    BODY_25,
    OPENPOSE_18,
    Keypoints,
    Origin,
    PoseSequence,
    is_seen,
    layout_named,
    map_layout,
)

ESTIMATOR: Final = "openpose"

_FRAME_FILE = re.compile(r"(?:(.*)_)?(0*\d{1,9})_keypoints\.json")
_FAR_OUTSIDE: Final = 1.5  # times the size of the frame; bodies may be cut off by its edge
_LARGEST_SHARE: Final = 1.001  # of the frame, in files with rounded numbers
_EXPECTED = '{"people": [{"pose_keypoints_2d": [x, y, c, ...]}]} with 18 or 25 joints'
_OTHER_PARTS = ("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d")


def find_openpose(path: Path) -> tuple[Path, ...]:
    """The folders under a path (also the path itself) that contain frame files, sorted.

    Raises:
        FormatError: if there are none, or the path is the file of one frame.
    """
    if path.is_file():
        raise FormatError(
            f"{path} is one frame by OpenPose; expected the folder of a clip: give {path.parent}"
        )
    files = paths_below(path, "_keypoints.json")
    folders = sorted({file.parent for file in files if _FRAME_FILE.fullmatch(file.name)})
    if not folders:
        raise FormatError(
            f"no files like clip_000000000000_keypoints.json under {path}; expected a folder of them per clip"
        )
    return tuple(folders)


def load_openpose(
    folder: Path,
    *,
    size: tuple[int, int] | None,
    root: Path | None = None,
    layout: str | None = None,
    fps: float = FPS,
    note: Note = ignore_note,
) -> PoseSequence:
    """The people of one video, by OpenPose's track numbers if it tracked them, otherwise tracked here.

    Args:
        folder: contains one file per frame; missing frames are left out.
        size: width and height of the video in pixels.
        root: the folder that contains the class folders; without it the clip has no label.
        layout: name of the layout of the result; by default openpose-18.
        fps: frames per second.
        note: receives that coordinates were shares of the frame, and the number of people left out.

    Raises:
        FormatError: if a file is not as described, the folder contains several videos, the size is missing,
            or most joints are far outside the frame.
        DataError: if there is no such layout, or it has joints that the files lack.
    """
    size = require_size(size, folder, " or --videos")
    files = _frame_files(folder)
    numbers = sorted(files)
    count = count_frames(numbers, folder)
    people = _in_pixels([_read_frame(files[number]) for number in numbers], size, folder, note)
    label, split = label_and_split(folders_between(root, folder))
    target = layout_named(layout) if layout else OPENPOSE_18
    joints = max((len(person.pose) for each in people for person in each), default=len(target))
    named = BODY_25 if joints == len(BODY_25) else OPENPOSE_18
    stored = layout_of_people(people, named.name, folder)
    sequence = PoseSequence(
        keypoints=join_frames(dict(enumerate(people)), len(people), stored, size, folder, note),
        frame_index=np.array(numbers, np.int32),
        video_frames=count,
        layout=stored,
        fps=fps,
        size=size,
        origin=Origin(str(folder), key_of_name(folder), ESTIMATOR, label, split),
    )
    return map_layout(sequence, target)


def _frame_files(folder: Path) -> dict[int, Path]:
    """The files of a video by frame number."""
    files = {
        file: match for file in folder.glob("*_keypoints.json") if (match := _FRAME_FILE.fullmatch(file.name))
    }
    videos = sorted({match[1] or "" for match in files.values()})
    numbered = {int(match[2]): file for file, match in files.items()}
    if len(videos) != 1 or len(numbered) != len(files):
        raise FormatError(
            f"{folder} holds {len(files)} files with {len(numbered)} numbers of {len(videos)} videos "
            f"({', '.join(videos):.60}); expected a folder for each video and a file for each frame"
        )
    return numbered


def _in_pixels(
    frames: Sequence[list[DetectedPerson]], size: tuple[int, int], folder: Path, note: Note
) -> Sequence[list[DetectedPerson]]:
    """The people with coordinates in pixels."""
    poses = [person.pose for people in frames for person in people]
    xy = np.concatenate([pose[is_seen(pose), :2] for pose in poses]) if poses else np.zeros((0, 2))
    if not len(xy):
        return frames
    if np.abs(xy).max() > _LARGEST_SHARE:
        if (xy > _FAR_OUTSIDE * np.array(size)).any(axis=1).mean() > 0.5:
            raise FormatError(
                f"{folder} has coordinates up to {xy[:, 0].max():.0f}, {xy[:, 1].max():.0f} in frames of "
                f"{size[0]}x{size[1]} pixels; expected pixels of the video: give its --size, or run OpenPose "
                "with --keypoint_scale 0"
            )
        return frames
    low, scale = (-1, 4) if xy.min() < 0 else (0, 3)
    note(f"clips have coordinates from {low} to 1 (--keypoint_scale {scale}), which are scaled to pixels", 1)
    factor = (np.array(size, np.float32) - 1) / (1 - low)
    return [
        [
            replace(person, pose=(person.pose - (low, low, 0)) * np.array([*factor, 1], np.float32))
            for person in people
        ]
        for people in frames
    ]


def _read_frame(file: Path) -> list[DetectedPerson]:
    found = fields_of(read_json(file, _EXPECTED)).get("people")
    if not isinstance(found, list):
        raise FormatError(f"{file} has no list of people; expected {_EXPECTED}")
    return [_read_person(each, file) for each in found]


def _read_person(found: Any, file: Path) -> DetectedPerson:
    fields = fields_of(found)
    values = to_numbers(fields.get("pose_keypoints_2d", fields.get("pose_keypoints")))
    if values.shape not in {(3 * 18,), (3 * 25,)}:
        raise FormatError(f"{file}: a person of {values.size} numbers; expected {_EXPECTED}")
    joints = values.reshape(-1, 3)
    return DetectedPerson(to_keypoints(joints[:, :2], joints[:, 2]), _track_id(fields.get("person_id")))


def _track_id(person_id: Any) -> int | None:
    """OpenPose's number of a person, which is -1 without tracking."""
    number = person_id[0] if isinstance(person_id, list) and len(person_id) == 1 else None
    return number if is_whole_number(number) and 0 <= number < 2**63 else None


def write_openpose(sequences: Iterable[PoseSequence], folder: Path) -> int:
    """Write a folder for each clip and a file for each stored frame, below folders for splits and classes.

    Unseen joints are 0; ``person_id`` is the person index, as OpenPose's tracking writes it.

    Returns:
        The number of clips written.

    Raises:
        FormatError: if a clip's layout is not openpose-18, its label cannot name a folder, or a file cannot
            be written.
    """
    taken: set[str] = set()
    for sequence in sequences:
        require_layout(sequence, OPENPOSE_18)
        name = distinct_name(sequence.origin, taken)
        clip = folder.joinpath(*folders_for(sequence.origin), name)
        for frame, people in zip(sequence.frame_index, sequence.keypoints, strict=True):
            found = [_to_person(index, pose) for index, pose in seen_people(people)]
            with open_output(clip / f"{name}_{frame:012d}_keypoints.json") as file:
                file.write(to_json({"version": 1.3, "people": found}))
    return len(taken)


def _to_person(index: int, pose: Keypoints) -> dict[str, Any]:
    values = round_pose(pose, 3).ravel().tolist()
    return {"person_id": [index], "pose_keypoints_2d": values, **{part: [] for part in _OTHER_PARTS}}


# Catalogue -------------------------------------------------------------------------------------


def _read(
    file: Path, root: Path, options: FormatOptions, around: Surroundings = NO_SURROUNDINGS
) -> Iterator[PoseSequence]:
    yield load_openpose(
        file,
        size=options.size,
        root=root,
        layout=options.layout,
        fps=options.fps_or_default,
        note=around.note,
    )


def _write(sequences: Iterable[PoseSequence], path: Path, options: FormatOptions) -> int:
    return write_openpose(sequences, path)


FORMAT = Format(
    name="openpose",
    find=find_openpose,
    read=_read,
    options=frozenset({"layout", "size", "fps"}),
    one_clip=True,
    json_keys=(frozenset({"people"}),),
)
TARGET = Target("openpose", _write)
