"""SKD's training arrays (Bian et al., IEEE TIP 2021): ``(joint, 3, frame, person)``, one file per clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from skdpipe.errors import FormatError
from skdpipe.formats.arrays import SIZE_ALTERNATIVE, open_array, to_pixels, to_sequence, wrong_array
from skdpipe.formats.clip_names import folders_between, key_of_name, label_and_split
from skdpipe.formats.defaults import FPS, layout_for, require_size
from skdpipe.formats.format import NO_SURROUNDINGS, Format, FormatOptions, Surroundings
from skdpipe.skeleton import Origin, PoseSequence

ESTIMATOR: Final = "skd array"


def find_skd(path: Path) -> tuple[Path, ...]:
    """The file itself, or the arrays of a folder of class folders (below ``train/`` and ``test/`` for a
    split).

    Raises:
        FormatError: if there are none.
    """
    paths = tuple(sorted(path.rglob("*.npy"))) if path.is_dir() else (path,) * path.is_file()
    if not paths:
        raise FormatError(f"no .npy files at {path}; expected one array per clip, in a folder for each class")
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
        size: width and height of the frames in pixels.
        root: the folder that contains the class folders; without it the clip has no label.
        layout: name of the layout; by default the known layout with that number of joints.
        fps: frames per second.

    Raises:
        FormatError: if the array is not as described, or the size is missing.
        DataError: if there is no such layout.
    """
    data = open_array(path)
    if data.ndim != 4 or data.shape[1] != 3 or data.dtype.kind != "f" or not data.shape[2]:
        raise wrong_array(path, data, "floats (joint, 3, frame, person)")
    size, joints = require_size(size, path, SIZE_ALTERNATIVE), layout_for(len(data), layout, path)
    keypoints = to_pixels(np.transpose(data, (2, 3, 0, 1)), size, str(path))
    label, split = label_and_split(folders_between(root, path))
    return to_sequence(
        keypoints, joints, fps, size, Origin(str(path), key_of_name(path), ESTIMATOR, label, split)
    )


def _read(
    file: Path, root: Path, options: FormatOptions, around: Surroundings = NO_SURROUNDINGS
) -> Iterator[PoseSequence]:
    yield load_skd(file, size=options.size, root=root, layout=options.layout, fps=options.fps_or_default)


FORMAT = Format("skd", find_skd, _read, frozenset({"layout", "size", "fps"}), one_clip=True)
