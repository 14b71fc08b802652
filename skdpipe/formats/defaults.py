"""Values that foreign files do not contain: layout, frame rate, frame size, frame index."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skdpipe.errors import FormatError
from skdpipe.skeleton import LAYOUTS, Keypoints, Layout, hide, layout_named, layouts_with

FPS: Final = 30.0
"""Frames per second if none are given; no foreign format here records its own."""


def layout_for(joints: int, name: str | None, where: object, coordinates: int = 2) -> Layout:
    """The layout of that name, or the only built-in layout with that number of joints.

    Args:
        joints: number of joints.
        name: of a built-in layout, or the path of a YAML file that describes one.
        where: what an error message names.
        coordinates: 2 or 3; of the built-in layouts, BODY_25 and COCO are in use with two only, and
            Human3.6M's with three.

    Raises:
        DataError: if there is no layout of that name.
        FormatError: if the layout has another number of joints, or if no layout or several layouts have it.
    """
    if name is not None:
        layout = layout_named(name)
        if len(layout) != joints:
            raise FormatError(f"{where}: {joints} joints, but layout {name} has {len(layout)}; name another")
        return layout
    fitting = layouts_with(joints, coordinates)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = " and ".join(layout.name for layout in fitting)
        raise FormatError(f"{where}: {joints} joints, which {names} have; name the right one with --layout")
    known = ", ".join(f"{len(layout)} ({layout.name})" for layout in LAYOUTS.values())
    raise FormatError(
        f"{where}: {joints} joints; expected one of {known}: describe your layout in a YAML file and name it "
        "with --layout"
    )


def require_size(size: tuple[int, int] | None, where: object, alternative: str = "") -> tuple[int, int]:
    """The frame size, which the file itself does not contain.

    Raises:
        FormatError: if it is not given.
    """
    if size is None:
        raise FormatError(f"{where} does not contain the frame size; give --size WIDTH HEIGHT{alternative}")
    return size


@np.errstate(over="ignore")  # numbers beyond float32 become infinite
def to_keypoints(coordinates: ArrayLike, confidence: ArrayLike) -> Keypoints:
    """Coordinates ``(..., 2 or 3)`` and confidences ``(...)`` as keypoints ``(..., channel)``.

    A joint without confidence or with NaN as a coordinate is unseen; infinite coordinates are kept, and the
    clip is refused for them. Confidences above 1, which heat maps and COCO's visibility flags have, become 1.
    """
    position, score = np.asarray(coordinates, np.float32), np.asarray(confidence, np.float32)
    seen = (score > 0) & ~np.isnan(position).any(axis=-1)
    keypoints = np.concatenate([position, np.minimum(score, 1)[..., None]], axis=-1)
    return hide(keypoints, ~seen)


def every_frame(count: int) -> NDArray[np.int32]:
    """The frame index of a clip of which every frame is stored."""
    return np.arange(count, dtype=np.int32)
