"""The annotation pickles of PYSKL and MMAction2: all clips of a data set in one file.

Duan et al., "PYSKL: Towards Good Practices for Skeleton Action Recognition", ACM MM 2022; the fields are
those of its tools/data/README.md, which MMAction2's PoseDataset also reads::

    {"split": {name: [frame_dir, ...]}, "annotations": [annotation, ...]}     # or the list alone

An annotation has frame_dir (the clip's name), label (from 0), img_shape and original_shape (height, width),
total_frames, keypoint (person, frame, joint, 2) in pixels and keypoint_score (person, frame, joint). In three
dimensions (NTU RGB+D's ``*_3danno.pkl``) it has keypoint (person, frame, joint, 3), for Kinect in metres, and
mostly neither scores nor shapes. Conventions:

- Arrays may have any memory order, and be arrays of objects that hold numbers or arrays of one shape. Shapes
  are tuples, lists or arrays; labels are numbers or names.
- A joint with score 0 is unseen; scores above 1, which heat maps give, become 1.
- Splits come in pairs: ``xsub_train`` and ``xsub_val``, ``train1`` and ``test1``, ``train`` and ``val``. The
  pair's name is the rest after removing train, val or test. Clips that are not in the pair are left out and
  counted, and so are the names of the pair without a clip.
- Frames per second are not recorded.
- A joint of three coordinates without a score is unseen if it is at the origin. Three numbers that look like
  pixels and a score are refused.
- Kinetics' table of contents, whose keypoints are in other files, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import FormatError, in_brief
from skdpipe.formats.arrays import require_moderate_clip
from skdpipe.formats.class_names import name_of_class, number_classes, write_class_names
from skdpipe.formats.clip_names import distinct_name, distinct_names, is_clip_name, path_of_clip
from skdpipe.formats.defaults import FPS, every_frame, layout_for, to_keypoints
from skdpipe.formats.format import (
    NO_SURROUNDINGS,
    Format,
    FormatOptions,
    Note,
    Surroundings,
    Target,
    ignore_note,
    read_each,
)
from skdpipe.formats.output import open_output
from skdpipe.formats.plain_pickle import dump_plain, load_plain, to_number_array
from skdpipe.skeleton import Keypoints, Origin, PoseSequence, clip_key

ESTIMATOR = "pyskl annotation"

_LARGEST_METRES = 20.0  # the range of a Kinect is less than half of it
_EXPANSION = 8
"""Times that the keypoints may be larger than the file, as annotations can share an array."""
_SMALL = 1_000_000  # bytes of keypoints that any file may have
_LARGEST_NUMBER = 10**12  # of frames or pixels
_SHOWN = 6  # names of splits in a message
_FEW_CLIPS = 1_000  # in a file of any size
_SMALLEST_CLIP = 32  # bytes; the names of the fields alone take more
_SPLIT_NAME = re.compile(r"_?(train|val|test)(?=_|\d|$)_?", re.IGNORECASE)


def find_pyskl(path: Path) -> tuple[Path, ...]:
    """The annotation file itself, or those of a folder.

    Raises:
        FormatError: if there are none.
    """
    paths = tuple(sorted(path.glob("*.pkl"))) if path.is_dir() else (path,)
    if not paths or not all(each.is_file() for each in paths):
        raise FormatError(f"no annotation pickle at {path}; expected a .pkl of PYSKL or MMAction2")
    return paths


# Reading ---------------------------------------------------------------------------------------


def load_pyskl(
    path: Path,
    *,
    split: str | None = None,
    layout: str | None = None,
    classes: Sequence[str] = (),
    fps: float = FPS,
    note: Note = ignore_note,
) -> Iterator[PoseSequence]:
    """The clips of a file; the iterator can be continued after a clip that raises.

    Args:
        path: the pickle, which is read without executing it.
        split: name of the pair of splits, for example ``xsub``; not needed if there is one pair.
        layout: name of the layout; by default the known layout with that number of joints.
        classes: the class names in order; by default ``class_007`` and so on.
        fps: frames per second.
        note: receives the numbers of clips in no split of the pair, and of names of the pair without a clip.

    Raises:
        FormatError: immediately if the file is not such a pickle or the split is ambiguous, and on the way
            for each clip whose annotation is not as described.
        DataError: if there is no such layout.
    """
    content = load_plain(path)
    annotations = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(annotations, list):
        raise FormatError(
            f"{path} holds {_kind(content)}; expected a list of annotations, or a dict with one"
        )
    size = path.stat().st_size
    if len(annotations) > _FEW_CLIPS + size / _SMALLEST_CLIP:
        raise FormatError(f"{path} has {len(annotations)} clips in {size} bytes; expected each of them once")
    split_of = _choose_split(path, content.get("split") if isinstance(content, dict) else None, split)
    named = [name for name in map(_name, annotations) if name is not None]
    distinct = dict(zip(named, distinct_names([path_of_clip(name) for name in named]), strict=True))
    if split_of is not None:
        in_pair = [each for each in annotations if _name(each) in split_of]
        note("clips are in no split of the pair and are left out", len(annotations) - len(in_pair))
        note("names of the split have no clip", len(split_of.keys() - distinct.keys()))
        annotations = in_pair

    def words_for(numbered: tuple[int, Any]) -> str:
        number, annotation = numbered
        return f"clip {_name(annotation) or f'number {number}'}"

    read = 0

    def sequence(numbered: tuple[int, Any]) -> PoseSequence:
        nonlocal read
        _, annotation = numbered
        name, where = _name(annotation), f"{path}: {words_for(numbered)}"
        if name is None:
            raise FormatError(f"{where} has no frame_dir; expected the clip's name there")
        if read > _EXPANSION * size + _SMALL:
            raise FormatError(
                f"{where} is left out: the clips before have {read} bytes, the file {size}; expected "
                "an array of its own for each clip"
            )
        origin = Origin(
            source=str(path / name),
            key=clip_key(distinct[name]),
            estimator=ESTIMATOR,
            label=name_of_class(annotation.get("label"), classes, where),
            split=split_of[name] if split_of is not None else None,
        )
        clip = _sequence(where, annotation, origin, layout, fps)
        read += clip.keypoints.nbytes
        return clip

    return read_each(path, enumerate(annotations, 1), sequence, words_for)


def _choose_split(path: Path, splits: Any, wanted: str | None) -> dict[str, str] | None:
    """The split (train, val or test) of each clip of the pair; None if there are no splits."""
    if splits is None or (isinstance(splits, dict) and not splits):
        if wanted is not None:
            raise FormatError(f"{path} has no splits, but split '{wanted}' was given; leave it out")
        return None
    if not isinstance(splits, dict) or not all(isinstance(each, str) for each in splits):
        raise FormatError(f"{path} has a split {_kind(splits)}; expected lists of clips by name")
    pairs: dict[str, dict[str, str]] = {}
    for name in splits:
        match = _SPLIT_NAME.search(name)
        if match is not None:
            pairs.setdefault(_SPLIT_NAME.sub("", name, count=1), {})[match[1].lower()] = name
    chosen = wanted if wanted is not None else next(iter(pairs), "")
    if chosen not in pairs or (wanted is None and len(pairs) > 1):
        known = " or ".join(map(in_brief, islice(pairs, _SHOWN))) or "there is none of train and val or test"
        found = ", ".join(f"{each:.60}" for each in islice(splits, _SHOWN))
        raise FormatError(f"{path} has the splits {found}; name a pair with --split: {known}")
    return _clips_of_pair(path, splits, pairs[chosen])


def _clips_of_pair(path: Path, splits: Mapping[str, Any], pair: Mapping[str, str]) -> dict[str, str]:
    split_of: dict[str, str] = {}
    for split, name in pair.items():
        clips = splits[name]
        clips = clips.tolist() if isinstance(clips, np.ndarray) else clips
        if not isinstance(clips, list | tuple) or not all(isinstance(clip, str) for clip in clips):
            raise FormatError(f"{path}: split {name:.60} is {_kind(clips)}; expected a list of clips by name")
        for clip in clips:
            if split_of.setdefault(str(clip), split) != split:
                raise FormatError(f"{path}: clip {in_brief(clip, 60)} is in both splits; correct the file")
    return split_of


def _name(annotation: Any) -> str | None:
    name = annotation.get("frame_dir", annotation.get("filename")) if isinstance(annotation, dict) else None
    return str(name) if is_clip_name(name) else None


def _sequence(
    where: str, annotation: Mapping[str, Any], origin: Origin, layout: str | None, fps: float
) -> PoseSequence:
    keypoints = _keypoints(where, annotation)
    coordinates = keypoints.shape[3] - 1
    return PoseSequence(
        keypoints=keypoints,
        frame_index=every_frame(len(keypoints)),
        video_frames=len(keypoints),
        layout=layout_for(keypoints.shape[2], layout, where, coordinates),
        fps=fps,
        size=_size(where, annotation) if coordinates == 2 else (0, 0),
        origin=origin,
    )


def _keypoints(where: str, annotation: Mapping[str, Any]) -> Keypoints:
    if "keypoint" not in annotation and "raw_file" in annotation:
        raise FormatError(
            f"{where} keeps its keypoints in {in_brief(annotation['raw_file'], 60)}; expected them here"
        )
    found, scores = annotation.get("keypoint"), annotation.get("keypoint_score")
    for array in (found, scores):
        if isinstance(array, np.ndarray):
            require_moderate_clip(array.shape, where)
    points, score = to_number_array(found), to_number_array(scores)
    shape: tuple[int, ...] = () if points is None else points.shape
    if points is None or len(shape) != 4 or shape[3] not in {2, 3}:
        raise FormatError(
            f"{where}: keypoint {_kind(found)}; expected numbers (person, frame, joint, 2 or 3)"
        )
    require_moderate_clip(shape, where)
    if shape[3] == 3 and scores is None:
        if _is_image_with_scores(points):
            raise FormatError(
                f"{where}: keypoint {_kind(found)} looks like x, y in pixels and a score; expected the "
                "score in keypoint_score"
            )
        score = np.any(points != 0, axis=-1)
    if score is None or score.shape != shape[:3]:
        raise FormatError(f"{where}: keypoint_score {_kind(scores)}; expected numbers of shape {shape[:3]}")
    frames = annotation.get("total_frames", shape[1])
    if _whole_number(frames) != shape[1]:
        raise FormatError(
            f"{where}: {in_brief(frames, 20)} total_frames, but keypoints for {shape[1]}; correct the file"
        )
    return np.ascontiguousarray(np.moveaxis(to_keypoints(points, score), 0, 1))


def _is_image_with_scores(points: NDArray[Any]) -> bool:
    """Whether three numbers of each joint are x and y of an image and a score, not x, y and z."""
    known = points[np.isfinite(points).all(axis=-1)]
    is_wide = np.abs(known[:, :2]).max(initial=0) > _LARGEST_METRES
    return bool(is_wide and ((known[:, 2] >= 0) & (known[:, 2] <= 1)).all())


def _size(where: str, annotation: Mapping[str, Any]) -> tuple[int, int]:
    shape = annotation.get("original_shape")
    shape = annotation.get("img_shape") if shape is None else shape
    sides = shape.ravel()[:2].tolist() if isinstance(shape, np.ndarray) else shape
    numbers = [_whole_number(side) or 0 for side in sides[:2]] if isinstance(sides, list | tuple) else []
    if len(numbers) != 2 or min(numbers) <= 0:
        raise FormatError(f"{where}: original_shape {in_brief(shape)}; expected the image's height and width")
    height, width = numbers
    return width, height


def _whole_number(value: Any) -> int | None:
    """The value as an integer, if it is a whole number below 10^12, also in an array without axes."""
    number = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if isinstance(number, float | np.integer | np.floating) and float(number).is_integer():
        number = int(number)
    return number if isinstance(number, int) and abs(number) < _LARGEST_NUMBER else None


def _kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return "nothing" if value is None else f"of type {type(value).__name__}"


# Writing ---------------------------------------------------------------------------------------


def write_pyskl(sequences: Iterable[PoseSequence], path: Path, *, classes: Sequence[str] = ()) -> int:
    """Write clips as one pickle, and the class names, one per line, to a file beside it, ``.classes.txt``.

    Keypoints are float32, in three dimensions without scores; unseen joints are 0. Frames that were not
    sampled are not written. If clips have a split, the file has the splits under these names, otherwise it is
    only a list.

    Args:
        sequences: the clips, all of one layout and number of coordinates.
        path: the file to write.
        classes: the class names in order; by default sorted.

    Returns:
        The number of clips written.

    Raises:
        FormatError: if there are none, their layouts differ, a clip has no label, or the file cannot be
            written.
    """
    annotations: list[dict[str, Any]] = []
    origins: list[Origin] = []
    splits: dict[str, list[str]] = {}
    taken: set[str] = set()
    layouts: set[str] = set()
    for sequence in sequences:
        name = distinct_name(sequence.origin, taken)
        annotations.append(_annotation(name, sequence))
        origins.append(replace(sequence.origin, source=name))
        layouts.add(sequence.layout.name + (" in 3D" if sequence.coordinates == 3 else ""))
        if sequence.origin.split is not None:
            splits.setdefault(sequence.origin.split, []).append(name)
    if len(layouts) != 1:
        raise FormatError(
            f"clips of {len(layouts)} layouts ({', '.join(sorted(layouts))}) for {path}; expected one: "
            "map them with --target-layout"
        )
    order, numbers = number_classes(origins, classes)
    for annotation, number in zip(annotations, numbers, strict=True):
        annotation["label"] = number
    write_class_names(path.with_suffix(".classes.txt"), order)
    with open_output(path) as file:
        dump_plain({"split": splits, "annotations": annotations} if splits else annotations, file)
    return len(annotations)


def _annotation(name: str, sequence: PoseSequence) -> dict[str, Any]:
    by_person = np.moveaxis(np.where(sequence.seen[..., None], sequence.keypoints, 0), 1, 0)
    annotation: dict[str, Any] = {
        "frame_dir": name,
        "total_frames": len(sequence.keypoints),
        "keypoint": np.ascontiguousarray(by_person[..., :-1], np.float32),
    }
    if sequence.coordinates == 2:
        shape = (int(sequence.size[1]), int(sequence.size[0]))
        annotation |= {"img_shape": shape, "original_shape": shape}
        annotation["keypoint_score"] = np.ascontiguousarray(by_person[..., 2], np.float32)
    return annotation


# Catalogue -------------------------------------------------------------------------------------


def _read(
    file: Path, root: Path, options: FormatOptions, around: Surroundings = NO_SURROUNDINGS
) -> Iterator[PoseSequence]:
    return load_pyskl(
        file,
        split=options.split,
        layout=options.layout,
        classes=options.classes,
        fps=options.fps_or_default,
        note=around.note,
    )


def _write(sequences: Iterable[PoseSequence], path: Path, options: FormatOptions) -> int:
    return write_pyskl(sequences, path, classes=options.classes)


FORMAT = Format("pyskl", find_pyskl, _read, frozenset({"split", "layout", "labels", "fps"}), suffix=".pkl")
TARGET = Target("pyskl", _write, frozenset({"labels"}))
