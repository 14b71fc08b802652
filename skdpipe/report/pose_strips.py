"""A clip as strips of small poses, one for each quality: SVG that needs no script.

The page shows one pose at a time and moves the strip by CSS; without motion it shows the whole strip.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from skdpipe.report.test_clips import ClipPair
from skdpipe.skeleton import Layout, PoseSequence, map_layout

CELL: Final = 100
"""Width and height of a pose in the units of the SVG."""

_MARGIN: Final = 8
_OUTLIERS: Final = 1.0  # percent of the coordinates at either end that do not determine the scale

Floats = NDArray[np.floating]


def draw_strips(pair: ClipPair, layout: Layout, poses: int) -> tuple[Markup, Markup]:
    """The strips of high and low quality, in the same scale if their coordinates have the same unit.

    Args:
        pair: the clip.
        layout: whose joints and bones are drawn.
        poses: their number in a strip, evenly spaced in time; between two rows of a sequence the nearest.
    """
    start = min(pair.high.seconds[0], pair.low.seconds[0])
    end = max(pair.high.seconds[-1], pair.low.seconds[-1])
    moments = np.linspace(start, end, poses)
    high, low = (_front_view(map_layout(each, layout), moments) for each in (pair.high, pair.low))
    if (pair.high.coordinates, pair.high.size) == (pair.low.coordinates, pair.low.size):
        high, low = np.split(_into_cell(np.concatenate((high, low))), 2)
    else:
        high, low = _into_cell(high), _into_cell(low)
    return _strip(high, layout), _strip(low, layout)


def _front_view(sequence: PoseSequence, moments: Floats) -> Floats:
    """x and y ``(moment, person, joint, 2)``, y downwards; NaN where a joint is not seen."""
    rows = np.abs(sequence.seconds - moments[:, None]).argmin(axis=1)
    xy = np.where(sequence.seen[rows, ..., None], sequence.keypoints[rows, ..., :2], np.nan)
    return np.asarray(
        xy * (1, -1) if sequence.coordinates == 3 else xy
    )  # seen from the sensor, whose y points up


def _into_cell(xy: Floats) -> Floats:
    """Positions ``(..., 2)`` in a cell; outliers are at its edge."""
    seen = xy[np.isfinite(xy).all(axis=-1)]
    if not len(seen):
        return xy
    low, high = np.percentile(seen, (_OUTLIERS, 100 - _OUTLIERS), axis=0)
    scale = (CELL - 2 * _MARGIN) / (float((high - low).max()) or 1.0)
    return np.asarray(np.clip((xy - (low + high) / 2) * scale + CELL / 2, 2, CELL - 2))


def _strip(xy: Floats, layout: Layout) -> Markup:
    """Poses ``(pose, person, joint, 2)`` in cells side by side; a path for each person and side."""
    placed = xy + np.arange(len(xy))[:, None, None, None] * (CELL, 0)
    paths = []
    for person in range(xy.shape[1]):
        for side, chains in _chains(layout).items():
            lines = "".join(line for chain in chains for line in _lines(placed[:, person, chain]))
            if lines:
                paths.append(f'<path class="{side}{" other" * (person > 0)}" d="{lines}"/>')
    return Markup(f'<svg viewBox="0 0 {len(xy) * CELL} {CELL}" aria-hidden="true">{"".join(paths)}</svg>')


def _chains(layout: Layout) -> dict[str, list[list[int]]]:
    """By side of the body, polylines of joint indices that together contain each bone of the side once."""
    bones: dict[str, list[tuple[int, int]]] = {"middle": [], "left": [], "right": []}
    for bone in layout.edges:
        sides = {layout.joints[joint].partition("_")[0] for joint in bone} & {"left", "right"}
        bones[sides.pop() if len(sides) == 1 else "middle"].append(bone)
    return {side: list(_join(of_side)) for side, of_side in bones.items()}


def _join(bones: list[tuple[int, int]]) -> Iterator[list[int]]:
    left = list(bones)
    while left:
        chain = list(left.pop(0))
        while following := next((bone for bone in left if bone[0] == chain[-1]), None):
            left.remove(following)
            chain.append(following[1])
        yield chain


def _lines(points: Floats) -> Iterator[str]:
    """The seen parts of a polyline ``(pose, joint, 2)`` in each pose; a joint on its own is a dot."""
    for pose in points:
        seen = np.isfinite(pose).all(axis=1)
        for run in np.split(np.arange(len(pose)), np.flatnonzero(np.diff(seen)) + 1):
            if seen[run[0]]:
                (x, y), *steps = np.diff(np.rint(pose[run]), axis=0, prepend=0).astype(int).tolist()
                rest = " ".join(f"{dx} {dy}" for dx, dy in steps or [(0, 0)])
                yield f"M{x} {y}l{rest}".replace(" -", "-")
