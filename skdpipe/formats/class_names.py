"""Class names and class numbers: label maps, and names for classes that have only a number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skdpipe.errors import FormatError, in_brief
from skdpipe.formats.folder_files import read_lines
from skdpipe.formats.output import open_output
from skdpipe.names import require_label
from skdpipe.skeleton import Origin

_NUMBERED = re.compile(r"class_(\d{3,9})")
_MOST_CLASSES = 100_000


def read_class_names(path: Path) -> tuple[str, ...]:
    """The class names of a label map: a text file with one class per line, class 0 first.

    Raises:
        FormatError: if the file cannot be read, has an empty line, or contains a name twice.
        DataError: if a name is not as `require_label` describes.
    """
    names = tuple(read_lines(path, "one class name per line"))
    if len(names) > _MOST_CLASSES:
        raise FormatError(f"{path} has {len(names)} lines; expected at most {_MOST_CLASSES}")
    if not names or not all(names) or len(set(names)) != len(names):
        raise FormatError(
            f"{path} has {len(names)} lines, {names.count('')} of them empty and {len(set(names))} "
            "different; expected a different class name in each line"
        )
    return tuple(require_label(name, path) for name in names)


def write_class_names(path: Path, names: Sequence[str]) -> None:
    """Write a label map, which `read_class_names` reads.

    Raises:
        FormatError: if the file cannot be written.
    """
    with open_output(path) as file:
        file.write("".join(f"{name}\n" for name in names).encode())


def name_of_class(label: object, names: Sequence[str], where: object) -> str:
    """The name in the label map, or for example ``class_007`` if there is no map. A name is kept.

    Raises:
        FormatError: if ``label`` is neither the number of a class nor a name, or is not in the map.
        DataError: if it is text that is not as `require_label` describes.
    """
    if isinstance(label, np.ndarray) and label.ndim == 0:
        label = label.item()
    if isinstance(label, str):
        require_label(label, where)
        if names and label not in names:
            raise FormatError(f"{where}: class {label:.60} is not in the label map; add a line")
        return str(label)
    number = -1
    if isinstance(label, int | np.integer | float | np.floating) and not isinstance(label, bool):
        whole = isinstance(label, int) or float(label).is_integer()
        number = int(label) if whole else -1
    if not 0 <= number < _MOST_CLASSES:
        raise FormatError(f"{where}: label {in_brief(label)}; expected the number of a class, from 0")
    if not names:
        return f"class_{number:03d}"
    if number >= len(names):
        raise FormatError(f"{where}: label {number}, but {len(names)} class names; give a label map for all")
    return names[number]


def number_classes(origins: Sequence[Origin], names: Sequence[str] = ()) -> tuple[tuple[str, ...], list[int]]:
    """The class names in order, and the class number of each clip.

    The order is that of the label map. Without a map, names such as ``class_007`` keep their number and other
    names are sorted.

    Raises:
        FormatError: if a clip has no label, or a label that is not in the map.
    """
    labels = []
    for origin in origins:
        if origin.label is None:
            raise FormatError(f"{origin.source} has no label; expected one: label it or leave it out")
        if names and origin.label not in names:
            raise FormatError(f"{origin.source}: class {origin.label} is not in the label map; add a line")
        labels.append(origin.label)
    order = tuple(names) or _default_order(set(labels))
    number_of = {name: number for number, name in enumerate(order)}
    return order, [number_of[label] for label in labels]


def _default_order(labels: set[str]) -> tuple[str, ...]:
    matches = [_NUMBERED.fullmatch(label) for label in labels]
    numbers = {int(match[1]) for match in matches if match}
    if len(numbers) == len(labels) and numbers and max(numbers) < _MOST_CLASSES:
        return tuple(f"class_{number:03d}" for number in range(max(numbers) + 1))
    return tuple(sorted(labels))
