"""SKD's training arrays (Bian et al., IEEE TIP 2021): ``(joint, 3, frame, person)``, one file per clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from skdpipe.errors import FormatError
from skdpipe.formats.arrays import open_array, read_array, to_sequence, wrong_array
from skdpipe.formats.clip_names import folders_between, key_of_name, label_and_split
from skdpipe.formats.defaults import FPS, layout_for
from skdpipe.formats.folder_files import paths_below
from skdpipe.formats.format import NO_SURROUNDINGS, Format, FormatOptions, Space, Surroundings
from skdpipe.skeleton import Origin, PoseSequence

ESTIMATOR: Final = "skd array"


def find_skd(path: Path) -> tuple[Path, ...]:
    """The file itself, or the arrays of a folder of class folders (below ``train/`` and ``test/`` for a
    split).

    Raises:
        FormatError: if there are none.
    """
    paths = tuple(paths_below(path, ".npy")) if path.is_dir() else (path,) * path.is_file()
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
    space: Space | None = None,
) -> PoseSequence:
    """The clip of one array ``(joint, 3, frame, person)``.

    Args:
        path: the array.
        size: width and height of the frames in pixels; not needed in the space of a camera.
        root: the folder that contains the class folders; without it the clip has no label.
        layout: name of the layout; by default the known layout with that number of joints.
        fps: frames per second.
        space: ``camera`` if the channels are x, y and z.

    Raises:
        FormatError: if the array is not as described, or the size is missing.
        DataError: if there is no such layout.
    """
    data = open_array(path)
    if data.ndim != 4 or data.shape[1] != 3 or data.dtype.kind != "f" or not data.shape[2]:
        raise wrong_array(path, data, "floats (joint, 3, frame, person)")
    keypoints, size = read_array(np.transpose(data, (2, 3, 0, 1)), size, space, str(path))
    joints = layout_for(len(data), layout, path, keypoints.shape[-1] - 1)
    label, split = label_and_split(folders_between(root, path))
    return to_sequence(
        keypoints, joints, fps, size, Origin(str(path), key_of_name(path), ESTIMATOR, label, split)
    )


def _read(
    file: Path, root: Path, options: FormatOptions, around: Surroundings = NO_SURROUNDINGS
) -> Iterator[PoseSequence]:
    yield load_skd(
        file,
        size=options.size,
        root=root,
        layout=options.layout,
        fps=options.fps_or_default,
        space=options.space,
    )


FORMAT = Format(
    name="skd",
    find=find_skd,
    read=_read,
    options=frozenset({"layout", "size", "fps", "space"}),
    one_clip=True,
    axes=4,
)
