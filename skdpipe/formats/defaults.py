"""What foreign files leave unsaid: which joints, which classes, what a clip is called, where files belong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skdpipe.errors import FormatError
from skdpipe.skeleton import LAYOUTS, Keypoints, Layout, Origin, layout_named
from skdpipe.video import EXTENSIONS

FPS = 30.0  # of most videos; none of the formats that fall back on it records its own

_ENDINGS = EXTENSIONS | {".json", ".jsonl", ".mat", ".npy", ".openpifpaf", ".pkl", ".skeleton"}
_SPLITS = frozenset({"train", "val", "valid", "validation", "test"})
_NUMBERED = re.compile(r"class_(\d{3,9})")


def layout_for(joints: int, name: str | None, where: object) -> Layout:
    """The layout of that name, or the only one with so many joints.

    Raises:
        DataError: if there is no such layout.
        FormatError: if the layout has other joints, or none or several have so many.
    """
    if name is not None:
        layout = layout_named(name)
        if len(layout) != joints:
            raise FormatError(f"{where}: {joints} joints, but layout {name} has {len(layout)}; name another")
        return layout
    fitting = [layout for layout in LAYOUTS.values() if len(layout) == joints]
    if len(fitting) != 1:
        known = ", ".join(f"{len(layout)} ({layout.name})" for layout in LAYOUTS.values())
        hint = "name the layout with --layout" if fitting else "get the skeletons in one of these layouts"
        raise FormatError(f"{where}: {joints} joints; expected one of {known}: {hint}")
    return fitting[0]


def to_keypoints(xy: ArrayLike, confidence: ArrayLike) -> Keypoints:
    """``(..., 2)`` and ``(...)`` as keypoints ``(..., 3)``.

    A joint without confidence or without a finite place is unseen; confidence above 1, which heat maps and
    COCO's visibility flags have, counts as 1.
    """
    place, sure = np.asarray(xy, np.float32), np.asarray(confidence, np.float32)
    seen = (sure > 0) & np.isfinite(place).all(axis=-1)
    return np.concatenate(
        [np.where(seen[..., None], place, np.nan), np.where(seen, np.minimum(sure, 1), 0)[..., None]], axis=-1
    )


def every_frame(count: int) -> NDArray[np.int32]:
    """The frame index of a clip of which no frame was left out."""
    return np.arange(count, dtype=np.int32)


# Names of clips --------------------------------------------------------------------------------


def clip_name(source: str) -> str:
    """What a clip is called: its file's name without the endings of videos and skeleton files."""
    return without_endings(Path(source).name)


def without_endings(name: str) -> str:
    """A clip's name, with its folders if it has any, without the endings of videos and skeleton files."""
    while Path(name).suffix.lower() in _ENDINGS:
        name = name[: -len(Path(name).suffix)]
    return name


def distinct_name(origin: Origin, taken: set[str]) -> str:
    """The clip's name, which is added to those taken; with the start of its key if another has that name.

    Raises:
        FormatError: if two clips have the same name and key.
    """
    name = clip_name(origin.source)
    if not name.strip(".") or "\0" in name:  # a name that a file made up, and that would lead elsewhere
        name = origin.key[:16]
    if name in taken:
        name = f"{name}-{origin.key[:12]}"
    if name in taken:
        raise FormatError(f"two clips are called {name}; expected one of each, leave one out")
    taken.add(name)
    return name


# Folders ---------------------------------------------------------------------------------------


def label_and_split(folders: Sequence[str]) -> tuple[str | None, str | None]:
    """What the folders above a clip say: ``label``, or ``train/label`` (or another split)."""
    split = folders[0].lower() if len(folders) > 1 and folders[0].lower() in _SPLITS else None
    rest = folders[1:] if split else folders
    return (rest[0] if rest else None), split


def folders_between(root: Path, file: Path) -> tuple[str, ...]:
    """The folders from the one that the user named down to the file's."""
    return file.relative_to(root).parts[:-1] if root in file.parents else ()


def folders_for(origin: Origin) -> tuple[str, ...]:
    """Where a clip goes, so that `label_and_split` finds out again.

    Raises:
        FormatError: if the label cannot name a folder.
    """
    if origin.label is None:
        return ()
    if not origin.label.strip(". ") or {"/", "\\", "\0"} & set(origin.label):
        raise FormatError(f"{origin.source}: label {origin.label!r} cannot name a folder; rename the class")
    return (origin.split, origin.label) if origin.split in _SPLITS else (origin.label,)


# Classes ---------------------------------------------------------------------------------------


def read_class_names(path: Path) -> tuple[str, ...]:
    """A label map: a class in each line, the first being class 0.

    Raises:
        FormatError: if the file cannot be read, or names a class twice or not at all.
    """
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} cannot be read ({error}); expected the name of a class a line") from error
    if not names or not all(names) or len(set(names)) != len(names):
        raise FormatError(
            f"{path} has {len(names)} lines, {names.count('')} of them empty and {len(set(names))} "
            "different; expected the name of another class in each"
        )
    return names


def name_of_class(number: object, names: Sequence[str], where: object) -> str:
    """The name in the label map, or ``class_007`` where there is no map.

    Raises:
        FormatError: if the number is none, or the map does not reach so far.
    """
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 0:
        raise FormatError(f"{where}: label {number!r:.40}; expected the number of a class, from 0")
    if not names:
        return f"class_{int(number):03d}"
    if number >= len(names):
        raise FormatError(f"{where}: label {number}, but {len(names)} class names; give a label map for all")
    return names[int(number)]


def number_classes(origins: Sequence[Origin], names: Sequence[str] = ()) -> tuple[tuple[str, ...], list[int]]:
    """The classes in order, and the number of each clip's.

    The order is that of the label map; without one, names like ``class_007`` keep their number, and other
    names are sorted.

    Raises:
        FormatError: if a clip has no label, or one that the map lacks.
    """
    labels = []
    for origin in origins:
        if origin.label is None:
            raise FormatError(f"{origin.source} has no label; expected one: label it or leave it out")
        if names and origin.label not in names:
            raise FormatError(f"{origin.source}: class {origin.label} is not in the label map; add a line")
        labels.append(origin.label)
    order = tuple(names) or _order(set(labels))
    place = {name: number for number, name in enumerate(order)}
    return order, [place[label] for label in labels]


def _order(labels: set[str]) -> tuple[str, ...]:
    numbered = [_NUMBERED.fullmatch(label) for label in labels]
    numbers = {int(match[1]) for match in numbered if match}
    if len(numbers) == len(labels) and numbers and max(numbers) < 100_000:
        return tuple(f"class_{number:03d}" for number in range(max(numbers) + 1))
    return tuple(sorted(labels))
