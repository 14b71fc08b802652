"""Northwestern-UCLA Multiview Action 3D: one JSON file per video, as released with CTR-GCN.

Wang, Nie, Xia, Wu, Zhu, CVPR 2014. A file ``a01_s02_e00_v03.json`` is of action 1, subject 2, view 3::

    {"file_name": "a01_s02_e00_v03", "skeletons": [[[x, y, z] * 20] * frames], "label": 1}

The joints are those of Kinect v1 in its order, in metres in the space of the camera; one person is recorded.
The label is the action in the file's name, for example ``a01``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from skdpipe.errors import ConfigError, FormatError
from skdpipe.formats.arrays import to_keypoints_in_space, to_sequence
from skdpipe.formats.clip_names import find_named, key_of_name, match_name
from skdpipe.formats.defaults import FPS
from skdpipe.formats.format import NO_SURROUNDINGS, Format, FormatOptions, Surroundings
from skdpipe.formats.json_files import fields_of, read_json, to_numbers
from skdpipe.skeleton import KINECT_20, Origin, PoseSequence

ESTIMATOR: Final = "nw-ucla kinect"
BENCHMARK: Final = "cross-view"

_EXAMPLE: Final = "a01_s01_e00_v01.json"
_NAME = re.compile(r"(a\d\d)_(s\d\d)_e\d\d_v(\d\d)")
_EXPECTED = '{"file_name": name, "skeletons": [[[x, y, z] * 20] * frames], "label": number}'


def find_nw_ucla(path: Path) -> tuple[Path, ...]:
    """The file itself, or all files named like it under a folder, see `find_named`."""
    return find_named(path, _NAME, _EXAMPLE)


def load_nw_ucla(path: Path, *, split: str | None = None, fps: float = FPS) -> PoseSequence:
    """The person of one video.

    Args:
        path: the file.
        split: ``cross-view``: views 1 and 2 are for training, view 3 for testing; without it the clip has no
            split.
        fps: frames per second.

    Raises:
        ConfigError: if there is no such benchmark.
        FormatError: if the file is not as described.
    """
    name = match_name(path, _NAME, _EXAMPLE)
    if split not in {None, BENCHMARK}:
        raise ConfigError(f"no split '{split}' of NW-UCLA; expected {BENCHMARK}")
    points = to_numbers(fields_of(read_json(path, _EXPECTED)).get("skeletons"), axes=3)
    if points.ndim != 3 or points.shape[1:] != (len(KINECT_20), 3) or not len(points):
        raise FormatError(f"{path}: skeletons of shape {points.shape}; expected {_EXPECTED}")
    side = None if split is None else "test" if name[3] == "03" else "train"
    origin = Origin(str(path), key_of_name(path), ESTIMATOR, name[1], side, name[2])
    return to_sequence(to_keypoints_in_space(points[:, None]), KINECT_20, fps, (0, 0), origin)


def _read(
    file: Path, root: Path, options: FormatOptions, around: Surroundings = NO_SURROUNDINGS
) -> Iterator[PoseSequence]:
    yield load_nw_ucla(file, split=options.split, fps=options.fps_or_default)


FORMAT = Format(
    name="nw-ucla",
    find=find_nw_ucla,
    read=_read,
    options=frozenset({"split", "fps"}),
    one_clip=True,
    json_keys=(frozenset({"skeletons"}),),
)
