"""UTD-MHAD: one MATLAB file per video with the joints of Kinect v1.

Chen, Jafari, Kehtarnavaz, ICIP 2015. A file ``a1_s1_t1_skeleton.mat`` is of action 1, subject 1, trial 1. It
has ``d_skel``, ``(joint, 3, frame)``: x, y, z of 20 joints in metres in the space of the camera. The order of
the joints is the data set's own, from the head down; here it is Kinect's. The label is the action in the name
of the file, for example ``a1``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from skdpipe.errors import ConfigError, FormatError
from skdpipe.formats.arrays import require_moderate_clip, to_keypoints_in_space, to_sequence
from skdpipe.formats.clip_names import find_named, key_of_name, match_name
from skdpipe.formats.defaults import FPS
from skdpipe.formats.format import NO_SURROUNDINGS, Format, FormatOptions, Surroundings
from skdpipe.formats.matlab import read_matlab
from skdpipe.skeleton import KINECT_20, Origin, PoseSequence

ESTIMATOR: Final = "utd-mhad kinect"
BENCHMARK: Final = "cross-subject"

_EXAMPLE: Final = "a1_s1_t1_skeleton.mat"
_NAME = re.compile(r"(a\d+)_(s(\d+))_t\d+_skeleton")
_JOINTS: Final = (
    "head", "shoulder_centre", "spine", "hip_centre",
    "left_shoulder", "left_elbow", "left_wrist", "left_hand",
    "right_shoulder", "right_elbow", "right_wrist", "right_hand",
    "left_hip", "left_knee", "left_ankle", "left_foot",
    "right_hip", "right_knee", "right_ankle", "right_foot",
)  # fmt: skip


def find_utd_mhad(path: Path) -> tuple[Path, ...]:
    """The file itself, or all files named like it under a folder, see `find_named`."""
    return find_named(path, _NAME, _EXAMPLE)


def load_utd_mhad(path: Path, *, split: str | None = None, fps: float = FPS) -> PoseSequence:
    """The person of one video.

    Args:
        path: the file.
        split: ``cross-subject``: odd subjects are for training, even ones for testing; without it the clip
            has no split.
        fps: frames per second.

    Raises:
        ConfigError: if there is no such benchmark.
        FormatError: if the file is not as described.
    """
    name = match_name(path, _NAME, _EXAMPLE)
    if split not in {None, BENCHMARK}:
        raise ConfigError(f"no split '{split}' of UTD-MHAD; expected {BENCHMARK}")
    try:
        points = read_matlab(path, {"d_skel"}).get("d_skel", np.zeros(0))
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error.strerror}); expected a MATLAB file") from error
    except FormatError as error:
        raise FormatError(
            f"{path} is not a MATLAB file of version 5 (found {error}); download it again"
        ) from error
    if (
        points.ndim != 3
        or points.shape[:2] != (20, 3)
        or not points.shape[2]
        or points.dtype.kind not in "iuf"
    ):
        raise FormatError(f"{path}: d_skel of shape {points.shape}; expected numbers (20, 3, frame)")
    require_moderate_clip(points.shape, path)
    columns = [_JOINTS.index(joint) for joint in KINECT_20.joints]
    keypoints = to_keypoints_in_space(np.transpose(points, (2, 0, 1))[:, None, columns])
    side = None if split is None else "train" if int(name[3]) % 2 else "test"
    origin = Origin(str(path), key_of_name(_named_by(path)), ESTIMATOR, name[1], side, name[2])
    return to_sequence(keypoints, KINECT_20, fps, (0, 0), origin)


def _named_by(file: Path) -> Path:
    """The name that the files of one recording share: ``a1_s1_t1``."""
    return file.with_name(file.stem.removesuffix("_skeleton"))


def _read(
    file: Path, root: Path, options: FormatOptions, around: Surroundings = NO_SURROUNDINGS
) -> Iterator[PoseSequence]:
    yield load_utd_mhad(file, split=options.split, fps=options.fps_or_default)


FORMAT = Format(
    name="utd-mhad",
    find=find_utd_mhad,
    read=_read,
    options=frozenset({"split", "fps"}),
    one_clip=True,
    named_by=_named_by,
    suffix="_skeleton.mat",
)
