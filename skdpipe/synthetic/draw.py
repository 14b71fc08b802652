"""Drawing of people: polygons are painted from far to near; a part map records the frontmost body part.

The canvas is ``SUPERSAMPLING`` times as large as the image in both directions and is averaged down, so the
centre of image pixel x is at ``SUPERSAMPLING * x + (SUPERSAMPLING - 1) / 2`` on the canvas. The part map has
the size of the image and holds the person and body part that is in front at each pixel; the visibility of
joints follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from skdpipe.synthetic.body import SIDE, Array, Figure, unit
from skdpipe.synthetic.camera import Camera

SUPERSAMPLING = 2
Image = NDArray[np.uint8]
Colour = tuple[float, float, float]

# Body parts in the part map; the number of a right limb is that of the left one plus 1.
TORSO, HEAD, UPPER_ARM, FOREARM, HAND, THIGH, SHIN, FOOT, OBJECT = 1, 2, 3, 5, 7, 9, 11, 13, 15
# For each joint the adjacent parts, which do not occlude it.
_OWN_PARTS = (
    [(HEAD,)] * 5
    + [(TORSO, UPPER_ARM + s) for s in (0, 1)]
    + [(UPPER_ARM + s, FOREARM + s) for s in (0, 1)]
    + [(FOREARM + s, HAND + s) for s in (0, 1)]
    + [(TORSO, THIGH + s) for s in (0, 1)]
    + [(THIGH + s, SHIN + s) for s in (0, 1)]
    + [(SHIN + s, FOOT + s) for s in (0, 1)]
)
_PARTS = 16
_SHIFT = 4
_ARC = np.linspace(0, 1, 7)
_TURN = np.linspace(0, 2 * np.pi, 16, endpoint=False)


@dataclass(frozen=True)
class Shape:
    """Polygons and lines with colours, their depth in metres, and the body part they belong to."""

    depth: float
    part: int
    polygons: list[tuple[Array, Colour]]
    lines: list[tuple[Array, Colour, float]]


def to_canvas(points: Array) -> Array:
    """Image coordinates to canvas coordinates."""
    return SUPERSAMPLING * points + (SUPERSAMPLING - 1) / 2


def paint(canvas: Image, part_map: Image, shapes: Iterable[tuple[Shape, int]]) -> None:
    """Paint shapes on the canvas, the nearest last, and their part numbers on the part map (both in place).

    Args:
        canvas: ``(SUPERSAMPLING * height, SUPERSAMPLING * width, 3)``.
        part_map: ``(height, width)``; set to ``16 * person + part``; 0 is the background.
        shapes: each with the index of its person.
    """
    for shape, number in sorted(shapes, key=lambda pair: -pair[0].depth):
        for polygon, colour in shape.polygons:
            cv2.fillConvexPoly(canvas, _fixed_point(to_canvas(polygon)), colour, cv2.LINE_AA, _SHIFT)
        for line, colour, width in shape.lines:
            thick = max(1, round(SUPERSAMPLING * width))
            cv2.polylines(canvas, [_fixed_point(to_canvas(line))], False, colour, thick, cv2.LINE_AA, _SHIFT)
        for polygon, _ in shape.polygons[:2]:
            cv2.fillConvexPoly(
                part_map, _fixed_point(polygon), (_PARTS * number + shape.part,), cv2.LINE_8, _SHIFT
            )


def visible_joints(
    part_map: Image, figure: Figure, camera: Camera, frame: int, number: int, pixels: Array
) -> NDArray[np.bool_]:
    """``(17,)``: True for joints of a person that lie inside the image and are not occluded.

    A joint on the far side of the trunk or the head is occluded by that part.
    """
    height, width = part_map.shape
    column, row = np.rint(pixels[:, 0]).astype(int), np.rint(pixels[:, 1]).astype(int)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    over = np.where(inside, part_map[row.clip(0, height - 1), column.clip(0, width - 1)].astype(int), 0)
    around = [value == 0 or value - _PARTS * number in _OWN_PARTS[joint] for joint, value in enumerate(over)]
    chest = direction_to_camera(figure.trunk.chest_turn[frame], figure.trunk.pelvis[frame], camera)
    hips = direction_to_camera(figure.trunk.pelvis_turn[frame], figure.trunk.pelvis[frame], camera)
    head = direction_to_camera(figure.trunk.head_turn[frame], figure.trunk.head[frame], camera)
    near = np.ones(17, bool)
    near[0] = head[0] > -0.15
    near[1:3] = 0.85 * head[0] + 0.5 * SIDE * head[1] > 0.0
    near[3:5] = SIDE * head[1] > -0.15
    near[5:7] = SIDE * chest[1] > -0.75
    near[11:13] = SIDE * hips[1] > -0.75
    return np.asarray(inside & np.array(around) & near)


def direction_to_camera(turn: Array, position: Array, camera: Camera) -> Array:
    """Direction to the camera in the coordinates of a body part: (forward, left, up)."""
    return np.asarray(turn.T @ unit(camera.position - position))


def _fixed_point(points: Array) -> NDArray[np.int32]:
    return np.rint(points * (1 << _SHIFT)).astype(np.int32)


def hull(points: Array) -> Array:
    """Convex hull ``(n, 2)`` of projected points."""
    return np.asarray(cv2.convexHull(points[..., :2].reshape(-1, 2).astype(np.float32))[:, 0], np.float64)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour multiplied by a factor."""
    r, g, b = (min(255.0, part * factor) for part in colour)
    return r, g, b


def capsules(a: Array, b: Array, first: Array, second: Array) -> Array:
    """``(n, 14, 2)``: outlines of capsules: convex hulls of circles around a and b with the given radii."""
    along = b - a
    distance = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)
    heading = np.arctan2(along[:, 1], along[:, 0])[:, None]
    touch = np.arccos(np.clip((first - second) / distance, -1, 1))[:, None]
    arcs = (heading + touch + _ARC * 2 * (np.pi - touch), heading - touch + _ARC * 2 * touch)
    rims = [
        centre[:, None] + radius[:, None, None] * np.stack([np.cos(arc), np.sin(arc)], axis=-1)
        for centre, radius, arc in zip((a, b), (first, second), arcs, strict=True)
    ]
    return np.concatenate(rims, axis=1)


def interpolate(a: Array, b: Array, share: float | Array) -> Array:
    """Linear interpolation: a at share 0, b at share 1."""
    return a + share * (b - a)


def expand(polygon: Array, pixels: float) -> Array:
    """The polygon with its corners moved outward from the mean by a number of pixels."""
    return np.asarray(polygon + pixels * unit(polygon - polygon.mean(axis=0)))


def disc(centre: Array, radius: float, colour: Colour, squeeze: float = 1.0) -> tuple[Array, Colour]:
    """A filled circle; with ``squeeze`` an ellipse of that relative width."""
    rim = np.stack([squeeze * np.cos(_TURN), np.sin(_TURN)], axis=-1)
    return centre[:2] + radius * rim, colour
