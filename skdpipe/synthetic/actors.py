"""Actors, camera and lighting of a scene, sampled at random."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

import numpy as np

from skdpipe.synthetic.actions import PAIR_ACTIONS
from skdpipe.synthetic.body import Array, Body, sample_body
from skdpipe.synthetic.camera import Camera
from skdpipe.synthetic.clothes import Clothes
from skdpipe.synthetic.draw import Colour
from skdpipe.synthetic.motion import ActionParameters, MotionStyle

# Random streams: [seed, stream, subject, take]; scene.py uses 1, 2 and 4.
_SUBJECT, _PARTNER = 0, 3


@dataclass(frozen=True)
class Actor:
    """A person with clothes, motion style and action.

    Attributes:
        held_object: object in a hand, for instance ``cup-left`` or ``phone-right``; empty if there is none.
        position: position on the floor in metres.
        heading: direction in which the person faces in radians; 0 is along +x.
    """

    body: Body
    clothes: Clothes
    style: MotionStyle
    parameters: ActionParameters
    held_object: str
    position: tuple[float, float]
    heading: float


@dataclass(frozen=True)
class Lighting:
    """Gain of the three colour channels, added brightness, blur in pixels, and noise in grey levels."""

    gain: tuple[float, float, float]
    offset: float
    blur: float
    noise: float


def sample_actors(rng: np.random.Generator, action: str, numbers: tuple[int, int, int]) -> tuple[Actor, ...]:
    """The subject; for a pair action also a partner, who faces the subject at a distance of ``gap``."""
    seed, subject, take = numbers
    onset, phase, variant = rng.random(3).tolist()
    if action not in PAIR_ACTIONS:
        body, style, clothes = _sample_person(seed, subject, rng)
        parameters = ActionParameters(action, 0, onset, phase, variant, gap=0.0, partner_height=body.height)
        hand = "left" if style.left_handed else "right"
        held_object = {"drink": f"cup-{hand}", "phone_call": f"phone-{hand}"}.get(action, "")
        return (Actor(body, clothes, style, parameters, held_object, (0.0, 0.0), 0.0),)
    partner = int(np.random.default_rng([seed, _PARTNER, subject, take]).integers(1_000_000, 2_000_000))
    pair = [_sample_person(seed, number, rng) for number in (subject, partner)]
    if rng.random() < 0.5:
        pair.reverse()
    reach = float(np.mean([body.arm for body, _, _ in pair]))
    gap = reach * rng.uniform(*{"handshake": (1.55, 1.85), "push": (1.30, 1.55)}[action])
    actors = []
    for role, (body, style, clothes) in enumerate(pair):
        parameters = ActionParameters(
            action, role, onset, phase, variant, gap=gap, partner_height=pair[1 - role][0].height
        )
        actors.append(Actor(body, clothes, style, parameters, "", ((role - 0.5) * gap, 0.0), role * np.pi))
    return tuple(actors)


def _sample_person(
    seed: int, subject: int, take_rng: np.random.Generator
) -> tuple[Body, MotionStyle, Clothes]:
    """A person: body and style depend on the subject's stream; the take's stream varies style and clothes."""
    rng = np.random.default_rng([seed, _SUBJECT, subject])
    body = sample_body(rng)
    style = MotionStyle(
        left_handed=bool(rng.random() < 0.3),
        tempo=float(rng.uniform(0.8, 1.25)),
        amplitude=float(rng.uniform(0.75, 1.3)),
        stance=float(rng.uniform(1.0, 1.9)),
        lean=float(rng.uniform(-0.03, 0.10)),
        rest=_sample_rest_hands(rng),
        phases=np.zeros(6),
    )
    changed = replace(
        style,
        tempo=style.tempo * float(take_rng.uniform(0.92, 1.08)),
        amplitude=style.amplitude * float(take_rng.uniform(0.9, 1.1)),
        phases=take_rng.uniform(0, 2 * np.pi, 6),
    )
    return body, changed, _sample_clothes(rng, take_rng)


def _sample_rest_hands(rng: np.random.Generator) -> Array:
    """Positions of idle hands relative to the shoulders in arm lengths: hanging, bent, or one on the hip."""
    hang = [rng.uniform(0.05, 0.22), rng.uniform(0.06, 0.20), rng.uniform(-0.96, -0.88)]
    bent = [rng.uniform(0.30, 0.42), rng.uniform(-0.15, 0.05), rng.uniform(-0.78, -0.62)]
    on_hip = [0.10, 0.10, -0.70]
    base = bent if rng.random() < 0.2 else hang
    spots = [base, base]
    if rng.random() < 0.15:
        spots[int(rng.integers(2))] = on_hip
    return np.array(spots) + rng.uniform(-0.03, 0.03, (2, 3))


_SKINS = ((250, 219, 195), (236, 194, 160), (220, 172, 132), (190, 138, 98), (148, 100, 68), (104, 70, 50))
_HAIRS = (
    (35, 28, 25),
    (60, 40, 28),
    (95, 62, 36),
    (150, 105, 55),
    (205, 170, 105),
    (150, 60, 35),
    (170, 170, 168),
)


def _sample_colour(rng: np.random.Generator, value: tuple[float, float] = (0.2, 0.95)) -> Colour:
    r, g, b = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.05, 0.85), rng.uniform(*value))
    return 255 * r, 255 * g, 255 * b


def _sample_clothes(rng: np.random.Generator, take_rng: np.random.Generator) -> Clothes:
    """Clothes: skin and hair depend on the subject; lengths, colours and pattern also on the take."""
    skin = np.array(_SKINS[int(rng.integers(len(_SKINS)))]) * rng.uniform(0.94, 1.04)
    hair = np.array(_HAIRS[int(rng.integers(len(_HAIRS)))]) * rng.uniform(0.85, 1.15)
    style = str(rng.choice(["short", "long", "bun", "cap", "bald"], p=[0.45, 0.25, 0.12, 0.1, 0.08]))
    likes_short, likes_shorts, glasses = rng.random(), rng.random(), bool(rng.random() < 0.2)
    if style == "cap":
        hair = np.array(_sample_colour(rng))
    short = take_rng.random() < 0.25 + 0.55 * likes_short
    shorts = take_rng.random() < 0.45 * likes_shorts
    pattern = str(
        take_rng.choice(["plain", "stripes", "logo", "buttons", "vest"], p=[0.25, 0.2, 0.2, 0.2, 0.15])
    )
    denim = take_rng.random() < 0.4
    blue = take_rng.uniform(0.5, 1.2)
    return Clothes(
        skin=_colour(skin), hair=_colour(hair), hair_style=style, shirt=_sample_colour(take_rng, (0.25, 1.0)),
        second=_sample_colour(take_rng, (0.1, 1.0)), pattern=pattern,
        sleeve=float(take_rng.uniform(0.35, 0.75)) if short else float(take_rng.choice([1.94, 1.6])),
        trousers=(50 * blue, 70 * blue, 115 * blue) if denim else _sample_colour(take_rng, (0.12, 0.8)),
        leg=float(take_rng.uniform(0.6, 0.9)) if shorts else 1.97,
        shoes=_sample_colour(take_rng, (0.08, 0.95)), glasses=glasses,
        held_object=_sample_colour(take_rng, (0.1, 1.0)),
    )  # fmt: skip


def _colour(values: Array) -> Colour:
    r, g, b = np.clip(values, 0, 255).tolist()
    return r, g, b


def sample_lighting(rng: np.random.Generator) -> Lighting:
    """Brightness, tint, blur and noise of a take."""
    r, g, b = (rng.uniform(0.76, 1.14) * rng.uniform(0.92, 1.08, 3)).tolist()
    blur = rng.uniform(0.3, 0.9) if rng.random() < 0.5 else 0.0
    return Lighting((r, g, b), rng.uniform(-12, 14), blur, rng.uniform(0.5, 6))


def sample_camera(rng: np.random.Generator, actors: tuple[Actor, ...], size: tuple[int, int]) -> Camera:
    """A camera: single people are seen more often from the front, pairs more often from the side."""
    width, height = size
    leaps = actors[0].parameters.action == "jumping_jack"
    tall = max(actor.body.height for actor in actors)
    around = rng.choice([-1, 1]) * rng.choice(
        [rng.uniform(0, 25), rng.uniform(25, 65), rng.uniform(65, 110), rng.uniform(110, 180)],
        p=[0.38, 0.36, 0.15, 0.11],
    )
    across = rng.choice([-90, 90]) + np.clip(rng.normal(0, 24), -60, 60)
    azimuth = float(np.deg2rad(across if len(actors) > 1 else around))
    share = float(rng.uniform(0.52, 0.88) if rng.random() < 0.9 else rng.uniform(0.88, 1.2))
    share *= 0.86 if leaps else 0.97
    distance = float(rng.uniform(3.0, 7.0))
    if len(actors) > 1:
        reach = actors[0].parameters.gap + 1.1
        share = min(share, 0.97 * width / height * tall / reach)
    focal = share * height * distance / tall
    middle = 0.54 if leaps else 0.5
    slack = np.maximum(0.04, 0.5 - 0.55 * share)
    centre = (
        float((width - 1) / 2 + width * rng.uniform(-1, 1) * (0.16 if len(actors) == 1 else 0.04)),
        float((height - 1) / 2 + height * slack * rng.uniform(-1, 1)),
    )
    elevation = float(np.deg2rad(rng.uniform(-3, 16)))
    return Camera((0.0, 0.0, middle * tall), azimuth, elevation, distance, float(focal), centre)
