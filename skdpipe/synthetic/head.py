"""Drawing of the head: hair, ears, and a face if it is turned towards the camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from skdpipe.synthetic.body import EAR, EYE, MOUTH, NOSE, SIDE, Array, Body, Figure
from skdpipe.synthetic.camera import Camera
from skdpipe.synthetic.clothes import Clothes
from skdpipe.synthetic.draw import (
    HEAD,
    Colour,
    Shape,
    capsules,
    direction_to_camera,
    disc,
    expand,
    hull,
    shade,
)

Projector = Callable[[Array], Array]


def _sphere() -> Array:
    """Points on the unit sphere, narrower towards the chin."""
    up = np.linspace(-1, 1, 9)[:, None]
    around = np.linspace(0, 2 * np.pi, 14, endpoint=False)[None]
    flat = np.sqrt(1 - up**2) * (1 - 0.18 * np.clip(-up, 0, 1) ** 2)
    points = np.stack(np.broadcast_arrays(flat * np.cos(around), flat * np.sin(around), up), axis=-1)
    return np.asarray(points.reshape(-1, 3))


_SKULL = _sphere()
_SCALP = _SKULL[_SKULL @ np.array([-0.62, 0.0, 0.78]) > 0.22] * np.array([1.12, 1.12, 1.10])
_CROWN = _SKULL[_SKULL[:, 2] > 0.30] * np.array([1.14, 1.14, 1.12])


def draw_head(body: Body, clothes: Clothes, figure: Figure, camera: Camera, frame: int) -> Iterator[Shape]:
    """Draw skull, hair, ears and face, from back to front."""
    trunk = figure.trunk
    turn, centre, axes = trunk.head_turn[frame], trunk.head[frame], np.array(body.head)
    ahead = direction_to_camera(turn, centre, camera)

    def at(points: Array) -> Array:
        return camera.project(centre + (points * axes) @ turn.T)

    middle = camera.project(centre)
    scale = camera.focal / middle[2] * body.head[2]
    hair_points = _CROWN if clothes.hair_style == "cap" else _SCALP
    towards = hair_points @ (ahead / axes)
    towards = towards / np.abs(towards).max()
    hair, skin = clothes.hair, clothes.skin
    skull = hull(at(_SKULL))
    polygons: list[tuple[Array, Colour]] = [(expand(skull, 0.5), shade(skin, 0.55))]
    has_hair = clothes.hair_style != "bald"
    if has_hair:
        polygons.append((hull(at(hair_points)), shade(hair, 0.75)))
    far_ears = [side for side in SIDE if side * ahead[1] < 0.35]
    polygons += [
        disc(at(np.array([EAR[0], 1.05 * s, EAR[2]])), 0.2 * scale, shade(skin, 0.85)) for s in far_ears
    ]
    polygons.append((skull, skin))
    shadow = np.array([[0, 0.0, 0], *(_SKULL[_SKULL[:, 2] < -0.5])])
    if ahead[0] > -0.2:
        polygons.append((hull(at(shadow[1:])), shade(skin, 0.93)))
    lines: list[tuple[Array, Colour, float]] = []
    face, marks = _face(clothes, ahead, scale, at)
    if ahead[0] > -0.15:
        polygons += face
        lines += marks
    if has_hair:
        for side in SIDE:
            half = hair_points[(towards > 0.03) & (side * hair_points[:, 1] > -0.02)]
            if len(half) > 2:
                polygons.append((hull(at(half)), hair if side > 0 else shade(hair, 0.92)))
    for side in SIDE:
        if side * ahead[1] >= 0.35:
            ear = at(np.array([EAR[0], side * 1.05, EAR[2]]))
            polygons += [
                disc(ear, 0.24 * scale, shade(skin, 0.7)),
                disc(ear, 0.17 * scale, shade(skin, 0.95)),
            ]
    if clothes.hair_style == "cap":
        brim = [[0.75, 0.8, 0.42], [0.75, -0.8, 0.42], [1.75, -0.5, 0.34], [1.75, 0.5, 0.34], [0.8, 0, 0.62]]
        if ahead[0] > -0.35:
            polygons.append((hull(at(np.array(brim))), shade(hair, 0.7)))
    yield Shape(float(middle[2]) - 0.02, HEAD, polygons, lines)
    if clothes.hair_style in ("long", "bun"):
        points = (
            [[-0.75, 0, 0.1], [-0.95, 0, -1.35]] if clothes.hair_style == "long" else [[-1.2, 0, 0.5]] * 2
        )
        ends = at(np.array(points))
        wide = np.array([0.66 if clothes.hair_style == "long" else 0.34]) * scale
        tail = capsules(ends[:1, :2], ends[1:, :2] + 1e-3, wide, 0.85 * wide)[0]
        bias = 0.06 if clothes.hair_style == "long" and ahead[0] < 0 else 0.0
        yield Shape(float(ends[:, 2].mean()) - bias, HEAD, [(tail, shade(hair, 0.85))], [])


def _face(
    clothes: Clothes, ahead: Array, scale: float, at: Projector
) -> tuple[list[tuple[Array, Colour]], list[tuple[Array, Colour, float]]]:
    """Eyes, brows, nose and mouth, as far as they face the camera."""
    skin = clothes.skin
    polygons: list[tuple[Array, Colour]] = []
    lines: list[tuple[Array, Colour, float]] = []
    dark = shade(clothes.hair, 0.5)
    for side in SIDE:
        if 0.85 * ahead[0] + 0.5 * side * ahead[1] < 0.12:
            continue
        eye = at(np.array([EYE[0], side * EYE[1], EYE[2]]))
        squeeze = 0.5 + 0.7 * max(ahead[0], 0.0)
        polygons += [
            disc(eye, 0.17 * scale, (245, 245, 240), squeeze),
            disc(eye, 0.115 * scale, (35, 28, 25)),
        ]
        brow = at(np.array([[0.86, side * 0.18, 0.30], [0.74, side * 0.62, 0.32]]))[:, :2]
        lines.append((brow, dark, 0.09 * scale))
        if clothes.glasses:
            rim = disc(eye, 0.26 * scale, (0, 0, 0), squeeze)[0]
            lines.append((np.concatenate([rim, rim[:1]]), (30, 30, 35), 0.05 * scale))
    bridge, tip = at(np.array([[0.96, 0, 0.12], NOSE]))[:, None, :2]
    nose = capsules(bridge, tip, np.array([0.07 * scale]), np.array([0.15 * scale]))[0]
    polygons += [(expand(nose, 0.15), shade(skin, 0.70)), (nose, shade(skin, 1.04))]
    corners = [[MOUTH[0] - 0.12, s * 0.30, MOUTH[2]] for s in SIDE]
    mouth = at(np.array([corners[0], [MOUTH[0], 0, MOUTH[2] - 0.03], corners[1]]))[:, :2]
    lines.append((mouth, (150, 60, 60), 0.11 * scale))
    return polygons, lines
