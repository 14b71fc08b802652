"""Skeletons as plain numpy arrays: ST-GCN's data sets, and one array a clip as SKD was trained on.

**ST-GCN** (Yan, Xiong, Lin, AAAI 2018) keeps a side of a split in ``train_data.npy``, float32
``(clip, 3, frame, joint, person)``, and in ``train_label.pkl``: the clips' names and their class numbers.
The channels are x, y, confidence; clips are filled up with frames of zeros. **SKD** (Bian et al., IEEE TIP
2021) takes a clip as ``(joint, 3, frame, person)``.

Neither says how large the picture was: the caller does. Coordinates of at most 2 are taken as shares of the
picture counted from its middle (Kinetics-skeleton as ST-GCN prepares it, -0.5 to 0.5, of a picture of 340 by
256 pixels), larger ones as pixels from its top left. What else is taken for granted:

- A joint with confidence 0 is unseen.
- The empty frames at the end of an ST-GCN clip are filling, and are left out.
- A person keeps the place it has in the array. (In Kinetics-skeleton as ST-GCN prepares it, places are ranks
  by confidence within each frame; its JSON files are the better source.)
- Arrays whose third channel is no confidence (NTU RGB+D's metres) are refused.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from skdpipe.atomic_file import open_atomically
from skdpipe.errors import FormatError
from skdpipe.formats.defaults import (
    FPS,
    clip_name,
    distinct_name,
    every_frame,
    folders_between,
    label_and_split,
    layout_for,
    name_of_class,
    number_classes,
    to_keypoints,
)
from skdpipe.formats.plain_pickle import dump_plain, load_plain
from skdpipe.skeleton import Keypoints, Layout, Origin, PoseSequence, clip_key

ST_GCN_ESTIMATOR = "st-gcn array"
SKD_ESTIMATOR = "skd array"

_LARGEST_SHARE = 2.0  # of the picture: a body beyond its edge; no body fits into so few pixels
_DATA = "_data"


# ST-GCN's data sets ----------------------------------------------------------------------------


def find_st_gcn(path: Path) -> tuple[Path, ...]:
    """The array itself, or those arrays of a folder that have a label pickle.

    Raises:
        FormatError: if there are none.
    """
    paths = (path,) if path.is_file() else tuple(sorted(path.glob("*.npy")))
    paths = tuple(each for each in paths if path.is_file() or _label_file(each).is_file())
    if not paths:
        raise FormatError(f"no arrays at {path}; expected NAME_data.npy and NAME_label.pkl beside it")
    return paths


def load_st_gcn(
    path: Path,
    *,
    size: tuple[int, int] | None,
    layout: str | None = None,
    classes: Sequence[str] = (),
    fps: float = FPS,
) -> Iterator[PoseSequence]:
    """The clips of an array one after the other; the iterator goes on after a clip that is refused.

    The array is mapped into memory, not read. Its name says the split, if it begins with train, val or test.

    Args:
        path: the array; ``NAME_label.pkl`` lies beside it, of which nothing is executed.
        size: width and height of the picture in pixels.
        layout: what the joints are; by default the known layout with as many.
        classes: the names of the classes in order; by default they are called ``class_007``.
        fps: frames per second.

    Raises:
        FormatError: at once if the files are not as described or the size is missing, and for each clip
            whose values cannot be joints in a picture.
        DataError: if there is no such layout.
    """
    data = _mapped(path)
    if data.ndim != 5 or data.shape[1] != 3 or data.dtype.kind != "f":
        raise _wrong_array(path, data, "floats (clip, 3, frame, joint, person)")
    size = _required(size, path)
    names, labels = _names_and_labels(_label_file(path), len(data))
    joints = layout_for(data.shape[3], layout, path)
    split = label_and_split((path.name.split("_")[0], ""))[1]

    def sequence(number: int) -> PoseSequence:
        where, name = f"{path}: clip {names[number]}", clip_name(names[number])
        keypoints = _in_pixels(np.transpose(data[number], (1, 3, 2, 0)), size, where)
        shown = np.flatnonzero((keypoints[..., 2] > 0).any(axis=(1, 2)))
        keypoints = keypoints[: shown[-1] + 1 if len(shown) else 1]
        label = name_of_class(labels[number], classes, where)
        origin = Origin(str(path / name), clip_key(name), ST_GCN_ESTIMATOR, label, split)
        return _whole_clip(keypoints, joints, fps, size, origin)

    return map(sequence, range(len(data)))


def write_st_gcn(
    sequences: Iterable[PoseSequence],
    folder: Path,
    *,
    classes: Sequence[str] = (),
    frames: int = 300,
    people: int = 2,
) -> int:
    """Write clips as ``train_data.npy``, ``train_label.pkl`` and so on: a pair of files for each split.

    Clips without a split go to ``all_data.npy``. Coordinates are shares of the picture, from -0.5 to 0.5;
    unseen joints and the frames after a clip's end are 0. Frames that were not sampled are not written. The
    names of the classes go to ``classes.txt``. One clip at a time is held in memory.

    Args:
        sequences: the clips, all of one layout.
        folder: where to write.
        classes: the classes in the order of their numbers; by default sorted.
        frames: frames of the array.
        people: people of the array: those with the highest mean confidence of each clip.

    Returns:
        How many clips were written.

    Raises:
        FormatError: if there are none, a clip is longer than the array, their layouts differ, a clip has no
            label, or the files cannot be written.
    """
    sides: dict[str, _Side] = {}
    taken: set[str] = set()
    with ExitStack() as files:
        for sequence in sequences:
            name = distinct_name(sequence.origin, taken)
            split = sequence.origin.split or "all"
            if split not in sides:
                if not split.isalnum():
                    raise FormatError(f"split {split!r} of {name} cannot name a file; rename it")
                file = files.enter_context(open_atomically(folder / f"{split}{_DATA}.npy"))
                sides[split] = _Side(file, (3, frames, len(sequence.layout), people))
            sides[split].add(name, sequence)
        origins = [origin for side in sides.values() for origin in side.origins]
        if not origins:
            raise FormatError(f"no clips for {folder}; expected one or more")
        order, numbers = number_classes(origins, classes)
        for split, side in sides.items():
            mine, numbers = numbers[: len(side.origins)], numbers[len(side.origins) :]
            side.finish()
            label_file = files.enter_context(open_atomically(folder / f"{split}_label.pkl"))
            dump_plain(([origin.source for origin in side.origins], mine), label_file)
        file = files.enter_context(open_atomically(folder / "classes.txt"))
        file.write("".join(f"{name}\n" for name in order).encode())
    return len(origins)


@dataclass
class _Side:
    """An array that grows by one clip at a time; its header, of fixed length, is written at last."""

    file: IO[bytes]
    shape: tuple[int, int, int, int]
    origins: list[Origin] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._start = self.file.write(self._header())

    def add(self, name: str, sequence: PoseSequence) -> None:
        _, frames, joints, people = self.shape
        if len(sequence.layout) != joints:
            raise FormatError(f"{name} has {len(sequence.layout)} joints, clips before it {joints}; map them")
        if len(sequence.keypoints) > frames:
            raise FormatError(
                f"{name} has {len(sequence.keypoints)} frames, the array {frames}; give more with --frames"
            )
        confidence = sequence.keypoints[..., 2].sum(axis=(0, 2))
        chosen = sequence.keypoints[:, np.argsort(-confidence, kind="stable")[:people]]
        share = chosen / np.array([*sequence.size, 1], np.float32) - np.array([0.5, 0.5, 0], np.float32)
        clip = np.zeros(self.shape, np.float32)
        shown = np.where(chosen[..., 2:] > 0, share, 0)
        clip[:, : len(shown), :, : shown.shape[1]] = np.transpose(shown, (3, 0, 2, 1))
        self.file.write(clip.tobytes())
        self.origins.append(replace(sequence.origin, source=name))

    def finish(self) -> None:
        self.file.seek(0)
        written = self.file.write(self._header())
        assert written == self._start

    def _header(self) -> bytes:
        header = io.BytesIO()
        described = {"descr": "<f4", "fortran_order": False, "shape": (len(self.origins), *self.shape)}
        np.lib.format.write_array_header_1_0(header, described)  # numpy leaves room for more clips
        return header.getvalue()


def _label_file(path: Path) -> Path:
    return path.with_name(f"{path.stem.split(_DATA)[0]}_label.pkl")


def _names_and_labels(path: Path, count: int) -> tuple[list[str], list[Any]]:
    content = load_plain(path)
    if not isinstance(content, list | tuple) or len(content) < 2:
        raise FormatError(
            f"{path} holds {type(content).__name__}; expected the clips' names and their labels"
        )
    names, labels = (
        list(part) if isinstance(part, list | tuple | np.ndarray) else [] for part in content[:2]
    )
    if len(names) != count or len(labels) != count or not all(isinstance(name, str) for name in names):
        raise FormatError(
            f"{path} has {len(names)} names and {len(labels)} labels; expected {count} of each, as many as "
            "the array has clips"
        )
    return [str(name) for name in names], labels


# An array a clip -------------------------------------------------------------------------------


def find_skd(folder: Path) -> tuple[Path, ...]:
    """The arrays of a folder of class folders (``train/`` and ``test/`` above them are the split).

    Raises:
        FormatError: if there are none.
    """
    paths = tuple(sorted(folder.rglob("*.npy"))) if folder.is_dir() else (folder,) * folder.is_file()
    if not paths:
        raise FormatError(f"no .npy files at {folder}; expected an array a clip, in a folder for each class")
    return paths


def load_skd(
    path: Path,
    *,
    size: tuple[int, int] | None,
    root: Path | None = None,
    layout: str | None = None,
    fps: float = FPS,
) -> PoseSequence:
    """The clip of one array ``(joint, 3, frame, person)``.

    Args:
        path: the array.
        size: width and height of the picture in pixels.
        root: the folder whose folders name the classes; without it the clip has no label.
        layout: what the joints are; by default the known layout with as many.
        fps: frames per second.

    Raises:
        FormatError: if the array is not as described, or the size is missing.
        DataError: if there is no such layout.
    """
    data = _mapped(path)
    if data.ndim != 4 or data.shape[1] != 3 or data.dtype.kind != "f" or not data.shape[2]:
        raise _wrong_array(path, data, "floats (joint, 3, frame, person)")
    size, joints = _required(size, path), layout_for(len(data), layout, path)
    keypoints = _in_pixels(np.transpose(data, (2, 3, 0, 1)), size, str(path))
    label, split = label_and_split(folders_between(root, path) if root else ())
    origin = Origin(str(path), clip_key(clip_name(path.name)), SKD_ESTIMATOR, label, split)
    return _whole_clip(keypoints, joints, fps, size, origin)


# Both ------------------------------------------------------------------------------------------


def _mapped(path: Path) -> NDArray[Any]:
    try:
        data: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error}); expected an array of numpy's") from error
    except Exception as error:  # damaged headers make numpy raise several kinds
        found = " ".join(str(error).split())
        raise FormatError(f"{path} is no array of numbers ({found:.100}); expected a .npy file") from error
    if not isinstance(data, np.ndarray):
        raise FormatError(f"{path} is an archive of arrays; expected one array in a .npy file")
    return data


def _wrong_array(path: Path, data: NDArray[Any], expected: str) -> FormatError:
    return FormatError(f"{path} is {data.dtype} of shape {data.shape}; expected {expected}")


def _required(size: tuple[int, int] | None, path: Path) -> tuple[int, int]:
    if size is None:
        raise FormatError(
            f"{path} does not say how large the picture was; give --size WIDTH HEIGHT "
            "(Kinetics-skeleton: 340 256)"
        )
    return size


def _in_pixels(data: NDArray[Any], size: tuple[int, int], where: str) -> Keypoints:
    """Keypoints from ``(frame, person, joint, 3)`` in shares of the picture or in pixels."""
    data = np.asarray(data, np.float32)
    confidence = data[..., 2]
    if (np.nan_to_num(confidence) < 0).any() or (np.nan_to_num(confidence) > 1.5).any():
        low, high = np.nanmin(confidence), np.nanmax(confidence)
        raise FormatError(
            f"{where}: the third channel reaches from {low:.2f} to {high:.2f}; expected a confidence from 0 "
            "to 1 (metres of NTU are no places in a picture: use `skdpipe import ntu`)"
        )
    keypoints = to_keypoints(data[..., :2], confidence)
    xy = keypoints[..., :2][keypoints[..., 2] > 0]
    if np.abs(xy).max(initial=0) <= _LARGEST_SHARE:
        keypoints[..., :2] = (keypoints[..., :2] + 0.5) * np.array(size, np.float32)
    return keypoints


def _whole_clip(
    keypoints: Keypoints, layout: Layout, fps: float, size: tuple[int, int], origin: Origin
) -> PoseSequence:
    count = len(keypoints)
    return PoseSequence(np.ascontiguousarray(keypoints), every_frame(count), count, layout, fps, size, origin)
