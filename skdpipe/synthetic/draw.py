"""Draw people: polygons painted from far to near, and a map of what is in front.

The canvas is ``FINE`` times the picture in both directions and is averaged down, so a pixel x of the picture
has its middle at ``FINE * x + (FINE - 1) / 2`` on the canvas. Beside the colours a small map keeps which part
of whom is in front at each pixel; visibility is read from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from skdpipe.synthetic.body import SIDE, Array, Figure, unit
from skdpipe.synthetic.camera import Camera

FINE = 2
Image = NDArray[np.uint8]
Colour = tuple[float, float, float]

# Parts in the map of what is in front; a limb's right part follows its left.
TORSO, HEAD, UPPER_ARM, FOREARM, HAND, THIGH, SHIN, FOOT, THING = 1, 2, 3, 5, 7, 9, 11, 13, 15
# For each joint the parts that do not hide it: the flesh around it.
_AROUND = (
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
    """Something flat to paint: polygons with their colours, how far away, and as which part."""

    depth: float
    part: int
    polygons: list[tuple[Array, Colour]]
    lines: list[tuple[Array, Colour, float]]


def to_canvas(points: Array) -> Array:
    """From pixels of the picture to pixels of the canvas."""
    return FINE * points + (FINE - 1) / 2


def paint(canvas: Image, front: Image, shapes: Iterable[tuple[Shape, int]]) -> None:
    """Paint shapes over the canvas, the nearest last, and their part numbers over the map (both in place).

    Args:
        canvas: ``(FINE * height, FINE * width, 3)``.
        front: ``(height, width)``; receives ``16 * person + part``; 0 stays where nobody is.
        shapes: each with the number of the person it belongs to.
    """
    for shape, number in sorted(shapes, key=lambda pair: -pair[0].depth):
        for polygon, colour in shape.polygons:
            cv2.fillConvexPoly(canvas, _fixed(to_canvas(polygon)), colour, cv2.LINE_AA, _SHIFT)
        for line, colour, width in shape.lines:
            thick = max(1, round(FINE * width))
            cv2.polylines(canvas, [_fixed(to_canvas(line))], False, colour, thick, cv2.LINE_AA, _SHIFT)
        for polygon, _ in shape.polygons[:2]:
            cv2.fillConvexPoly(front, _fixed(polygon), (_PARTS * number + shape.part,), cv2.LINE_8, _SHIFT)


def in_sight(
    front: Image, figure: Figure, camera: Camera, frame: int, number: int, pixels: Array
) -> NDArray[np.bool_]:
    """``(17,)``: which joints of a person no other part hides; outside of the picture is out of sight.

    A joint at the trunk or head is hidden by the person's own trunk or head if it is on the far side.
    """
    height, width = front.shape
    column, row = np.rint(pixels[:, 0]).astype(int), np.rint(pixels[:, 1]).astype(int)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    over = np.where(inside, front[row.clip(0, height - 1), column.clip(0, width - 1)].astype(int), 0)
    around = [value == 0 or value - _PARTS * number in _AROUND[joint] for joint, value in enumerate(over)]
    chest = facing(figure.trunk.chest_turn[frame], figure.trunk.pelvis[frame], camera)
    hips = facing(figure.trunk.pelvis_turn[frame], figure.trunk.pelvis[frame], camera)
    head = facing(figure.trunk.head_turn[frame], figure.trunk.head[frame], camera)
    near = np.ones(17, bool)
    near[0] = head[0] > -0.15
    near[1:3] = 0.85 * head[0] + 0.5 * SIDE * head[1] > 0.0
    near[3:5] = SIDE * head[1] > -0.15
    near[5:7] = SIDE * chest[1] > -0.75
    near[11:13] = SIDE * hips[1] > -0.75
    return np.asarray(inside & np.array(around) & near)


def facing(turn: Array, place: Array, camera: Camera) -> Array:
    """Direction to the camera in a part's own frame: (forward, left, up)."""
    return np.asarray(turn.T @ unit(camera.position - place))


def _fixed(points: Array) -> NDArray[np.int32]:
    return np.rint(points * (1 << _SHIFT)).astype(np.int32)


def hull(points: Array) -> Array:
    """Convex outline ``(n, 2)`` of projected points."""
    return np.asarray(cv2.convexHull(points[..., :2].reshape(-1, 2).astype(np.float32))[:, 0], np.float64)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour made darker or lighter."""
    r, g, b = (min(255.0, part * factor) for part in colour)
    return r, g, b


def capsules(a: Array, b: Array, first: Array, second: Array) -> Array:
    """``(n, 14, 2)``: outlines of two circles (centres a, b, given radii) and what lies between them."""
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


def mix(a: Array, b: Array, share: float | Array) -> Array:
    """The point that divides a to b at a share of the way."""
    return a + share * (b - a)


def swell(polygon: Array, pixels: float) -> Array:
    """The polygon's corners moved outward from its middle."""
    return np.asarray(polygon + pixels * unit(polygon - polygon.mean(axis=0)))


def disc(centre: Array, radius: float, colour: Colour, squeeze: float = 1.0) -> tuple[Array, Colour]:
    """A filled circle, or an ellipse of squeezed width."""
    rim = np.stack([squeeze * np.cos(_TURN), np.sin(_TURN)], axis=-1)
    return centre[:2] + radius * rim, colour
