"""ST-GCN's data sets (Yan, Xiong, Lin, AAAI 2018): one array and one label pickle for each split.

``train_data.npy`` is float32 ``(clip, 3, frame, joint, person)``; clips are padded with frames of zeros.
``train_label.pkl`` holds the clip names and their class numbers. `arrays` describes the channels. The empty
frames at the end of a clip are padding and are left out. (In Kinetics-skeleton as ST-GCN prepares it, the
person index is the rank by confidence within each frame; its JSON files are the better source.)
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from skdpipe.errors import FormatError
from skdpipe.formats.arrays import SIZE_ALTERNATIVE, open_array, read_array, to_sequence, wrong_array
from skdpipe.formats.class_names import name_of_class, number_classes, write_class_names
from skdpipe.formats.clip_names import (
    distinct_name,
    distinct_names,
    is_clip_name,
    label_and_split,
    path_of_clip,
)
from skdpipe.formats.defaults import FPS, layout_for, require_size
from skdpipe.formats.format import (
    NO_SURROUNDINGS,
    Format,
    FormatOptions,
    SizeOf,
    Space,
    Surroundings,
    Target,
    read_each,
)
from skdpipe.formats.output import open_output
from skdpipe.formats.plain_pickle import dump_plain, load_plain
from skdpipe.skeleton import Origin, PoseSequence, clip_key, is_seen
from skdpipe.skeleton.people import select_people
from skdpipe.skeleton.transforms import normalise_by_image

ESTIMATOR: Final = "st-gcn array"
FRAMES: Final = 300
PEOPLE: Final = 2

_DATA = "_data"
_LABELS = "_label.pkl"


def find_st_gcn(path: Path) -> tuple[Path, ...]:
    """The array itself, or the arrays of a folder that have a label pickle.

    Raises:
        FormatError: if there are none.
    """
    paths = (path,) if path.is_file() else tuple(sorted(path.glob("*.npy")))
    paths = tuple(each for each in paths if path.is_file() or _label_file(each).is_file())
    if not paths:
        raise FormatError(f"no arrays at {path}; expected NAME_data.npy and NAME_label.pkl beside it")
    return paths


# Reading ---------------------------------------------------------------------------------------


def load_st_gcn(
    path: Path,
    *,
    size: tuple[int, int] | None,
    layout: str | None = None,
    classes: Sequence[str] = (),
    fps: float = FPS,
    space: Space | None = None,
    size_of: SizeOf | None = None,
) -> Iterator[PoseSequence]:
    """The clips of an array; the iterator can be continued after a clip that raises.

    The array is mapped into memory, not read. The split is the start of its name, if that is train, val or
    test.

    Args:
        path: the array, beside ``NAME_label.pkl``, which is read without executing it.
        size: width and height of the frames in pixels; not needed in the space of a camera.
        layout: name of the layout; by default the known layout with that number of joints.
        classes: the class names in order; by default ``class_007`` and so on.
        fps: frames per second.
        space: ``camera`` if the channels are x, y and z.
        size_of: width and height of a clip's video, by the clip's path, if the size is not given.

    Raises:
        FormatError: immediately if the files are not as described or no sizes are given, and on the way for
            each clip whose size is missing or whose values are not joints in a frame.
        DataError: if there is no such layout.
    """
    data = open_array(path)
    if data.ndim != 5 or data.shape[1] != 3 or data.dtype.kind != "f" or not data[:1].size:
        raise wrong_array(path, data, "floats (clip, 3, frame, joint, person)")
    names, labels = _names_and_labels(_label_file(path), len(data))
    if space != "camera" and size_of is None:
        require_size(size, path, f"{SIZE_ALTERNATIVE}, or --space camera")
    clip_paths = [path_of_clip(name) for name in names]
    distinct = distinct_names(clip_paths)
    joints = layout_for(data.shape[3], layout, path, 3 if space == "camera" else 2)
    split = label_and_split((path.name.split("_")[0], ""))[1]

    def words_for(number: int) -> str:
        return f"clip {names[number] or f'number {number + 1}'}"

    def sequence(number: int) -> PoseSequence:
        where = f"{path}: {words_for(number)}"
        if not names[number]:
            raise FormatError(f"{where} has no name; expected text of at most 1,000 characters in the labels")
        of_video = size_of(clip_paths[number]) if size_of and not size else None
        values = np.transpose(data[number], (1, 3, 2, 0))
        keypoints, frame_size = read_array(values, size or of_video, space, where)
        with_people = np.flatnonzero(is_seen(keypoints).any(axis=(1, 2)))
        keypoints = keypoints[: with_people[-1] + 1 if len(with_people) else 1]
        label = name_of_class(labels[number], classes, where)
        source = str(path.joinpath(*clip_paths[number]))
        origin = Origin(source, clip_key(distinct[number]), ESTIMATOR, label, split)
        return to_sequence(keypoints, joints, fps, frame_size, origin)

    return read_each(path, range(len(data)), sequence, words_for)


def _label_file(path: Path) -> Path:
    return path.with_name(f"{path.stem.split(_DATA)[0]}{_LABELS}")


def is_label_file(path: Path) -> bool:
    """Whether a pickle holds the names and labels of an array beside it."""
    is_named = path.name.endswith(_LABELS)
    return is_named and path.with_name(f"{path.name.removesuffix(_LABELS)}{_DATA}.npy").is_file()


def _names_and_labels(path: Path, count: int) -> tuple[list[str], list[Any]]:
    content = load_plain(path)
    if not isinstance(content, list | tuple) or len(content) < 2:
        raise FormatError(
            f"{path} holds {type(content).__name__}; expected the clips' names and their labels"
        )
    names, labels = (_listed(part) for part in content[:2])
    if len(names) != count or len(labels) != count or not all(isinstance(name, str) for name in names):
        raise FormatError(
            f"{path} has {len(names)} names and {len(labels)} labels; expected {count} of each, the number "
            "of clips in the array"
        )
    return [str(name) if is_clip_name(name) else "" for name in names], labels


def _listed(part: Any) -> list[Any]:
    is_array = isinstance(part, np.ndarray) and part.ndim == 1
    return list(part) if is_array or isinstance(part, list | tuple) else []


# Writing ---------------------------------------------------------------------------------------


def write_st_gcn(
    sequences: Iterable[PoseSequence],
    folder: Path,
    *,
    classes: Sequence[str] = (),
    frames: int = FRAMES,
    people: int = PEOPLE,
) -> int:
    """Write clips as ``train_data.npy``, ``train_label.pkl`` and so on: a pair of files for each split.

    Clips without a split go to ``all_data.npy``. The channels are x and y as shares of the frame, from -0.5
    to 0.5, and the confidence; or x, y and z without the confidence. Unseen joints and the frames after the
    end of a clip are 0. Frames that were not sampled are not written. The class names go to ``classes.txt``.
    One clip at a time is held in memory.

    Args:
        sequences: the clips, all of one layout.
        folder: where to write.
        classes: the class names in order; by default sorted.
        frames: frames of the array.
        people: people of the array: those with the highest mean confidence of each clip.

    Returns:
        The number of clips written.

    Raises:
        FormatError: if there are none, a clip is longer than the array, their layouts differ, a clip has no
            label, or the files cannot be written.
    """
    arrays: dict[str, _ArrayWriter] = {}
    taken: set[str] = set()
    with ExitStack() as files:
        for sequence in sequences:
            name = distinct_name(sequence.origin, taken)
            split = sequence.origin.split or "all"
            if split not in arrays:
                if not split.isalnum():
                    raise FormatError(f"split {split!r} of {name} cannot name a file; rename it")
                file = files.enter_context(open_output(folder / f"{split}{_DATA}.npy"))
                arrays[split] = _ArrayWriter(file, (3, frames, len(sequence.layout), people))
            arrays[split].add(name, sequence)
        origins = [origin for array in arrays.values() for origin in array.origins]
        if not origins:
            raise FormatError(f"no clips for {folder}; expected one or more")
        order, numbers = number_classes(origins, classes)
        for split, array in arrays.items():
            labels, numbers = numbers[: len(array.origins)], numbers[len(array.origins) :]
            array.finish()
            label_file = files.enter_context(open_output(folder / f"{split}_label.pkl"))
            dump_plain(([origin.source for origin in array.origins], labels), label_file)
        write_class_names(folder / "classes.txt", order)
    return len(origins)


@dataclass
class _ArrayWriter:
    """Writes an array clip by clip; its header has a fixed length and is completed at the end."""

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
        chosen = select_people(sequence.keypoints, min(people, sequence.people))
        stored = chosen[..., :3] if sequence.coordinates == 3 else normalise_by_image(chosen, sequence.size)
        values = np.where(is_seen(chosen)[..., None], stored, 0)
        clip = np.zeros(self.shape, np.float32)
        clip[:, : len(values), :, : values.shape[1]] = np.transpose(values, (3, 0, 2, 1))
        self.file.write(clip.tobytes())
        self.origins.append(replace(sequence.origin, source=name))

    def finish(self) -> None:
        self.file.seek(0)
        written = self.file.write(self._header())
        assert written == self._start

    def _header(self) -> bytes:
        header = io.BytesIO()
        fields = {"descr": "<f4", "fortran_order": False, "shape": (len(self.origins), *self.shape)}
        np.lib.format.write_array_header_1_0(header, fields)  # numpy reserves space for a larger first axis
        return header.getvalue()


# Catalogue -------------------------------------------------------------------------------------


def _read(
    file: Path, root: Path, options: FormatOptions, around: Surroundings = NO_SURROUNDINGS
) -> Iterator[PoseSequence]:
    return load_st_gcn(
        file,
        size=options.size,
        layout=options.layout,
        classes=options.classes,
        fps=options.fps_or_default,
        space=options.space,
        size_of=around.size_of,
    )


def _write(sequences: Iterable[PoseSequence], path: Path, options: FormatOptions) -> int:
    return write_st_gcn(
        sequences,
        path,
        classes=options.classes,
        frames=options.frames or FRAMES,
        people=options.people or PEOPLE,
    )


FORMAT = Format(
    name="st-gcn",
    find=find_st_gcn,
    read=_read,
    options=frozenset({"layout", "labels", "size", "fps", "space"}),
    axes=5,
)
TARGET = Target("st-gcn", _write, frozenset({"labels", "frames", "people"}))
