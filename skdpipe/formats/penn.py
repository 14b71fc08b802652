"""Penn Action: 2,326 videos of 15 actions, 13 joints annotated by hand in every frame, as MATLAB files.

Zhang, Zhu, Derpanis, "From Actemes to Action", ICCV 2013. Properties of the 2,326 files:

- Side of the joints: the files do not name the 13 columns, and published readers disagree about which side
  comes first. The content decides it: in 99 of the 99 jumping jacks seen from the front with both shoulders
  visible, the second column is left of the third in the image, in 126 of 126 bowlers seen from the back right
  of it, and the strumming hand of 70 of 79 guitarists is the sixth column. So the person's right side comes
  first; here the columns are put into the order of PENN_13.
- An invisible joint holds a placeholder near (1, 1), scaled with the image, or an outdated position: only
  ``visibility`` decides. One file, 1516, has no visible joint at all and gives an empty sequence.
- Coordinates count from 1 and are kept: the annotators' images were resized afterwards, by 0.67 to 1.5, which
  leaves less than a pixel of doubt. Whole numbers are stored in 8 or 16 unsigned bits.
- Four files (0979, 1021, 1024, 1032) have joints up to 175 pixels outside the image, since the annotators
  followed bodies beyond its edge. They are kept.
- In two files (1154, 1865) ``bbox`` lacks a row. Boxes are not used.
- Action names differ from the data set's own list (``strum_guitar``, there strumming_guitar; ``bowl``,
  ``pullup``, ``pushup``, ``situp``, ``squat``); the names of the files are kept.
- Frames per second are not recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import FormatError, in_brief
from skdpipe.formats.defaults import FPS, every_frame, to_keypoints
from skdpipe.formats.format import NO_SURROUNDINGS, Format, FormatOptions, Surroundings
from skdpipe.formats.matlab import LARGEST_CONTENT, read_matlab
from skdpipe.regular_file import read_regular
from skdpipe.skeleton import PENN_13, Keypoints, Origin, PoseSequence

ESTIMATOR = "penn-action annotation"

_FIELDS = ("action", "x", "y", "visibility", "train", "dimensions", "nframes")
_SPLITS = {1: "train", -1: "test"}
_COLUMNS = (
    "head", "right_shoulder", "left_shoulder", "right_elbow", "left_elbow", "right_wrist", "left_wrist",
    "right_hip", "left_hip", "right_knee", "left_knee", "right_ankle", "left_ankle",
)  # fmt: skip


def find_penn(path: Path) -> tuple[Path, ...]:
    """The file itself, or the data set's annotation files, given its root or its ``labels`` folder, sorted.

    Raises:
        FormatError: if there are none.
    """
    if path.is_file():
        return (path,)
    labels = path / "labels" if (path / "labels").is_dir() else path
    paths = tuple(sorted(labels.glob("*.mat")))
    if not paths:
        raise FormatError(
            f"no .mat files in {labels}; expected Penn Action's annotations: "
            "give the data set's root or its labels folder"
        )
    return paths


def load_penn(path: Path, fps: float = FPS) -> PoseSequence:
    """The one annotated person of a video, with label and official split; visible joints have confidence 1.

    The key is that of `key_of_annotation`: to pair the clip with a video, replace it by the video's key.

    Raises:
        FormatError: if the file cannot be read or is not an annotation of Penn Action.
    """
    key = key_of_annotation(path)
    fields = _read_fields(path)
    (frames,) = _whole_numbers(path, fields, "nframes", 1)
    (split,) = _whole_numbers(path, fields, "train", 1)
    height, width, length = _whole_numbers(path, fields, "dimensions", 3)
    if length != frames:
        raise _broken(path, f"{length} frames in dimensions", f"{frames}, as in nframes")
    if split not in _SPLITS:
        raise _broken(path, f"train {split}", "1 for training or -1 for testing")
    return PoseSequence(
        keypoints=_keypoints(path, fields, frames),
        frame_index=every_frame(frames),
        video_frames=frames,
        layout=PENN_13,
        fps=fps,
        size=(width, height),
        origin=Origin(
            source=str(path),
            key=key,
            estimator=ESTIMATOR,
            label=_text(path, fields, "action"),
            split=_SPLITS[split],
        ),
    )


def key_of_annotation(path: Path) -> str:
    """The SHA-256 of the annotation file.

    Raises:
        FormatError: if the file cannot be read.
    """
    try:
        return hashlib.sha256(read_regular(path, LARGEST_CONTENT)).hexdigest()
    except OSError as error:
        raise FormatError(
            f"{path} cannot be read ({error.strerror}); expected a Penn Action annotation"
        ) from error


def _read_fields(path: Path) -> dict[str, NDArray[Any]]:
    try:
        fields = read_matlab(path, _FIELDS)
    except OSError as error:
        raise _broken(path, f"{error.strerror}", "a MATLAB file") from error
    except FormatError as error:
        raise _broken(path, str(error), "a MATLAB file of version 5") from error
    missing = [name for name in _FIELDS if name not in fields]
    if missing:
        raise _broken(path, f"no {', '.join(missing)}", f"the fields {', '.join(_FIELDS)}")
    return fields


def _keypoints(path: Path, fields: dict[str, NDArray[Any]], frames: int) -> Keypoints:
    expected = (frames, len(_COLUMNS))
    for name in ("x", "y", "visibility"):
        if fields[name].shape != expected or fields[name].dtype.kind not in "buif":
            raise _broken(
                path,
                f"{name} of shape {fields[name].shape} and type {fields[name].dtype}",
                f"numbers of shape {expected}, from nframes and the 13 joints",
            )
    xy = np.stack([fields[name] for name in ("x", "y")], axis=-1)
    columns = to_keypoints(xy, fields["visibility"] > 0)
    return columns[:, None, [_COLUMNS.index(joint) for joint in PENN_13.joints]]


def _whole_numbers(path: Path, fields: dict[str, NDArray[Any]], name: str, count: int) -> list[int]:
    value = np.ravel(fields[name])
    numeric = value.dtype.kind in "buif" and value.size == count
    if not numeric or not all(float(number).is_integer() for number in value):
        raise _broken(path, f"{name} {_shown(value)}", f"{count} whole number{'s'[: count - 1]}")
    return [int(number) for number in value]


def _text(path: Path, fields: dict[str, NDArray[Any]], name: str) -> str:
    value = fields[name]
    if value.size != 1 or value.dtype.kind != "U" or not value.item().strip():
        raise _broken(path, f"{name} {_shown(value)}", "one word")
    return str(value.item()).strip()


def _shown(value: NDArray[Any]) -> str:
    return in_brief(value.ravel()[:7].tolist(), 60)


def _broken(path: Path, found: str, expected: str) -> FormatError:
    found = " ".join(found.split())
    return FormatError(
        f"{path} is not an annotation of Penn Action: found {found}, expected {expected}; download the file "
        "again"
    )


def _read(
    file: Path, root: Path, options: FormatOptions, around: Surroundings = NO_SURROUNDINGS
) -> Iterator[PoseSequence]:
    yield load_penn(file, options.fps_or_default)


FORMAT = Format(
    name="penn",
    find=find_penn,
    read=_read,
    options=frozenset({"fps"}),
    one_clip=True,
    key_of=key_of_annotation,
    cache_folder="penn-action",
    suffix=".mat",
)
