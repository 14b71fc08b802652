"""Clothes, and drawing of the dressed body: limbs, trunk and a held object.

The front of the trunk has a neckline, and a logo, buttons or an open jacket if the pattern has one; the back
has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from skdpipe.synthetic.body import Array, Body, Figure, unit
from skdpipe.synthetic.camera import Camera
from skdpipe.synthetic.draw import (
    FOOT,
    FOREARM,
    HAND,
    OBJECT,
    SHIN,
    THIGH,
    TORSO,
    UPPER_ARM,
    Colour,
    Shape,
    capsules,
    direction_to_camera,
    expand,
    hull,
    interpolate,
    shade,
)

_LIGHT = np.array([-0.45, -0.35])
_RING = np.linspace(0, 2 * np.pi, 16, endpoint=False)


@dataclass(frozen=True)
class Clothes:
    """Colours, clothes and hair of a person.

    Attributes:
        hair_style: short, long, bun, cap, or bald.
        pattern: pattern of the shirt: plain, stripes, logo, buttons, or vest (an open jacket over a shirt).
        sleeve, leg: length of sleeves and trouser legs in [0, 2]; 1 is the elbow or the knee.
        held_object: colour of an object in the hand.
    """

    skin: Colour
    hair: Colour
    hair_style: str
    shirt: Colour
    second: Colour
    pattern: str
    sleeve: float
    trousers: Colour
    leg: float
    shoes: Colour
    glasses: bool
    held_object: Colour


def draw_limbs(
    body: Body, clothes: Clothes, figure: Figure, camera: Camera, frame: int, held_object: str
) -> Iterator[Shape]:
    """Draw arms, legs, neck and the held object (``cup-left``, ``phone-right``; empty for none)."""
    limbs = [*_arms(body, clothes, figure, frame), *_legs(body, clothes, figure, frame)]
    limbs += [*_neck(body, clothes, figure, frame), *_held(clothes, figure, frame, held_object)]
    yield from _tubes(limbs, camera)


@dataclass(frozen=True)
class _Limb:
    """A tapered capsule in space.

    Attributes:
        bias: metres that are subtracted from the depth of the whole limb; the depth determines the drawing
            order.
        drawn: fraction of the limb that is drawn, from the start (for sleeves).
    """

    start: Array
    end: Array
    radii: tuple[float, float]
    colour: Colour
    part: int
    bias: float
    drawn: float = 1.0


def _tubes(limbs: list[_Limb], camera: Camera) -> Iterator[Shape]:
    whole = np.array([[limb.start, limb.end] for limb in limbs])
    depths = camera.project(whole)[..., 2].mean(axis=1)
    drawn = np.array([limb.drawn for limb in limbs])[:, None]
    ends = camera.project(np.stack([whole[:, 0], interpolate(whole[:, 0], whole[:, 1], drawn)], axis=1))
    radii = np.array([limb.radii for limb in limbs]) * camera.focal / ends[..., 2]
    a, b = ends[:, 0, :2], ends[:, 1, :2]
    aside = _LIGHT * radii.mean(axis=1, keepdims=True)
    edge = capsules(a, b, radii[:, 0] + 0.4, radii[:, 1] + 0.4)
    flesh = capsules(a, b, 0.92 * radii[:, 0], 0.92 * radii[:, 1])
    bright = capsules(a + aside, b + aside, 0.42 * radii[:, 0], 0.42 * radii[:, 1])
    for n, limb in enumerate(limbs):
        polygons = [
            (edge[n], shade(limb.colour, 0.62)),
            (flesh[n], limb.colour),
            (bright[n], shade(limb.colour, 1.13)),
        ]
        yield Shape(float(depths[n]) - limb.bias, limb.part, polygons, [])


def _arms(body: Body, clothes: Clothes, figure: Figure, frame: int) -> Iterator[_Limb]:
    size = body.height * body.girth
    r_shoulder, r_elbow, r_wrist, cloth = 0.034 * size, 0.026 * size, 0.019 * size, 0.005 * body.height
    for side in (0, 1):
        shoulder, elbow = figure.trunk.shoulders[frame, side], figure.elbows[frame, side]
        wrist, fingers = figure.wrists[frame, side], figure.fingers[frame, side]
        upper, lower = min(clothes.sleeve, 1.0), min(max(clothes.sleeve - 1, 0.0), 0.86)
        sleeve = clothes.second if clothes.pattern == "vest" and clothes.sleeve < 1 else clothes.shirt
        if upper < 1:
            yield _Limb(shoulder, elbow, (r_shoulder, r_elbow), clothes.skin, UPPER_ARM + side, 0.04)
        r_end = r_shoulder + upper * (r_elbow - r_shoulder) + (1.4 if upper < 1 else 1.0) * cloth
        yield _Limb(shoulder, elbow, (r_shoulder + cloth, r_end), sleeve, UPPER_ARM + side, 0.042, upper)
        yield _Limb(elbow, wrist, (r_elbow, r_wrist), clothes.skin, FOREARM + side, 0.05)
        if lower > 0:
            radii = (r_elbow + cloth, r_wrist + cloth)
            yield _Limb(elbow, wrist, radii, sleeve, FOREARM + side, 0.052, lower)
        palm = interpolate(wrist, fingers, 0.85)
        yield _Limb(wrist, palm, (0.020 * size, 0.0225 * size), clothes.skin, HAND + side, 0.055)


def _legs(body: Body, clothes: Clothes, figure: Figure, frame: int) -> Iterator[_Limb]:
    size = body.height * body.girth
    r_hip, r_knee, r_ankle, cloth = 0.053 * size, 0.036 * size, 0.023 * size, 0.006 * body.height
    for side in (0, 1):
        hip, knee = figure.trunk.hips[frame, side], figure.knees[frame, side]
        ankle, toe = figure.ankles[frame, side], figure.toes[frame, side]
        upper, lower = min(clothes.leg, 1.0), min(max(clothes.leg - 1, 0.0), 0.97)
        if upper < 1:
            yield _Limb(hip, knee, (r_hip, r_knee), clothes.skin, THIGH + side, -0.11)
        radii = (r_hip + cloth, r_knee + (cloth if upper == 1 else 2.5 * cloth))
        yield _Limb(hip, knee, radii, clothes.trousers, THIGH + side, -0.108, upper)
        yield _Limb(knee, ankle, (r_knee, r_ankle), clothes.skin, SHIN + side, 0.004)
        if lower > 0:
            radii = (r_knee + cloth, r_ankle + 1.5 * cloth)
            yield _Limb(knee, ankle, radii, clothes.trousers, SHIN + side, 0.006, lower)
        ahead = unit(toe - ankle)
        heel = ankle - 0.030 * body.height * ahead
        heel = heel - np.array([0, 0, 0.45 * body.ankle])
        yield _Limb(heel, toe, (0.024 * size, 0.020 * size), clothes.shoes, FOOT + side, 0.01)


def _neck(body: Body, clothes: Clothes, figure: Figure, frame: int) -> list[_Limb]:
    trunk, radius = figure.trunk, 0.031 * body.height * body.girth**0.5
    dark = shade(clothes.skin, 0.88)
    top = interpolate(trunk.neck[frame], trunk.head[frame], 0.55)
    base = trunk.neck[frame] - 0.01 * body.height * trunk.chest_turn[frame][:, 2]
    return [_Limb(base, top, (radius, radius), dark, TORSO, -0.03)]


def _held(clothes: Clothes, figure: Figure, frame: int, held_object: str) -> list[_Limb]:
    """The cup or the phone in the acting hand, if there is one."""
    kind, _, which = held_object.partition("-")
    if not kind:
        return []
    side = 0 if which == "left" else 1
    wrist, fingers = figure.wrists[frame, side], figure.fingers[frame, side]
    palm, along = interpolate(wrist, fingers, 0.8), unit(fingers - wrist)
    if kind == "cup":
        tilt = figure.trunk.head_turn[frame][:, 2] - 0.5 * along * (along[2] > 0)
        up = unit(np.array([0, 0, 1.0]) + 0.5 * tilt)
        return [
            _Limb(palm - 0.035 * up, palm + 0.045 * up, (0.030, 0.036), clothes.held_object, OBJECT, 0.035)
        ]
    return [
        _Limb(palm - 0.02 * along, palm + 0.085 * along, (0.024, 0.024), clothes.held_object, OBJECT, 0.03)
    ]


def _ring(centre: Array, turn: Array, half_depth: float, half_width: float) -> Array:
    flat = np.stack([half_depth * np.cos(_RING), half_width * np.sin(_RING), np.zeros(len(_RING))], axis=-1)
    return centre + flat @ turn.T


def _rings(body: Body, figure: Figure, frame: int) -> dict[str, Array]:
    """Cross-sections of the trunk from the collar down, ``(16, 3)`` each; the first point is at the front."""
    trunk, size = figure.trunk, body.height * body.girth
    pelvis, chest, basin = trunk.pelvis[frame], trunk.chest_turn[frame], trunk.pelvis_turn[frame]
    up, down = body.trunk * chest[:, 2], -body.height * basin[:, 2]
    wide = body.hip + 0.040 * size
    return {
        "collar": _ring(pelvis + 1.07 * up, chest, 0.030 * size, 0.55 * body.shoulder),
        "shoulders": _ring(pelvis + 0.98 * up, chest, 0.048 * size, 1.0 * body.shoulder),
        "chest": _ring(pelvis + 0.74 * up, chest, 0.066 * size, 0.88 * body.shoulder + 0.006 * size),
        "waist": _ring(pelvis + 0.33 * up, chest, 0.056 * size, 0.9 * wide),
        "hem": _ring(pelvis + 0.02 * down, basin, 0.062 * size, wide),
        "seat": _ring(pelvis + 0.045 * down, basin, 0.058 * size, 0.95 * wide),
    }


def draw_trunk(body: Body, clothes: Clothes, figure: Figure, camera: Camera, frame: int) -> Iterator[Shape]:
    """Draw the shirt and the seat of the trousers."""
    rings = {name: camera.project(ring) for name, ring in _rings(body, figure, frame).items()}
    depth = float(np.mean([rings["chest"][:, 2].mean(), rings["hem"][:, 2].mean()]))
    seat = hull(np.stack([rings["hem"], rings["seat"]]))
    cloth = clothes.trousers
    yield Shape(depth + 0.03, TORSO, [(seat, cloth)], [])
    upper = hull(np.stack([rings[name] for name in ("collar", "shoulders", "chest", "waist")]))
    lower = hull(np.stack([rings["waist"], rings["hem"]]))
    dark, colour = shade(clothes.shirt, 0.62), clothes.shirt
    polygons = [(expand(lower, 0.4), dark), (expand(upper, 0.4), dark), (lower, colour), (upper, colour)]
    polygons += _shadow_side(rings, shade(colour, 0.84))
    lines: list[tuple[Array, Colour, float]] = []
    ahead = direction_to_camera(figure.trunk.chest_turn[frame], figure.trunk.pelvis[frame], camera)
    if clothes.pattern == "stripes":
        lines += _stripes(rings, clothes, ahead)
    if ahead[0] > 0.12:
        polygons += _front(rings, clothes)
        lines += _front_lines(rings, clothes)
    yield Shape(depth, TORSO, polygons, lines)


def _shadow_side(rings: dict[str, Array], colour: Colour) -> list[tuple[Array, Colour]]:
    sides = []
    for above, below in (("shoulders", "waist"), ("waist", "hem")):
        rows = []
        for name in (above, below):
            x = rings[name][:, 0]
            cut = x.mean() + 0.38 * (x.max() - x.mean())
            rows += [rings[name][np.argmax(x)], _level(rings[name], cut)]
        sides.append((hull(np.stack(rows)), colour))
    return sides


def _level(ring: Array, x: float) -> Array:
    """The nearest point of the front half of a ring at image column x, moved to x."""
    near = ring[np.argmin(np.abs(ring[:, 0] - x) + 10 * (ring[:, 2] > ring[:, 2].mean()))].copy()
    near[0] = x
    return np.asarray(near)


def _stripes(rings: dict[str, Array], clothes: Clothes, ahead: Array) -> list[tuple[Array, Colour, float]]:
    """Stripes on the side of the trunk that faces the camera."""
    toward = np.arctan2(ahead[1], ahead[0])
    order = np.argsort((_RING - toward + np.pi) % (2 * np.pi))[4:13]
    names = ("shoulders", "chest", "waist", "hem")
    lines: list[tuple[Array, Colour, float]] = []
    for share in np.linspace(0.35, 2.85, 6).tolist():
        first = int(share)
        band = interpolate(rings[names[first]], rings[names[first + 1]], share - first)[order, :2]
        lines.append((band, clothes.second, 0.016 * float(np.ptp(rings["shoulders"][:, 1])) + 1.2))
    return lines


def _ahead_at(rings: dict[str, Array], ring: str, degrees: float) -> Array:
    """Image position of the point of a ring at an angle from straight ahead to the person's left."""
    turns = (degrees / 360 * len(_RING)) % len(_RING)
    first = int(turns)
    points = rings[ring]
    return np.asarray(interpolate(points[first], points[(first + 1) % len(_RING)], turns - first)[:2])


def _front(rings: dict[str, Array], clothes: Clothes) -> list[tuple[Array, Colour]]:
    """Polygons on the front only: the neckline in skin colour, a logo or an open jacket."""
    low = interpolate(_ahead_at(rings, "shoulders", 0), _ahead_at(rings, "chest", 0), 0.45)
    neckline = np.stack([_ahead_at(rings, "collar", 60), _ahead_at(rings, "collar", -60), low])
    marks = [(neckline, shade(clothes.skin, 0.95))]
    if clothes.pattern == "logo":
        corners = [("chest", 28), ("chest", -28)]
        top = [_ahead_at(rings, name, angle) for name, angle in corners]
        down = [
            interpolate(_ahead_at(rings, "chest", a), _ahead_at(rings, "waist", a), 0.5) for a in (-28, 28)
        ]
        marks.append((np.stack(top + down), clothes.second))
    if clothes.pattern == "vest":
        strip = [_ahead_at(rings, "shoulders", a) for a in (22, -22)]
        strip += [_ahead_at(rings, "hem", a) for a in (-16, 16)]
        marks.insert(0, (np.stack(strip), clothes.second))
    return marks


def _front_lines(rings: dict[str, Array], clothes: Clothes) -> list[tuple[Array, Colour, float]]:
    if clothes.pattern != "buttons":
        return []
    names = ("chest", "waist", "hem")
    row = np.stack([_ahead_at(rings, name, 0) for name in names])
    pocket = np.stack([_ahead_at(rings, "chest", a) for a in (25, 48)])
    return [(row, shade(clothes.shirt, 0.6), 1.0), (pocket, shade(clothes.shirt, 0.6), 1.0)]
