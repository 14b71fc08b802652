"""Who plays, in what, seen from where: everything random about a scene."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

import numpy as np

from skdpipe.synthetic.actions import TOGETHER, Cue, Manner
from skdpipe.synthetic.body import Array, Body, grow
from skdpipe.synthetic.camera import Camera
from skdpipe.synthetic.clothed import Clothes
from skdpipe.synthetic.draw import Colour

# Streams of random numbers: [seed, stream, subject, take].
_SUBJECT, _PARTNER = 0, 3


@dataclass(frozen=True)
class Person:
    """One player.

    Attributes:
        thing: what is in a hand: ``cup-left``, ``phone-right`` and the like, or empty.
        spot: where on the floor, metres.
        heading: which way the person faces, radians; 0 is along +x.
    """

    body: Body
    clothes: Clothes
    manner: Manner
    cue: Cue
    thing: str
    spot: tuple[float, float]
    heading: float


@dataclass(frozen=True)
class Light:
    """Gain of the three colours, added brightness, blur in pixels, and noise in grey levels."""

    gain: tuple[float, float, float]
    offset: float
    blur: float
    noise: float


def cast_people(rng: np.random.Generator, action: str, numbers: tuple[int, int, int]) -> tuple[Person, ...]:
    """The subject alone, or for an action of two also a partner, face to face a gap apart."""
    seed, subject, take = numbers
    onset, phase, choice = rng.random(3).tolist()
    if action not in TOGETHER:
        body, manner, clothes = _someone(seed, subject, rng)
        cue = Cue(action, 0, onset, phase, choice, gap=0.0, partner=body.height)
        hand = "left" if manner.left_handed else "right"
        thing = {"drink": f"cup-{hand}", "phone_call": f"phone-{hand}"}.get(action, "")
        return (Person(body, clothes, manner, cue, thing, (0.0, 0.0), 0.0),)
    partner = int(np.random.default_rng([seed, _PARTNER, subject, take]).integers(1_000_000, 2_000_000))
    who = [_someone(seed, number, rng) for number in (subject, partner)]
    if rng.random() < 0.5:
        who.reverse()
    reach = float(np.mean([body.arm for body, _, _ in who]))
    gap = reach * rng.uniform(*{"handshake": (1.55, 1.85), "push": (1.30, 1.55)}[action])
    people = []
    for role, (body, manner, clothes) in enumerate(who):
        cue = Cue(action, role, onset, phase, choice, gap=gap, partner=who[1 - role][0].height)
        people.append(Person(body, clothes, manner, cue, "", ((role - 0.5) * gap, 0.0), role * np.pi))
    return tuple(people)


def _someone(seed: int, subject: int, take_rng: np.random.Generator) -> tuple[Body, Manner, Clothes]:
    """A person: what lasts from the subject's numbers, what changes from the take's."""
    rng = np.random.default_rng([seed, _SUBJECT, subject])
    body = grow(rng)
    manner = Manner(
        left_handed=bool(rng.random() < 0.3),
        tempo=float(rng.uniform(0.8, 1.25)),
        vigour=float(rng.uniform(0.75, 1.3)),
        stance=float(rng.uniform(1.0, 1.9)),
        lean=float(rng.uniform(-0.03, 0.10)),
        rest=_rest(rng),
        phases=np.zeros(6),
    )
    changed = replace(
        manner,
        tempo=manner.tempo * float(take_rng.uniform(0.92, 1.08)),
        vigour=manner.vigour * float(take_rng.uniform(0.9, 1.1)),
        phases=take_rng.uniform(0, 2 * np.pi, 6),
    )
    return body, changed, _dress(rng, take_rng)


def _rest(rng: np.random.Generator) -> Array:
    """Where idle hands are, from the shoulder in arm lengths: hanging, bent, or one on the hip."""
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


def _hue(rng: np.random.Generator, value: tuple[float, float] = (0.2, 0.95)) -> Colour:
    r, g, b = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.05, 0.85), rng.uniform(*value))
    return 255 * r, 255 * g, 255 * b


def _dress(rng: np.random.Generator, take_rng: np.random.Generator) -> Clothes:
    """Skin, hair and cut are the subject's; colours and pattern the take's."""
    skin = np.array(_SKINS[int(rng.integers(len(_SKINS)))]) * rng.uniform(0.94, 1.04)
    hair = np.array(_HAIRS[int(rng.integers(len(_HAIRS)))]) * rng.uniform(0.85, 1.15)
    style = str(rng.choice(["short", "long", "bun", "cap", "bald"], p=[0.45, 0.25, 0.12, 0.1, 0.08]))
    likes_short, likes_shorts, glasses = rng.random(), rng.random(), bool(rng.random() < 0.2)
    if style == "cap":
        hair = np.array(_hue(rng))
    short = take_rng.random() < 0.25 + 0.55 * likes_short
    shorts = take_rng.random() < 0.45 * likes_shorts
    pattern = str(
        take_rng.choice(["plain", "stripes", "logo", "buttons", "vest"], p=[0.25, 0.2, 0.2, 0.2, 0.15])
    )
    denim = take_rng.random() < 0.4
    blue = take_rng.uniform(0.5, 1.2)
    return Clothes(
        skin=_colour(skin), hair=_colour(hair), hair_style=style, shirt=_hue(take_rng, (0.25, 1.0)),
        second=_hue(take_rng, (0.1, 1.0)), pattern=pattern,
        sleeve=float(take_rng.uniform(0.35, 0.75)) if short else float(take_rng.choice([1.94, 1.6])),
        trousers=(50 * blue, 70 * blue, 115 * blue) if denim else _hue(take_rng, (0.12, 0.8)),
        leg=float(take_rng.uniform(0.6, 0.9)) if shorts else 1.97,
        shoes=_hue(take_rng, (0.08, 0.95)), glasses=glasses, thing=_hue(take_rng, (0.1, 1.0)),
    )  # fmt: skip


def _colour(values: Array) -> Colour:
    r, g, b = np.clip(values, 0, 255).tolist()
    return r, g, b


def set_light(rng: np.random.Generator) -> Light:
    """Brightness, tint, blur and noise of one take."""
    r, g, b = (rng.uniform(0.76, 1.14) * rng.uniform(0.92, 1.08, 3)).tolist()
    blur = rng.uniform(0.3, 0.9) if rng.random() < 0.5 else 0.0
    return Light((r, g, b), rng.uniform(-12, 14), blur, rng.uniform(0.5, 6))


def place_camera(rng: np.random.Generator, people: tuple[Person, ...], size: tuple[int, int]) -> Camera:
    """A view of the people: single ones from the front more often, two from the side more often."""
    width, height = size
    leaps = people[0].cue.action == "jumping_jack"
    tall = max(who.body.height for who in people)
    around = rng.choice([-1, 1]) * rng.choice(
        [rng.uniform(0, 25), rng.uniform(25, 65), rng.uniform(65, 110), rng.uniform(110, 180)],
        p=[0.38, 0.36, 0.15, 0.11],
    )
    across = rng.choice([-90, 90]) + np.clip(rng.normal(0, 24), -60, 60)
    azimuth = float(np.deg2rad(across if len(people) > 1 else around))
    share = float(rng.uniform(0.52, 0.88) if rng.random() < 0.9 else rng.uniform(0.88, 1.2))
    share *= 0.86 if leaps else 0.97
    distance = float(rng.uniform(3.0, 7.0))
    if len(people) > 1:
        reach = people[0].cue.gap + 1.1
        share = min(share, 0.97 * width / height * tall / reach)
    focal = share * height * distance / tall
    middle = 0.54 if leaps else 0.5
    slack = np.maximum(0.04, 0.5 - 0.55 * share)
    centre = (
        float((width - 1) / 2 + width * rng.uniform(-1, 1) * (0.16 if len(people) == 1 else 0.04)),
        float((height - 1) / 2 + height * slack * rng.uniform(-1, 1)),
    )
    elevation = float(np.deg2rad(rng.uniform(-3, 16)))
    return Camera((0.0, 0.0, middle * tall), azimuth, elevation, distance, float(focal), centre)
