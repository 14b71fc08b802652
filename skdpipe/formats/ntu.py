"""NTU RGB+D and NTU RGB+D 120: one text file per video, the joints of Kinect v2 for each body in each frame.

Shahroudy, Liu, Ng, Wang, CVPR 2016; Liu et al., TPAMI 2020. A file ``S001C002P003R002A013.skeleton`` is of
setup 1, camera 2, subject (P) 3, replication 2, action 13 (here the label ``A013``). It contains the number
of frames; for each frame the number of bodies; for each body a line about it, the number of joints, and a
line per joint: x, y, z in metres, x, y in the depth image, x, y in the colour image, four numbers of
orientation, and whether the joint was tracked.

The coordinates in the colour image, 1920 by 1080 pixels, are kept, or on request the metres in the space of
the camera, which always serve to rank people by motion and to join bodies. Confidence is 1 for a tracked
joint, 0.5 for an inferred one, 0 otherwise.

Kinect gives a person a new id after losing it. Bodies of several ids become one person by these rules, which
follow the readers released with 2s-AGCN (Shi et al., CVPR 2019: people by place in the list of bodies,
ranked by motion) and CTR-GCN (Chen et al., ICCV 2021: bodies by id, ranked by motion, joined if their frames
do not overlap, those of at most 11 frames or wider than high are noise):

- A body continues a person that has no frame in common with it, at any distance. If there are several such
  people, or several bodies appear in one frame, the sum of the distances from the person's nearest frame is
  as small as possible.
- A body is noise if it has at most 11 frames, or if its width is above 0.8 of its height in 70% of its frames
  (chairs, reflections). It continues a person only within a metre; otherwise it ranks behind all people
  that are not noise, but is not deleted. If every body of a file is noise, none is.
- People are ranked by motion, most first.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from io import BytesIO, TextIOWrapper
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import ConfigError, FormatError
from skdpipe.formats.clip_arrays import lay_out_people
from skdpipe.formats.clip_names import key_of_name, match_name
from skdpipe.formats.defaults import FPS, every_frame, to_keypoints
from skdpipe.formats.folder_files import paths_below
from skdpipe.formats.format import (
    NO_SURROUNDINGS,
    Format,
    FormatOptions,
    Note,
    Space,
    Surroundings,
    ignore_note,
)
from skdpipe.pose.tracker import MOST_PEOPLE
from skdpipe.regular_file import read_regular
from skdpipe.skeleton import NTU_25, Origin, PoseSequence
from skdpipe.skeleton.assignment import assign_cheapest
from skdpipe.skeleton.tracks import Track

ESTIMATOR: Final = "ntu kinect"
SIZE: Final = (1920, 1080)

_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R\d{3}A\d{3}")
_BODY_FIELDS, _JOINT_FIELDS = 10, 12
_COLUMNS: Final = (0, 1, 2, 5, 6, 11)  # x, y, z in metres, x, y in pixels, tracking state
_STATE: Final = 5
_CONFIDENCE = np.array([0, 0.5, 1], np.float32)  # by tracking state
# CTR-GCN's thresholds (data/ntu/get_raw_denoised_data.py).
_SHORT_FRAMES: Final = 11
_LARGEST_WIDTH: Final = 0.8  # as a share of the height
_LARGEST_SHARE_WIDE: Final = 0.69754  # of a body's frames
_REACH: Final = 1.0  # metres between noise and the person that it continues
_MOST_NOISE: Final = 200  # bodies of noise that are compared with people; real files have a few
_LARGEST_NUMBER: Final = 1e6  # of a joint
_UNKNOWN_DISTANCE: Final = 1e6  # metres; of bodies without coordinates in the frames compared
# The training subjects of the two papers.
_SUBJECTS_60: Final = frozenset(
    (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38)
)  # fmt: skip
_SUBJECTS_120: Final = _SUBJECTS_60 | {
    45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92,
    93, 94, 95, 97, 98, 100, 103,
}  # fmt: skip
BENCHMARKS: Final = ("cross-subject", "cross-view", "cross-subject-120", "cross-setup")
_SHORT: Final = dict(zip(("xsub", "xview", "xsub120", "xset"), BENCHMARKS, strict=True))


def samples_to_skip() -> frozenset[str]:
    """The names of 535 samples with missing or incomplete skeletons, as listed by the data sets' authors.

    302 of them belong to NTU RGB+D (setups 1 to 17).
    """
    text = files("skdpipe.formats").joinpath("ntu_samples_to_skip.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


def find_ntu(path: Path) -> tuple[Path, ...]:
    """The file itself, or all ``.skeleton`` files under a folder except `samples_to_skip`, sorted.

    Raises:
        FormatError: if there are none.
    """
    if path.is_file():
        return (path,)
    damaged = samples_to_skip()
    paths = [each for each in paths_below(path, ".skeleton") if each.stem not in damaged]
    if not paths:
        raise FormatError(f"no .skeleton files in {path}; expected NTU RGB+D's skeletons")
    return tuple(paths)


def load_ntu(
    path: Path,
    *,
    split: str | None = None,
    people: int = 2,
    fps: float = FPS,
    space: Space | None = None,
    note: Note = ignore_note,
) -> PoseSequence:
    """The people of one video, sorted by motion, most first; see the module for how bodies become people.

    The motion of a person is the sum of the standard deviations of x, y and z over all joints and the frames
    that contain the person, as in the code released with 2s-AGCN. Joints of NaN, which some files contain,
    are not counted.

    Args:
        path: the file.
        split: one of `BENCHMARKS` (or xsub, xview, xsub120, xset), which assigns the clip to training or
            testing; without it the clip has no split.
        people: largest number of people to keep; the files have up to five, many of them chairs.
        fps: frames per second.
        space: ``camera`` for x, y and z in metres; by default x and y in the colour image.
        note: receives whether the clip has more people.

    Raises:
        ConfigError: if there is no such benchmark.
        FormatError: if the file is not as described.
    """
    name = match_name(path, _NAME, "S001C001P001R001A001.skeleton")
    bodies, frames = _read_bodies(path)
    everyone = _join_bodies(bodies, note)
    kept = everyone[:people]
    note(f"clips have more than {people} people, of whom {people} are kept", len(everyone) > people)
    columns, suffix = (slice(3), " in metres") if space == "camera" else (slice(3, 5), "")
    tracks = [
        Track(
            number,
            body.frames,
            to_keypoints(body.values[..., columns], _CONFIDENCE[body.values[..., _STATE].astype(np.intp)]),
        )
        for number, body in enumerate(kept)
    ]
    coordinates = 3 if space == "camera" else 2
    return PoseSequence(
        keypoints=lay_out_people(tracks, frames, NTU_25, path, note, coordinates=coordinates),
        frame_index=every_frame(frames),
        video_frames=frames,
        layout=NTU_25,
        fps=fps,
        size=(0, 0) if space == "camera" else SIZE,
        origin=Origin(
            source=str(path),
            key=key_of_name(path),
            estimator=ESTIMATOR + suffix,
            label=path.stem[16:20],
            split=_split_of(split, *map(int, name.groups())) if split else None,
            subject=path.stem[8:12],
        ),
    )


def _split_of(benchmark: str, setup: int, camera: int, subject: int) -> str:
    in_training = {
        "cross-subject": subject in _SUBJECTS_60,
        "cross-view": camera in {2, 3},
        "cross-subject-120": subject in _SUBJECTS_120,
        "cross-setup": setup % 2 == 0,
    }
    name = _SHORT.get(benchmark, benchmark)
    if name not in in_training:
        known = ", ".join([*BENCHMARKS, *_SHORT])
        raise ConfigError(f"no split '{benchmark}' of NTU RGB+D; expected one of {known}")
    return "train" if in_training[name] else "test"


@dataclass(frozen=True, eq=False)
class _Body:
    """A body, or the person that several bodies are, in the frames that contain it.

    Attributes:
        frames: ``(row,)`` numbers of these frames, increasing.
        rows: ``(row,)`` where the body's joints are in ``everything``.
        everything: ``(row, joint, 6)`` of all bodies of the file: x, y, z in metres, x, y in pixels, and the
            tracking state: 0 not tracked, 1 inferred, 2 tracked.
    """

    frames: NDArray[np.int32]
    rows: NDArray[np.intp]
    everything: NDArray[np.float64]

    @property
    def values(self) -> NDArray[np.float64]:
        """``(row, joint, 6)``, as ``everything``."""
        return self.everything[self.rows]

    @cached_property
    def motion(self) -> float:
        metres = self.values[..., :3]
        known = metres[np.isfinite(metres).all(axis=-1)]
        return float(known.std(axis=0).sum()) if len(known) else 0.0

    @cached_property
    def is_noise(self) -> bool:
        width, height = (np.ptp(self.values[..., axis], axis=1) for axis in (0, 1))
        wide = (width > _LARGEST_WIDTH * height).mean()
        return len(self.frames) <= _SHORT_FRAMES or bool(wide >= _LARGEST_SHARE_WIDE)

    def distance_to(self, body: _Body) -> float:
        """Mean distance of the joints in metres in the nearest two frames; infinite if a frame is shared."""
        after = np.searchsorted(self.frames, body.frames)
        rows = np.stack([np.maximum(after - 1, 0), np.minimum(after, len(self.frames) - 1)])
        gaps = np.abs(self.frames[rows] - body.frames)
        if not gaps.all():
            return float("inf")
        side, row = np.unravel_index(gaps.argmin(), gaps.shape)
        near, far = self.rows[rows[side, row]], body.rows[row]
        offset = self.everything[near, :, :3] - self.everything[far, :, :3]
        known = offset[np.isfinite(offset).all(axis=-1)]
        return float(np.linalg.norm(known, axis=-1).mean()) if len(known) else _UNKNOWN_DISTANCE

    def joined_with(self, body: _Body) -> _Body:
        frames = np.concatenate([self.frames, body.frames])
        order = np.argsort(frames, kind="stable")
        return _Body(frames[order], np.concatenate([self.rows, body.rows])[order], self.everything)


def _join_bodies(bodies: Sequence[_Body], note: Note) -> list[_Body]:
    """The bodies as people, sorted by motion; those that consist only of noise are last."""
    known = [body for body in bodies if not body.is_noise] or bodies
    people = _continue_people([], known, float("inf"))
    count = len(people)
    noise = [body for body in bodies if body.is_noise] if len(known) < len(bodies) else []
    if len(noise) > _MOST_NOISE:
        note(f"bodies of noise beyond {_MOST_NOISE} in a clip are left out", len(noise) - _MOST_NOISE)
    longest = sorted(noise, key=lambda body: -len(body.frames))[:_MOST_NOISE]
    people = _continue_people(people, longest, _REACH)
    people[:count] = sorted(people[:count], key=lambda person: -person.motion)
    people[count:] = sorted(people[count:], key=lambda person: -person.motion)
    return people


def _continue_people(people: Sequence[_Body], bodies: Sequence[_Body], reach: float) -> list[_Body]:
    """The people, continued by the bodies within ``reach``; the other bodies are people of their own."""
    people = list(people)
    in_order = sorted(bodies, key=lambda body: body.frames[0])
    for _, together in groupby(in_order, key=lambda body: body.frames[0]):
        new = list(together)
        distances = np.array([[person.distance_to(body) for body in new] for person in people])
        distances = distances.reshape(len(people), len(new))
        joined = {
            number: person
            for person, number in assign_cheapest(np.minimum(distances, 2 * _UNKNOWN_DISTANCE))
            if np.isfinite(distances[person, number]) and distances[person, number] <= reach
        }
        for number, body in enumerate(new):
            if number in joined:
                people[joined[number]] = people[joined[number]].joined_with(body)
            else:
                people.append(body)
    return people


def _read_bodies(path: Path) -> tuple[list[_Body], int]:
    """The bodies in order of appearance, and the number of frames."""
    lines = _LineReader(path)
    frames = lines.count("frames")
    rows_of: dict[str, list[tuple[int, int]]] = {}
    values = array("d")
    total = 0
    for frame in range(frames):
        bodies = lines.count("bodies")
        if bodies > MOST_PEOPLE:
            raise lines.broken(f"{bodies} bodies in one frame", f"at most {MOST_PEOPLE}")
        for _ in range(bodies):
            body_id = lines.fields(_BODY_FIELDS, "a body")[0]
            rows = rows_of.setdefault(body_id, [])
            if rows and rows[-1][0] == frame:
                raise lines.broken(f"body {body_id:.20} for the second time", "each once in a frame")
            joints = lines.count("joints")
            if joints != len(NTU_25):
                raise lines.broken(f"{joints} joints", f"{len(NTU_25)}")
            rows.append((frame, total))
            total += 1
            for _ in range(joints):
                values.extend(lines.joint())
    lines.end()
    everything = np.asarray(values, np.float64).reshape(total, len(NTU_25), len(_COLUMNS))
    return [_to_body(rows, everything) for rows in rows_of.values()], frames


def _to_body(rows: list[tuple[int, int]], everything: NDArray[np.float64]) -> _Body:
    frames, numbers = np.array(rows, np.intp).T
    return _Body(frames.astype(np.int32), numbers, everything)


class _LineReader:
    """Reads a file line by line; errors name the line number."""

    def __init__(self, path: Path) -> None:
        try:
            text = read_regular(path)
            text.decode("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise FormatError(f"{path} cannot be read ({error}); expected NTU RGB+D's text") from error
        self._path, self._number = path, 0
        self._lines: Iterator[str] = TextIOWrapper(BytesIO(text), encoding="ascii")

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
        """The `_COLUMNS` of a line of a joint."""
        try:
            numbers = [float(field) for field in self.fields(_JOINT_FIELDS, "a joint")]
        except ValueError as error:
            raise self.broken(f"{error!s:.60}", "numbers of a joint") from error
        if not all(abs(number) <= _LARGEST_NUMBER or math.isnan(number) for number in numbers):
            raise self.broken(f"{max(numbers, key=abs):g}", f"numbers of at most {_LARGEST_NUMBER:g}")
        if numbers[-1] not in {0, 1, 2}:
            raise self.broken(f"tracking state {numbers[-1]:g}", "0, 1 or 2")
        return [numbers[column] for column in _COLUMNS]

    def end(self) -> None:
        for line in self._lines:
            self._number += 1
            if line.strip():
                raise self.broken("more than the frames announced", "the end of the file")

    def broken(self, found: str, expected: str) -> FormatError:
        return FormatError(
            f"{self._path}, line {self._number}: found {found}, expected {expected}; download the file again"
        )


def _count_damaged(path: Path) -> dict[str, int]:
    damaged = samples_to_skip() if path.is_dir() else frozenset[str]()
    count = sum(each.stem in damaged for each in paths_below(path, ".skeleton"))
    return {"clips with missing or incomplete skeletons, as listed by the authors": count}


def _read(
    file: Path, root: Path, options: FormatOptions, around: Surroundings = NO_SURROUNDINGS
) -> Iterator[PoseSequence]:
    yield load_ntu(
        file, split=options.split, fps=options.fps_or_default, space=options.space, note=around.note
    )


FORMAT = Format(
    name="ntu",
    find=find_ntu,
    read=_read,
    options=frozenset({"split", "fps", "space"}),
    one_clip=True,
    key_of=key_of_name,  # the names are unique
    left_out=_count_damaged,
    suffix=".skeleton",
)
