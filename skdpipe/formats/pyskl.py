"""The annotation pickles of PYSKL and MMAction2: all clips of a data set in one file.

Duan et al., "PYSKL: Towards Good Practices for Skeleton Action Recognition", ACM MM 2022; the fields are
those of its tools/data/README.md, which MMAction2's PoseDataset reads too::

    {"split": {name: [frame_dir, ...]}, "annotations": [annotation, ...]}     # or the list alone

An annotation has frame_dir (the clip's name), label (from 0), img_shape and original_shape (height, width),
total_frames, keypoint (person, frame, joint, 2) in pixels and keypoint_score (person, frame, joint). What is
taken for granted:

- A joint with score 0 is unseen; scores above 1, which heat maps give, count as 1.
- Splits come in pairs: ``xsub_train`` and ``xsub_val``, ``train1`` and ``test1``, ``train`` and ``val``. What
  is left of their names when train, val and test are taken away is the pair's name. Clips that the pair
  does not name are left out.
- Frames per second are not recorded.
- Keypoints of three coordinates (NTU RGB+D's ``*_3danno.pkl``) are metres before a Kinect, and the file does
  not say how its camera looked at them: they cannot be put into a picture and are refused. NTU's own
  ``.skeleton`` files have the places in the picture besides.
- Kinetics' table of contents, whose keypoints lie in other files, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from skdpipe.atomic_file import open_atomically
from skdpipe.errors import FormatError
from skdpipe.formats.defaults import (
    FPS,
    distinct_name,
    every_frame,
    layout_for,
    name_of_class,
    number_classes,
    to_keypoints,
    without_endings,
)
from skdpipe.formats.plain_pickle import dump_plain, load_plain
from skdpipe.skeleton import Keypoints, Origin, PoseSequence, clip_key

ESTIMATOR = "pyskl annotation"

_SIDE = re.compile(r"_?(train|val|test)(?=_|\d|$)_?", re.IGNORECASE)


def find_pyskl(path: Path) -> tuple[Path, ...]:
    """The annotation file itself, or those of a folder.

    Raises:
        FormatError: if there are none.
    """
    paths = tuple(sorted(path.glob("*.pkl"))) if path.is_dir() else (path,)
    if not paths or not all(each.is_file() for each in paths):
        raise FormatError(f"no annotation pickle at {path}; expected a .pkl of PYSKL or MMAction2")
    return paths


def load_pyskl(
    path: Path,
    *,
    split: str | None = None,
    layout: str | None = None,
    classes: Sequence[str] = (),
    fps: float = FPS,
) -> Iterator[PoseSequence]:
    """The clips of a file one after the other; the iterator goes on after a clip that is refused.

    Args:
        path: the pickle, of which nothing is executed.
        split: the pair of splits by its name, e.g. ``xsub``; not needed where there is one pair.
        layout: what the joints are; by default the known layout with as many.
        classes: the names of the classes in order; by default they are called ``class_007``.
        fps: frames per second.

    Raises:
        FormatError: at once if the file is not such a pickle or the split is not clear, and for each clip
            whose annotation is not as described.
        DataError: if there is no such layout.
    """
    content = load_plain(path)
    annotations = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(annotations, list):
        raise FormatError(
            f"{path} holds {_kind(content)}; expected a list of annotations, or a dict with one"
        )
    sides = _sides(path, content.get("split") if isinstance(content, dict) else None, split)
    if sides is not None:
        annotations = [each for each in annotations if _name(each) in sides]

    def sequence(numbered: tuple[int, Any]) -> PoseSequence:
        number, annotation = numbered
        name = _name(annotation)
        where = f"{path}: clip {name or f'number {number}'}"
        side = sides[name] if sides is not None and name is not None else None
        return _sequence(path, where, annotation, side, layout, classes, fps)

    return map(sequence, enumerate(annotations, 1))


def write_pyskl(sequences: Iterable[PoseSequence], path: Path, *, classes: Sequence[str] = ()) -> int:
    """Write clips as one pickle, and the names of its classes, a line each, beside it as ``.classes.txt``.

    Keypoints are float32; unseen joints are 0. Frames that were not sampled are not written. Where clips
    name their split, the file has the splits under these names, otherwise it is a list alone.

    Args:
        sequences: the clips, all of one layout.
        path: the file to write.
        classes: the classes in the order of their numbers; by default sorted.

    Returns:
        How many clips were written.

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
        layouts.add(sequence.layout.name)
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
    with open_atomically(path.with_suffix(".classes.txt")) as file:
        file.write("".join(f"{name}\n" for name in order).encode())
    with open_atomically(path) as file:
        dump_plain({"split": splits, "annotations": annotations} if splits else annotations, file)
    return len(annotations)


def _annotation(name: str, sequence: PoseSequence) -> dict[str, Any]:
    by_person = np.moveaxis(np.where(sequence.seen[..., None], sequence.keypoints, 0), 1, 0)
    shape = (int(sequence.size[1]), int(sequence.size[0]))
    return {
        "frame_dir": name,
        "img_shape": shape,
        "original_shape": shape,
        "total_frames": len(sequence.keypoints),
        "keypoint": np.ascontiguousarray(by_person[..., :2], np.float32),
        "keypoint_score": np.ascontiguousarray(by_person[..., 2], np.float32),
    }


# Splits ----------------------------------------------------------------------------------------


def _sides(path: Path, splits: Any, wanted: str | None) -> dict[str, str] | None:
    """For each clip of the pair the side that it is on; None if there are no splits."""
    if splits is None or splits == {}:
        if wanted is not None:
            raise FormatError(f"{path} has no splits, but split '{wanted}' is asked for; leave it out")
        return None
    if not isinstance(splits, dict) or not all(isinstance(each, str) for each in splits):
        raise FormatError(f"{path} has a split {_kind(splits)}; expected lists of clips by name")
    pairs: dict[str, dict[str, str]] = {}
    for name in splits:
        side = _SIDE.search(name)
        if side is not None:
            pairs.setdefault(_SIDE.sub("", name, count=1), {})[side[1].lower()] = name
    chosen = wanted if wanted is not None else next(iter(pairs), "")
    if chosen not in pairs or (wanted is None and len(pairs) > 1):
        raise FormatError(
            f"{path} has the splits {', '.join(splits)}; name a pair with --split: "
            f"{' or '.join(repr(each) for each in pairs) or 'there is none of train and val or test'}"
        )
    sides: dict[str, str] = {}
    for side_name, name in pairs[chosen].items():
        clips = splits[name]
        if not isinstance(clips, list | tuple) or not all(isinstance(clip, str) for clip in clips):
            raise FormatError(f"{path}: split {name} is {_kind(clips)}; expected a list of clips by name")
        for clip in clips:
            if sides.setdefault(clip, side_name) != side_name:
                raise FormatError(f"{path}: clip {clip!r:.60} is on two sides of the split; mend the file")
    return sides


def _name(annotation: Any) -> str | None:
    name = annotation.get("frame_dir", annotation.get("filename")) if isinstance(annotation, dict) else None
    return name if isinstance(name, str) and name else None


# Clips -----------------------------------------------------------------------------------------


def _sequence(
    path: Path,
    where: str,
    annotation: Any,
    side: str | None,
    layout: str | None,
    classes: Sequence[str],
    fps: float,
) -> PoseSequence:
    name = _name(annotation)
    if name is None:
        raise FormatError(f"{where} has no frame_dir; expected the clip's name there")
    keypoints = _keypoints(where, annotation)
    return PoseSequence(
        keypoints=keypoints,
        frame_index=every_frame(len(keypoints)),
        video_frames=len(keypoints),
        layout=layout_for(keypoints.shape[2], layout, where),
        fps=fps,
        size=_size(where, annotation),
        origin=Origin(
            source=str(path / name),
            key=clip_key(without_endings(name)),
            estimator=ESTIMATOR,
            label=name_of_class(annotation.get("label"), classes, where),
            split=side,
        ),
    )


def _keypoints(where: str, annotation: Mapping[str, Any]) -> Keypoints:
    if "keypoint" not in annotation and "raw_file" in annotation:
        raise FormatError(
            f"{where} keeps its keypoints in {annotation['raw_file']!r:.60}; expected them here"
        )
    xy, score = annotation.get("keypoint"), annotation.get("keypoint_score")
    shape: tuple[int, ...] = xy.shape if isinstance(xy, np.ndarray) else ()
    if len(shape) == 4 and shape[3] == 3 and score is None:
        raise FormatError(
            f"{where} has three coordinates a joint and no scores: metres before a Kinect, not places in a "
            "picture; import NTU's .skeleton files, which have both (`skdpipe import ntu`)"
        )
    if not _is_numbers(xy) or len(shape) != 4 or shape[3] != 2:
        raise FormatError(f"{where}: keypoint {_kind(xy)}; expected numbers (person, frame, joint, 2)")
    if not _is_numbers(score) or score.shape != shape[:3]:
        raise FormatError(f"{where}: keypoint_score {_kind(score)}; expected numbers of shape {shape[:3]}")
    frames = annotation.get("total_frames", shape[1])
    if not isinstance(frames, int | np.integer) or frames != shape[1]:
        raise FormatError(
            f"{where}: {frames!r:.20} total_frames, but keypoints for {shape[1]}; mend the file"
        )
    return np.ascontiguousarray(np.moveaxis(to_keypoints(xy, score), 0, 1))


def _size(where: str, annotation: Mapping[str, Any]) -> tuple[int, int]:
    shape = annotation.get("original_shape", annotation.get("img_shape"))
    try:
        height, width = (int(side) for side in shape or ())
    except (TypeError, ValueError):
        height, width = 0, 0
    if height <= 0 or width <= 0:
        raise FormatError(f"{where}: original_shape {shape!r:.40}; expected the picture's height and width")
    return width, height


def _is_numbers(value: Any) -> TypeGuard[NDArray[Any]]:
    return isinstance(value, np.ndarray) and value.dtype.kind in "biuf"


def _kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        array: NDArray[Any] = value
        return f"{array.dtype} of shape {array.shape}"
    return "nothing" if value is None else f"of type {type(value).__name__}"
