"""Values that foreign files do not contain: layout, frame rate, frame size, frame index."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skdpipe.errors import FormatError
from skdpipe.skeleton import LAYOUTS, UNSEEN, Keypoints, Layout, layout_named

FPS: Final = 30.0
"""Frames per second if none are given; no foreign format here records its own."""


def layout_for(joints: int, name: str | None, where: object) -> Layout:
    """The layout of that name, or the only layout with that number of joints.

    Raises:
        DataError: if there is no layout of that name.
        FormatError: if the layout has another number of joints, or if no layout or several layouts have it.
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


def require_size(size: tuple[int, int] | None, where: object, alternative: str = "") -> tuple[int, int]:
    """The frame size, which the file itself does not contain.

    Raises:
        FormatError: if it is not given.
    """
    if size is None:
        raise FormatError(f"{where} does not contain the frame size; give --size WIDTH HEIGHT{alternative}")
    return size


def to_keypoints(xy: ArrayLike, confidence: ArrayLike) -> Keypoints:
    """Coordinates ``(..., 2)`` and confidences ``(...)`` as keypoints ``(..., 3)``.

    A joint without confidence or with a coordinate that is not finite is unseen. Confidences above 1, which
    heat maps and COCO's visibility flags have, become 1.
    """
    position, score = np.asarray(xy, np.float32), np.asarray(confidence, np.float32)
    seen = (score > 0) & np.isfinite(position).all(axis=-1)
    keypoints = np.concatenate([position, np.minimum(score, 1)[..., None]], axis=-1)
    return np.where(seen[..., None], keypoints, UNSEEN)


def every_frame(count: int) -> NDArray[np.int32]:
    """The frame index of a clip of which every frame is stored."""
    return np.arange(count, dtype=np.int32)
