"""NTU RGB+D and NTU RGB+D 120: a text file a video, the joints of Kinect v2 for each body in each frame.

Shahroudy, Liu, Ng, Wang, CVPR 2016; Liu et al., TPAMI 2020. A file ``S001C002P003R002A013.skeleton`` is of
setup 1, camera 2, subject (P) 3, replication 2, action 13 (here the label ``A013``). It says how many frames
there are; for each frame how many bodies; for each body a line about it, how many joints it has, and a line a
joint: x, y, z in metres, x, y in the depth picture, x, y in the colour picture, four numbers of orientation,
and whether the joint was tracked.

Kept are the places in the colour picture, 1920 by 1080 pixels, since a `PoseSequence` is in pixels; the
metres serve to find out who moves. Confidence is 1 for a tracked joint, 0.5 for an inferred one, 0 otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import ConfigError, FormatError
from skdpipe.formats.defaults import every_frame, to_keypoints
from skdpipe.skeleton import NTU_25, Origin, PoseSequence, clip_key

ESTIMATOR: Final = "ntu kinect"
FPS: Final = 30.0
SIZE: Final = (1920, 1080)

_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R\d{3}A\d{3}")
_BODY_FIELDS, _JOINT_FIELDS = 10, 12
_CONFIDENCE = np.array([0, 0.5, 1], np.float32)  # by tracking state
# The subjects, cameras and setups for training, from the two papers.
_SUBJECTS_60: Final = frozenset(
    (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38)
)  # fmt: skip
_SUBJECTS_120: Final = _SUBJECTS_60 | {
    45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92,
    93, 94, 95, 97, 98, 100, 103,
}  # fmt: skip
SPLITS: Final = ("cross-subject", "cross-view", "cross-subject-120", "cross-setup")
_SHORT: Final = {"xsub": SPLITS[0], "xview": SPLITS[1], "xsub120": SPLITS[2], "xset": SPLITS[3]}


def samples_to_skip() -> frozenset[str]:
    """The names of 535 samples whose skeletons are missing or incomplete, by the data sets' authors.

    302 of them are of NTU RGB+D (setups 1 to 17).
    """
    text = files("skdpipe.formats").joinpath("ntu_samples_to_skip.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


def find_ntu(path: Path) -> tuple[Path, ...]:
    """The file itself, or all ``.skeleton`` files under a folder but those of `samples_to_skip`, by name.

    Raises:
        FormatError: if there are none.
    """
    if path.is_file():
        return (path,)
    damaged = samples_to_skip()
    paths = sorted(each for each in path.rglob("*.skeleton") if each.stem not in damaged)
    if not paths:
        raise FormatError(f"no .skeleton files in {path}; expected NTU RGB+D's skeletons")
    return tuple(paths)


def load_ntu(path: Path, *, split: str | None = None, people: int = 2, fps: float = FPS) -> PoseSequence:
    """The people of one video, those who move most first.

    How much somebody moves is the sum of the standard deviations of x, y and z over all joints and the frames
    that show the body, as in the code released with 2s-AGCN. Joints of NaN, which some files hold, are not
    counted.

    Args:
        path: the file.
        split: one of `SPLITS` (or xsub, xview, xsub120, xset), which says whether the clip is for training;
            without it the clip has none.
        people: at most so many are kept; the files have up to five, many of them chairs.
        fps: frames per second.

    Raises:
        ConfigError: if there is no such split.
        FormatError: if the file is not as described.
    """
    name = _NAME.fullmatch(path.stem)
    if name is None:
        raise FormatError(f"{path} is not called like S001C001P001R001A001.skeleton; give it its name back")
    bodies, frames = _bodies(path)
    bodies.sort(key=lambda body: -body.motion)
    kept = bodies[:people]
    keypoints = np.full((frames, len(kept), len(NTU_25), 3), np.nan, np.float32)
    keypoints[..., 2] = 0
    for place, body in enumerate(kept):
        confidence = _CONFIDENCE[body.state]
        keypoints[body.frames, place] = to_keypoints(body.joints[..., 3:], confidence)
    return PoseSequence(
        keypoints=keypoints,
        frame_index=every_frame(frames),
        video_frames=frames,
        layout=NTU_25,
        fps=fps,
        size=SIZE,
        origin=Origin(
            source=str(path),
            key=clip_key(path.stem),
            estimator=ESTIMATOR,
            label=path.stem[16:20],
            split=_side(split, *map(int, name.groups())) if split else None,
            subject=path.stem[8:12],
        ),
    )


def _side(split: str, setup: int, camera: int, subject: int) -> str:
    sides = {
        "cross-subject": subject in _SUBJECTS_60,
        "cross-view": camera in {2, 3},
        "cross-subject-120": subject in _SUBJECTS_120,
        "cross-setup": setup % 2 == 0,
    }
    name = _SHORT.get(split, split)
    if name not in sides:
        raise ConfigError(f"no split '{split}' of NTU RGB+D; expected one of {', '.join([*SPLITS, *_SHORT])}")
    return "train" if sides[name] else "test"


@dataclass(frozen=True)
class _Body:
    """A body by its number: the frames that show it, ``(frame, joint, 5)`` and ``(frame, joint)``."""

    frames: list[int]
    joints: NDArray[np.float64]  # x, y, z in metres, x, y in pixels
    state: NDArray[np.intp]

    @property
    def motion(self) -> float:
        metres = self.joints[..., :3]
        known = metres[np.isfinite(metres).all(axis=-1)]
        return float(known.std(axis=0).sum()) if len(known) else 0.0


def _bodies(path: Path) -> tuple[list[_Body], int]:
    """The bodies in the order in which they come, and how many frames there are."""
    lines = _Lines(path)
    frames = lines.count("frames")
    seen: dict[str, list[tuple[int, NDArray[np.float64]]]] = {}
    for frame in range(frames):
        for _ in range(lines.count("bodies")):
            identity = lines.fields(_BODY_FIELDS, "a body")[0]
            rows = seen.setdefault(identity, [])
            if rows and rows[-1][0] == frame:
                raise lines.broken(f"body {identity:.20} for the second time", "each once in a frame")
            joints = lines.count("joints")
            if joints != len(NTU_25):
                raise lines.broken(f"{joints} joints", f"{len(NTU_25)}")
            rows.append((frame, np.array([lines.joint() for _ in range(joints)])))
    lines.end()
    return [_body(rows) for rows in seen.values()], frames


def _body(rows: list[tuple[int, NDArray[np.float64]]]) -> _Body:
    numbers = np.stack([joints for _, joints in rows])
    return _Body(
        [frame for frame, _ in rows], numbers[..., [0, 1, 2, 5, 6]], numbers[..., 11].astype(np.intp)
    )


class _Lines:
    """The lines of a file one after the other; whatever is not as it should be is said with its number."""

    def __init__(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise FormatError(f"{path} cannot be read ({error}); expected NTU RGB+D's text") from error
        self._path, self._number = path, 0
        self._lines: Iterator[str] = iter(text.splitlines())

    def fields(self, count: int, what: str) -> list[str]:
        line = next(self._lines, None)
        self._number += 1
        if line is None:
            raise self.broken("the end of the file", what)
        fields = line.split()
        if len(fields) != count:
            raise self.broken(f"{len(fields)} fields", f"{count} of {what}")
        return fields

    def count(self, what: str) -> int:
        (field,) = self.fields(1, f"the number of {what}")
        if not field.isdecimal() or len(field) > 6:
            raise self.broken(f"{field:.20}", f"the number of {what}")
        return int(field)

    def joint(self) -> list[float]:
        try:
            numbers = [float(field) for field in self.fields(_JOINT_FIELDS, "a joint")]
        except ValueError as error:
            raise self.broken(f"{error}", "numbers of a joint") from error
        if numbers[-1] not in {0, 1, 2}:
            raise self.broken(f"tracking state {numbers[-1]:g}", "0, 1 or 2")
        return numbers

    def end(self) -> None:
        for line in self._lines:
            self._number += 1
            if line.strip():
                raise self.broken("more than the frames announced", "the end of the file")

    def broken(self, found: str, expected: str) -> FormatError:
        return FormatError(
            f"{self._path}, line {self._number}: found {found}, expected {expected}; get the file anew"
        )
