"""What the people do: each action is a short function from a player and the time to a posed figure.

Time is in seconds. One-time actions (drink, kick, push) stretch over the clip; repeated ones (clap, wave)
have a rate in hertz. All motion is made from sines and the quintic ease, so it is smooth (C2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skdpipe.synthetic.body import (
    EAR,
    MOUTH,
    SIDE,
    Array,
    Body,
    Figure,
    Trunk,
    pose_limbs,
    raise_trunk,
    rotation,
)


@dataclass(frozen=True)
class Manner:
    """How a person moves, whatever the action.

    Attributes:
        left_handed: which hand acts.
        tempo, vigour: factors on speed and amplitude, about 1.
        stance: half the distance of the feet, in hip half widths.
        lean: forward bow of the upper body in radians.
        rest: where the idle hands are, from the shoulder in arm lengths, ``(left/right, 3)``.
        phases: of the idle sway, ``(6,)`` radians.
    """

    left_handed: bool
    tempo: float
    vigour: float
    stance: float
    lean: float
    rest: Array
    phases: Array


@dataclass(frozen=True)
class Cue:
    """What one player is told for one take.

    Attributes:
        action: its name.
        role: 0 for whoever begins (or is alone), 1 for the partner.
        onset, phase, choice: numbers in [0, 1) that set the start, the phase of repeated motion, a variant.
        gap: distance of the two people at contact in metres; for one person unused.
        partner: the other person's height in metres (one's own, if alone).
    """

    action: str
    role: int
    onset: float
    phase: float
    choice: float
    gap: float
    partner: float


@dataclass(frozen=True)
class Player:
    """A person about to act: body, manner, cue, and the frames' times."""

    body: Body
    manner: Manner
    cue: Cue
    time: Array
    length: float

    @property
    def hand(self) -> int:
        """Which hand acts: 0 left, 1 right."""
        return 0 if self.manner.left_handed else 1

    def swell(self, start: float, rise: float, hold: float, fall: float) -> Array:
        """0 to 1 and back to 0; start and durations in parts of the clip."""
        when = self.time / self.length - start
        return ease(when / rise) - ease((when - rise - hold) / fall)

    def cycle(self, hertz: float) -> Array:
        """Phase in radians of a repeated motion at the person's tempo."""
        return np.asarray(2 * np.pi * (hertz * self.manner.tempo * self.time + self.cue.phase))

    def wobble(self, index: int, hertz: float) -> Array:
        """Slow idle motion in [-1, 1]."""
        first, second = self.manner.phases[index], self.manner.phases[(index + 1) % 6]
        turns = 2 * np.pi * self.time * hertz
        return np.asarray(0.7 * np.sin(turns + first) + 0.3 * np.sin(1.7 * turns + second))


def ease(x: Array) -> Array:
    """Quintic step from 0 at 0 to 1 at 1 with vanishing first and second derivatives at both ends."""
    x = np.clip(x, 0, 1)
    return np.asarray(x**3 * (10 - 15 * x + 6 * x**2))


def blend(first: Array, second: Array, weight: Array) -> Array:
    """First where the weight is 0, second where it is 1; the weight has one number a frame."""
    weight = weight.reshape(-1, *[1] * (first.ndim - 1))
    return first + weight * (second - first)


def play(body: Body, manner: Manner, cue: Cue, time: Array, length: float) -> Figure:
    """The figure of one person acting, in the person's own frame."""
    return _MOVES[cue.action](Player(body, manner, cue, time, length))


def _vector(x: Array | float, y: Array | float, z: Array | float, frames: int) -> Array:
    return np.stack([np.broadcast_to(np.asarray(part, float), (frames,)) for part in (x, y, z)], axis=-1)


def _trunk(
    p: Player,
    *,
    shift: Array | float = 0.0,
    drop: Array | float = 0.0,
    bow: Array | float = 0.0,
    tilt: Array | float = 0.0,
    twist: Array | float = 0.0,
    nod: Array | float = 0.0,
    cock: Array | float = 0.0,
    spread: Array | float | None = None,
) -> Trunk:
    """The trunk with idle sway; shift forward and drop in metres, the other angles in radians."""
    body, frames = p.body, len(p.time)
    wide = p.manner.stance * body.hip if spread is None else spread
    stretch = np.sqrt((0.990 * body.leg) ** 2 - (wide - body.hip) ** 2) + body.ankle
    sway_x, sway_y = 0.012 * p.wobble(0, 0.35), 0.014 * p.wobble(1, 0.28)
    pelvis = _vector(shift + sway_x, sway_y, stretch - drop - 0.002, frames)
    zero = np.zeros(frames)
    breath = 0.012 * p.wobble(2, 0.3)
    pelvis_turn = rotation(zero + 0.03 * p.wobble(3, 0.3), zero + 0.4 * bow, zero + 0.3 * tilt)
    chest = rotation(zero + twist, zero + 0.6 * bow + p.manner.lean + breath, zero + 0.7 * tilt)
    look = zero + nod - 0.7 * bow - 0.8 * p.manner.lean + 0.05 * p.wobble(4, 0.5)
    head = rotation(-0.8 * twist + 0.10 * p.wobble(5, 0.3), look, zero + cock)
    return raise_trunk(body, pelvis, pelvis_turn, chest, head)


def _from_shoulder(
    p: Player, trunk: Trunk, side: int, x: Array | float, y: Array | float, z: Array | float
) -> Array:
    """``(frame, 3)``: a place from the shoulder in arm lengths: forward, outward, up along the chest."""
    offset = _vector(x, SIDE[side] * np.asarray(y), z, len(p.time)) * p.body.arm
    return trunk.shoulders[:, side] + (trunk.chest_turn @ offset[..., None])[..., 0]


def _resting(p: Player, trunk: Trunk) -> Array:
    """``(frame, left/right, 3)``: where the hands hang."""
    swing = 0.015 * p.wobble(2, 0.45)
    spots = [_from_shoulder(p, trunk, side, x + swing, y, z) for side, (x, y, z) in enumerate(p.manner.rest)]
    return np.stack(spots, axis=1)


def _elbows(p: Player, x: float, out: float, up: float) -> Array:
    pole = np.array([[x, side * out, up] for side in SIDE])
    return np.broadcast_to(pole, (len(p.time), 2, 3)).copy()


def _standing(p: Player, spread: float | Array | None = None) -> Array:
    """``(frame, left/right, 3)``: ankles on the floor."""
    wide = p.manner.stance * p.body.hip if spread is None else spread
    return np.stack([_vector(0, side * wide, p.body.ankle, len(p.time)) for side in SIDE], axis=1)


def _finish(
    p: Player,
    trunk: Trunk,
    hands: Array,
    *,
    elbows: Array | None = None,
    grips: Array | None = None,
    feet: Array | None = None,
    rise: Array | None = None,
) -> Figure:
    """Pose the limbs; rise tips the toes up, ``(frame, left/right)`` radians."""
    frames = len(p.time)
    pitch = np.zeros((frames, 2)) if rise is None else rise
    splay = 0.22 * SIDE
    toes = np.stack([np.cos(pitch) * np.cos(splay), np.cos(pitch) * np.sin(splay), np.sin(pitch)], axis=-1)
    toes[..., 2] -= 0.55 * p.body.ankle / (0.72 * p.body.foot)
    return pose_limbs(
        p.body,
        trunk,
        hands=hands,
        elbows=_elbows(p, -0.8, 0.5, -0.2) if elbows is None else elbows,
        grips=np.zeros((frames, 2, 3)) if grips is None else grips,
        feet=_standing(p) if feet is None else feet,
        toes=toes,
    )


def _carry(p: Player, trunk: Trunk) -> Array:
    """Hands at rest, the acting one before the waist with something in it."""
    hands = _resting(p, trunk)
    hands[:, p.hand] = _from_shoulder(p, trunk, p.hand, 0.42, -0.02, -0.62)
    return hands


def _drink(p: Player) -> Figure:
    lift = p.swell(
        0.22 * p.cue.onset, 0.28 / p.manner.tempo, 0.22 + 0.1 * p.cue.choice, 0.26 / p.manner.tempo
    )
    trunk = _trunk(p, nod=-0.30 * lift**2 * p.manner.vigour, bow=-0.05 * lift)
    hands, side = _carry(p, trunk), SIDE[p.hand]
    cup = trunk.on_head(MOUTH) + (trunk.head_turn @ np.array([0.075, side * 0.07, -0.075]))
    hands[:, p.hand] = blend(hands[:, p.hand], cup, lift)
    hands[:, p.hand, 0] += 0.06 * lift * (1 - lift) * 4 * 0.5
    elbows = _elbows(p, -0.8, 0.5, -0.2)
    elbows[:, p.hand] = blend(elbows[:, p.hand], np.array([0.1, side * 0.75, -0.6]), ease(lift))
    grips = np.zeros_like(hands)
    grips[:, p.hand] = blend(
        _vector(0.4, -0.9 * side, 0.1, len(lift)), np.array([0.2, -0.9 * side, 0.1]), lift
    )
    return _finish(p, trunk, hands, elbows=elbows, grips=grips)


def _phone_call(p: Player) -> Figure:
    start = 0.45 * p.cue.onset - 0.22
    lift = p.swell(start, 0.28 / p.manner.tempo, 0.55 + 0.3 * p.cue.choice, 0.26 / p.manner.tempo)
    side = SIDE[p.hand]
    nod = 0.06 * p.manner.vigour * lift * np.sin(p.cycle(0.9))
    trunk = _trunk(p, nod=nod, cock=side * 0.10 * lift, twist=0.05 * p.wobble(1, 0.4))
    hands = _carry(p, trunk)
    ear = trunk.on_head((EAR[0], side * EAR[1], EAR[2]))
    phone = ear + trunk.head_turn @ np.array([0.035, side * 0.045, -0.085])
    hands[:, p.hand] = blend(hands[:, p.hand], phone, lift)
    hands[:, p.hand] += (lift * (1 - lift))[:, None] * np.array([0.15, side * 0.25, 0.0])
    elbows = _elbows(p, -0.8, 0.5, -0.2)
    elbows[:, p.hand] = blend(elbows[:, p.hand], np.array([0.35, side * 0.65, -0.7]), ease(lift))
    grips = np.zeros_like(hands)
    grips[:, p.hand] = blend(
        _vector(0.6, -0.5 * side, 0.3, len(lift)), np.array([-0.2, side * 0.15, 0.7]), lift
    )
    return _finish(p, trunk, hands, elbows=elbows, grips=grips)


def _before_chest(p: Player, trunk: Trunk, apart: Array | float, lag: Array | float, height: float) -> Array:
    """Both wrists before the chest: apart and lag (left up, right down) in metres, height in arm lengths."""
    arm = p.body.arm
    middle = trunk.shoulders.mean(axis=1) + (trunk.chest_turn @ np.array([0.56 * arm, 0, height * arm]))
    offsets = [_vector(0.4 * side * lag, side * np.asarray(apart), side * lag, len(p.time)) for side in SIDE]
    return np.stack([middle + (trunk.chest_turn @ o[..., None])[..., 0] for o in offsets], axis=1)


def _hands_together(p: Player, apart: Array | float, lag: Array | float, height: float) -> Figure:
    settle = ease((p.time / p.length - 0.35 * p.cue.onset + 0.22) / 0.22)
    trunk = _trunk(p, bow=0.05 * settle, nod=0.08 * settle)
    hands = blend(_resting(p, trunk), _before_chest(p, trunk, apart, lag, height), settle)
    elbows = _elbows(p, -0.6, 0.6, -0.7)
    grips = blend(np.zeros_like(hands), np.array([[0.9, 0.25, 0.35], [0.9, -0.25, 0.35]]), settle)
    return _finish(p, trunk, hands, elbows=elbows, grips=grips)


def _clap(p: Player) -> Figure:
    opening = 0.5 * (1 - np.cos(p.cycle(1.6 + 0.6 * p.cue.choice)))
    return _hands_together(p, 0.035 + 0.17 * p.manner.vigour * opening, 0.0, -0.18 - 0.12 * p.cue.choice)


def _rub_hands(p: Player) -> Figure:
    lag = 0.038 * p.manner.vigour * np.sin(p.cycle(1.8 + 0.7 * p.cue.choice))
    return _hands_together(p, 0.033, lag, -0.18 - 0.12 * p.cue.choice)


def _wave(p: Player) -> Figure:
    lift = p.swell(0.3 * p.cue.onset - 0.2, 0.22, 0.75, 0.25)
    side, body = SIDE[p.hand], p.body
    trunk = _trunk(p, tilt=-0.05 * side * lift, cock=0.06 * side * lift)
    hands = _resting(p, trunk)
    swing = 0.15 + 0.42 * p.manner.vigour * np.sin(p.cycle(1.5 + 0.5 * p.cue.choice))
    raised = 0.15 + 0.5 * p.cue.onset
    upper = np.array([0.30, side * 0.85 * np.cos(raised), 0.85 * np.sin(raised)])
    forearm = _vector(0.25, side * np.sin(swing), np.cos(swing), len(lift))
    bones = body.upper_arm * upper / np.linalg.norm(upper) + body.forearm * forearm / 1.03
    goal = trunk.shoulders[:, p.hand] + (trunk.chest_turn @ bones[..., None])[..., 0]
    hands[:, p.hand] = blend(hands[:, p.hand], goal, lift)
    hands[:, p.hand, 0] += 0.7 * lift * (1 - lift)
    hands[:, p.hand, 1] += side * 0.5 * lift * (1 - lift)
    elbows = _elbows(p, -0.5, 0.7, -0.4)
    elbows[:, p.hand] = blend(elbows[:, p.hand], np.array([0.0, side, -0.75]), lift)
    return _finish(p, trunk, hands, elbows=elbows)


def _jumping_jack(p: Player) -> Figure:
    phase = p.cycle(0.85 + 0.25 * p.cue.choice)
    opening = 0.5 * (1 - np.cos(phase))
    hop = 0.045 * p.manner.vigour * (1 - np.cos(2 * phase))
    narrow = 0.9 * p.body.hip
    spread = narrow + (0.13 * p.body.height * min(p.manner.vigour, 1.15)) * opening
    trunk = _trunk(p, drop=-hop, spread=spread)
    top = np.clip(2.55 + 0.35 * (p.manner.vigour - 1), 2.2, 2.8)
    angle = 0.18 + (top - 0.18) * opening
    length = 0.95
    hands = [
        _from_shoulder(p, trunk, s, 0.08, length * np.sin(angle), -length * np.cos(angle)) for s in (0, 1)
    ]
    feet = _standing(p, spread)
    feet[..., 2] += hop[:, None]
    tips = -np.minimum(4.0 * hop, 0.5)[:, None].repeat(2, axis=1)
    return _finish(p, trunk, np.stack(hands, 1), elbows=_elbows(p, -1.0, 0.0, 0.0), feet=feet, rise=tips)


def _squat(p: Player) -> Figure:
    depth = 0.5 * (1 - np.cos(p.cycle(0.45 + 0.2 * p.cue.choice)))
    deep = depth * (0.15 + 0.06 * p.manner.vigour) * p.body.height
    trunk = _trunk(
        p, drop=deep, shift=-0.5 * deep, bow=0.75 * depth, nod=-0.1 * depth, spread=1.6 * p.body.hip
    )
    hands = _resting(p, trunk)
    if p.cue.choice < 0.65:
        ahead = [trunk.shoulders[:, s] + np.array([0.93, 0.02 * SIDE[s], 0.05]) * p.body.arm for s in (0, 1)]
        front = np.stack(ahead, axis=1)
        front = blend(hands, front, depth)
        front[..., 0] += (0.25 * depth * (1 - depth))[:, None]
    else:
        front = _before_chest(p, trunk, 0.035, 0.0, -0.25)
    return _finish(p, trunk, front, elbows=_elbows(p, -0.4, 0.8, -0.6), feet=_standing(p, 1.6 * p.body.hip))


def _kick(p: Player) -> Figure:
    when = p.time / p.length
    start = 0.04 + 0.22 * p.cue.onset
    quick = 1 / np.clip(p.manner.tempo, 0.8, 1.3)
    back = ease((when - start) / (0.22 * quick)) - ease((when - start - 0.24 * quick) / (0.22 * quick))
    strike = ease((when - start - 0.24 * quick) / (0.25 * quick))
    strike = strike - ease((when - start - 0.53 * quick) / (0.32 * quick))
    leg, side, body = p.hand, SIDE[p.hand], p.body
    busy = np.maximum(ease((when - start + 0.08) / 0.15) - ease((when - start - 0.66 * quick) / 0.2), 0)
    trunk = _trunk(
        p, bow=0.10 * back - 0.22 * strike, shift=0.05 * strike, drop=0.012 * busy, twist=side * 0.2 * strike
    )
    feet = _standing(p)
    high = (0.30 + 0.20 * p.manner.vigour * (0.5 + 0.7 * p.cue.choice)) * body.height
    feet[:, leg, 0] += -0.24 * body.height * back + 0.42 * body.height * strike
    feet[:, leg, 2] += 0.10 * body.height * back + high * strike
    feet[:, leg, 1] -= 0.5 * side * body.hip * strike
    hands = _resting(p, trunk)
    other = 1 - leg
    hands[:, leg] = blend(hands[:, leg], _from_shoulder(p, trunk, leg, -0.45, 0.45, -0.55), strike)
    hands[:, other] = blend(hands[:, other], _from_shoulder(p, trunk, other, 0.45, 0.35, -0.40), strike)
    rise = np.zeros((len(when), 2))
    rise[:, leg] = -0.7 * back + 0.55 * strike
    return _finish(p, trunk, hands, feet=feet, rise=rise)


def _approach(p: Player, stride: float, start: float, until: float) -> tuple[Array, Array, Array]:
    """Walk one step: the pelvis' place and drop ``(frame,)``, and the ankles ``(frame, left/right, 3)``.

    The step ends at 0; it begins a stride behind (or, if negative, before) that place.
    """
    when = (p.time / p.length - start) / (until - start)
    order = (0, 1) if p.cue.choice < 0.5 else (1, 0)
    feet = _standing(p)
    for turn, foot in enumerate(order):
        share = (when - 0.35 * turn) / 0.65
        feet[:, foot, 0] += stride * (ease(share) - 1)
        feet[:, foot, 2] += 0.16 * abs(stride) * np.sin(np.pi * ease(share)) ** 2
    gone = ease(when)
    return stride * (gone - 1), 0.32 * abs(stride) * gone * (1 - gone), feet


def _handshake(p: Player) -> Figure:
    start = 0.16 * p.cue.onset
    stride = 0.12 + 0.26 * p.cue.phase
    shift, drop, feet = _approach(p, stride, start, start + 0.36)
    lift = p.swell(start + 0.06, 0.30, 0.42, 0.24)
    trunk = _trunk(p, shift=shift, bow=0.10 * lift, twist=0.16 * lift, nod=0.05 * lift, drop=drop)
    height = 0.29 * (p.body.height + p.cue.partner)
    grip = ease((p.time / p.length - start - 0.34) / 0.1)
    pump = (
        0.035 * grip * np.sin(2 * np.pi * (1.9 + 0.5 * p.cue.choice) * (p.time - (start + 0.34) * p.length))
    )
    hands = _resting(p, trunk)
    meet = _vector(0.5 * p.cue.gap - 0.055, -0.012, height + pump, len(lift))
    hands[:, 1] = blend(hands[:, 1], meet, lift)
    grips = np.zeros_like(hands)
    grips[:, 1] = lift[:, None] * np.array([1.2, 0.15, 0.0])
    return _finish(p, trunk, hands, grips=grips, feet=feet, elbows=_elbows(p, -0.6, 0.45, -0.7))


def _push(p: Player) -> Figure:
    start = 0.16 * p.cue.onset
    return _shove(p, start) if p.cue.role == 0 else _recoil(p, start)


def _shove(p: Player, start: float) -> Figure:
    stride = 0.12 + 0.26 * p.cue.phase
    shift, drop, feet = _approach(p, stride, start, start + 0.36)
    lift = p.swell(start + 0.06, 0.26, 0.36, 0.26)
    thrust = p.swell(start + 0.32, 0.12, 0.10, 0.20)
    trunk = _trunk(p, shift=shift + 0.10 * thrust, bow=0.08 * lift + 0.30 * thrust, drop=drop + 0.03 * thrust)
    height = 0.75 * p.cue.partner
    ready = [
        _vector(0.30 * p.body.arm + shift, s * 0.85 * p.body.shoulder, 0.72 * p.body.height, len(lift))
        for s in SIDE
    ]
    push = [_vector(p.cue.gap - 0.155, s * 0.09, height, len(lift)) for s in SIDE]
    hands = blend(_resting(p, trunk), np.stack(ready, axis=1), lift)
    hands = blend(hands, np.stack(push, axis=1), thrust)
    grips = blend(np.zeros_like(hands), np.array([0.35, 0.0, 1.3]), lift)
    return _finish(p, trunk, hands, grips=grips, feet=feet, elbows=_elbows(p, -0.6, 0.7, -0.7))


def _recoil(p: Player, start: float) -> Figure:
    near, drop, feet = _approach(p, 0.12 + 0.26 * p.cue.phase, start, start + 0.36)
    force = 0.20 + 0.14 * p.manner.vigour
    away, give, fall_back = _approach(p, -force, start + 0.43, start + 0.83)
    back = away - force
    feet = feet + fall_back - _standing(p)
    feet[..., 0] -= force
    hit = p.swell(start + 0.41, 0.14, 0.05, 0.40)
    shift = near + back
    trunk = _trunk(p, shift=shift, bow=-0.38 * hit, nod=0.30 * hit, drop=drop + give + 0.03 * hit)
    hands = _resting(p, trunk)
    flung = [_from_shoulder(p, trunk, s, 0.55, 0.45, -0.12) for s in (0, 1)]
    return _finish(p, trunk, blend(hands, np.stack(flung, axis=1), hit), feet=feet)


_MOVES: dict[str, Callable[[Player], Figure]] = {
    "drink": _drink,
    "phone_call": _phone_call,
    "clap": _clap,
    "rub_hands": _rub_hands,
    "wave": _wave,
    "jumping_jack": _jumping_jack,
    "squat": _squat,
    "kick": _kick,
    "handshake": _handshake,
    "push": _push,
}
ACTIONS: tuple[str, ...] = tuple(_MOVES)
TOGETHER = frozenset({"handshake", "push"})
