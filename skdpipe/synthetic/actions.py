"""Actions: each is a short function from an `ActionInput` to the figure of one person over time.

Time is in seconds. One-time actions (drink, kick, push) take the whole clip; repeated ones (clap, wave) have
a rate in hertz. All motion is composed of sines and the quintic ease, so it is smooth (C2).
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
    build_trunk,
    pose_limbs,
    rotation,
)


@dataclass(frozen=True)
class MotionStyle:
    """How a person moves, in all actions.

    Attributes:
        left_handed: True if the left hand acts, False if the right one does.
        tempo, amplitude: factors on speed and amplitude, about 1.
        stance: half the distance between the feet, in hip half widths.
        lean: forward lean of the upper body in radians.
        rest: position of the idle hands relative to the shoulders in arm lengths, ``(left/right, 3)``.
        phases: phases of the idle motion, ``(6,)`` radians.
    """

    left_handed: bool
    tempo: float
    amplitude: float
    stance: float
    lean: float
    rest: Array
    phases: Array


@dataclass(frozen=True)
class ActionParameters:
    """Parameters of one action of one person in one take.

    Attributes:
        action: name of the action.
        role: 0 for the person who acts first (or alone), 1 for the partner.
        onset, phase, variant: numbers in [0, 1): start, phase of repeated motion, variant of the action.
        gap: distance between the two people at contact in metres; unused for one person.
        partner_height: height of the other person in metres; the person's own height without a partner.
    """

    action: str
    role: int
    onset: float
    phase: float
    variant: float
    gap: float
    partner_height: float


@dataclass(frozen=True)
class ActionInput:
    """Input of an action: body, motion style and parameters of a person.

    Attributes:
        time: ``(frame,)``, time of each frame in seconds.
        duration: duration of the clip in seconds.
    """

    body: Body
    style: MotionStyle
    parameters: ActionParameters
    time: Array
    duration: float

    @property
    def hand(self) -> int:
        """Index of the acting hand: 0 left, 1 right."""
        return 0 if self.style.left_handed else 1

    def pulse(self, start: float, rise: float, hold: float, fall: float) -> Array:
        """``(frame,)``: from 0 to 1 and back to 0; start and durations are fractions of the clip."""
        when = self.time / self.duration - start
        return ease(when / rise) - ease((when - rise - hold) / fall)

    def cycle_phase(self, hertz: float) -> Array:
        """``(frame,)``: phase of a repeated motion at the person's tempo, in radians."""
        return np.asarray(2 * np.pi * (hertz * self.style.tempo * self.time + self.parameters.phase))

    def idle_motion(self, index: int, hertz: float) -> Array:
        """``(frame,)``: slow idle motion in [-1, 1]."""
        first, second = self.style.phases[index], self.style.phases[(index + 1) % 6]
        turns = 2 * np.pi * self.time * hertz
        return np.asarray(0.7 * np.sin(turns + first) + 0.3 * np.sin(1.7 * turns + second))


def ease(x: Array) -> Array:
    """Quintic step from 0 at x = 0 to 1 at x = 1; the first and second derivatives are 0 at both ends."""
    x = np.clip(x, 0, 1)
    return np.asarray(x**3 * (10 - 15 * x + 6 * x**2))


def blend(first: Array, second: Array, weight: Array) -> Array:
    """Linear blend: ``first`` at weight 0, ``second`` at weight 1; weight is ``(frame,)``."""
    weight = weight.reshape(-1, *[1] * (first.ndim - 1))
    return first + weight * (second - first)


def pose_action(
    body: Body, style: MotionStyle, parameters: ActionParameters, time: Array, duration: float
) -> Figure:
    """The figure of one person during an action, in the person's own coordinates."""
    return _ACTIONS[parameters.action](ActionInput(body, style, parameters, time, duration))


def _vector(x: Array | float, y: Array | float, z: Array | float, frames: int) -> Array:
    return np.stack([np.broadcast_to(np.asarray(part, float), (frames,)) for part in (x, y, z)], axis=-1)


def _trunk(
    p: ActionInput,
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
    """The trunk with idle motion; shift (forward), drop and spread in metres, the angles in radians."""
    body, frames = p.body, len(p.time)
    wide = p.style.stance * body.hip if spread is None else spread
    stretch = np.sqrt((0.990 * body.leg) ** 2 - (wide - body.hip) ** 2) + body.ankle
    sway_x, sway_y = 0.012 * p.idle_motion(0, 0.35), 0.014 * p.idle_motion(1, 0.28)
    pelvis = _vector(shift + sway_x, sway_y, stretch - drop - 0.002, frames)
    zero = np.zeros(frames)
    breath = 0.012 * p.idle_motion(2, 0.3)
    pelvis_turn = rotation(zero + 0.03 * p.idle_motion(3, 0.3), zero + 0.4 * bow, zero + 0.3 * tilt)
    chest = rotation(zero + twist, zero + 0.6 * bow + p.style.lean + breath, zero + 0.7 * tilt)
    look = zero + nod - 0.7 * bow - 0.8 * p.style.lean + 0.05 * p.idle_motion(4, 0.5)
    head = rotation(-0.8 * twist + 0.10 * p.idle_motion(5, 0.3), look, zero + cock)
    return build_trunk(body, pelvis, pelvis_turn, chest, head)


def _from_shoulder(
    p: ActionInput, trunk: Trunk, side: int, x: Array | float, y: Array | float, z: Array | float
) -> Array:
    """``(frame, 3)``: a point relative to a shoulder in arm lengths: forward, outward, up along the chest."""
    offset = _vector(x, SIDE[side] * np.asarray(y), z, len(p.time)) * p.body.arm
    return trunk.shoulders[:, side] + (trunk.chest_turn @ offset[..., None])[..., 0]


def _idle_hands(p: ActionInput, trunk: Trunk) -> Array:
    """``(frame, left/right, 3)``: positions of the hands at rest."""
    swing = 0.015 * p.idle_motion(2, 0.45)
    spots = [_from_shoulder(p, trunk, side, x + swing, y, z) for side, (x, y, z) in enumerate(p.style.rest)]
    return np.stack(spots, axis=1)


def _elbows(p: ActionInput, x: float, out: float, up: float) -> Array:
    """``(frame, left/right, 3)``: directions of the elbows."""
    pole = np.array([[x, side * out, up] for side in SIDE])
    return np.broadcast_to(pole, (len(p.time), 2, 3)).copy()


def _standing_feet(p: ActionInput, spread: float | Array | None = None) -> Array:
    """``(frame, left/right, 3)``: positions of the ankles of a standing person."""
    wide = p.style.stance * p.body.hip if spread is None else spread
    return np.stack([_vector(0, side * wide, p.body.ankle, len(p.time)) for side in SIDE], axis=1)


def _finish(
    p: ActionInput,
    trunk: Trunk,
    hands: Array,
    *,
    elbows: Array | None = None,
    grips: Array | None = None,
    feet: Array | None = None,
    rise: Array | None = None,
) -> Figure:
    """Pose the limbs; rise is the upward pitch of the feet, ``(frame, left/right)`` radians."""
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
        feet=_standing_feet(p) if feet is None else feet,
        toes=toes,
    )


def _hands_with_object(p: ActionInput, trunk: Trunk) -> Array:
    """Hands at rest; the acting hand holds an object in front of the waist."""
    hands = _idle_hands(p, trunk)
    hands[:, p.hand] = _from_shoulder(p, trunk, p.hand, 0.42, -0.02, -0.62)
    return hands


def _drink(p: ActionInput) -> Figure:
    lift = p.pulse(
        0.22 * p.parameters.onset,
        0.28 / p.style.tempo,
        0.22 + 0.1 * p.parameters.variant,
        0.26 / p.style.tempo,
    )
    trunk = _trunk(p, nod=-0.30 * lift**2 * p.style.amplitude, bow=-0.05 * lift)
    hands, side = _hands_with_object(p, trunk), SIDE[p.hand]
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


def _phone_call(p: ActionInput) -> Figure:
    start = 0.45 * p.parameters.onset - 0.22
    lift = p.pulse(start, 0.28 / p.style.tempo, 0.55 + 0.3 * p.parameters.variant, 0.26 / p.style.tempo)
    side = SIDE[p.hand]
    nod = 0.06 * p.style.amplitude * lift * np.sin(p.cycle_phase(0.9))
    trunk = _trunk(p, nod=nod, cock=side * 0.10 * lift, twist=0.05 * p.idle_motion(1, 0.4))
    hands = _hands_with_object(p, trunk)
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


def _before_chest(
    p: ActionInput, trunk: Trunk, apart: Array | float, lag: Array | float, height: float
) -> Array:
    """Both wrists before the chest: apart and lag (left up, right down) in metres, height in arm lengths."""
    arm = p.body.arm
    middle = trunk.shoulders.mean(axis=1) + (trunk.chest_turn @ np.array([0.56 * arm, 0, height * arm]))
    offsets = [_vector(0.4 * side * lag, side * np.asarray(apart), side * lag, len(p.time)) for side in SIDE]
    return np.stack([middle + (trunk.chest_turn @ o[..., None])[..., 0] for o in offsets], axis=1)


def _hands_together(p: ActionInput, apart: Array | float, lag: Array | float, height: float) -> Figure:
    settle = ease((p.time / p.duration - 0.35 * p.parameters.onset + 0.22) / 0.22)
    trunk = _trunk(p, bow=0.05 * settle, nod=0.08 * settle)
    hands = blend(_idle_hands(p, trunk), _before_chest(p, trunk, apart, lag, height), settle)
    elbows = _elbows(p, -0.6, 0.6, -0.7)
    grips = blend(np.zeros_like(hands), np.array([[0.9, 0.25, 0.35], [0.9, -0.25, 0.35]]), settle)
    return _finish(p, trunk, hands, elbows=elbows, grips=grips)


def _clap(p: ActionInput) -> Figure:
    opening = 0.5 * (1 - np.cos(p.cycle_phase(1.6 + 0.6 * p.parameters.variant)))
    return _hands_together(
        p, 0.035 + 0.17 * p.style.amplitude * opening, 0.0, -0.18 - 0.12 * p.parameters.variant
    )


def _rub_hands(p: ActionInput) -> Figure:
    lag = 0.038 * p.style.amplitude * np.sin(p.cycle_phase(1.8 + 0.7 * p.parameters.variant))
    return _hands_together(p, 0.033, lag, -0.18 - 0.12 * p.parameters.variant)


def _wave(p: ActionInput) -> Figure:
    lift = p.pulse(0.3 * p.parameters.onset - 0.2, 0.22, 0.75, 0.25)
    side, body = SIDE[p.hand], p.body
    trunk = _trunk(p, tilt=-0.05 * side * lift, cock=0.06 * side * lift)
    hands = _idle_hands(p, trunk)
    swing = 0.15 + 0.42 * p.style.amplitude * np.sin(p.cycle_phase(1.5 + 0.5 * p.parameters.variant))
    raised = 0.15 + 0.5 * p.parameters.onset
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


def _jumping_jack(p: ActionInput) -> Figure:
    phase = p.cycle_phase(0.85 + 0.25 * p.parameters.variant)
    opening = 0.5 * (1 - np.cos(phase))
    hop = 0.045 * p.style.amplitude * (1 - np.cos(2 * phase))
    narrow = 0.9 * p.body.hip
    spread = narrow + (0.13 * p.body.height * min(p.style.amplitude, 1.15)) * opening
    trunk = _trunk(p, drop=-hop, spread=spread)
    top = np.clip(2.55 + 0.35 * (p.style.amplitude - 1), 2.2, 2.8)
    angle = 0.18 + (top - 0.18) * opening
    length = 0.95
    hands = [
        _from_shoulder(p, trunk, s, 0.08, length * np.sin(angle), -length * np.cos(angle)) for s in (0, 1)
    ]
    feet = _standing_feet(p, spread)
    feet[..., 2] += hop[:, None]
    tips = -np.minimum(4.0 * hop, 0.5)[:, None].repeat(2, axis=1)
    return _finish(p, trunk, np.stack(hands, 1), elbows=_elbows(p, -1.0, 0.0, 0.0), feet=feet, rise=tips)


def _squat(p: ActionInput) -> Figure:
    depth = 0.5 * (1 - np.cos(p.cycle_phase(0.45 + 0.2 * p.parameters.variant)))
    deep = depth * (0.15 + 0.06 * p.style.amplitude) * p.body.height
    trunk = _trunk(
        p, drop=deep, shift=-0.5 * deep, bow=0.75 * depth, nod=-0.1 * depth, spread=1.6 * p.body.hip
    )
    hands = _idle_hands(p, trunk)
    if p.parameters.variant < 0.65:
        ahead = [trunk.shoulders[:, s] + np.array([0.93, 0.02 * SIDE[s], 0.05]) * p.body.arm for s in (0, 1)]
        front = np.stack(ahead, axis=1)
        front = blend(hands, front, depth)
        front[..., 0] += (0.25 * depth * (1 - depth))[:, None]
    else:
        front = _before_chest(p, trunk, 0.035, 0.0, -0.25)
    return _finish(
        p, trunk, front, elbows=_elbows(p, -0.4, 0.8, -0.6), feet=_standing_feet(p, 1.6 * p.body.hip)
    )


def _kick(p: ActionInput) -> Figure:
    when = p.time / p.duration
    start = 0.04 + 0.22 * p.parameters.onset
    quick = 1 / np.clip(p.style.tempo, 0.8, 1.3)
    back = ease((when - start) / (0.22 * quick)) - ease((when - start - 0.24 * quick) / (0.22 * quick))
    strike = ease((when - start - 0.24 * quick) / (0.25 * quick))
    strike = strike - ease((when - start - 0.53 * quick) / (0.32 * quick))
    leg, side, body = p.hand, SIDE[p.hand], p.body
    busy = np.maximum(ease((when - start + 0.08) / 0.15) - ease((when - start - 0.66 * quick) / 0.2), 0)
    trunk = _trunk(
        p, bow=0.10 * back - 0.22 * strike, shift=0.05 * strike, drop=0.012 * busy, twist=side * 0.2 * strike
    )
    feet = _standing_feet(p)
    high = (0.30 + 0.20 * p.style.amplitude * (0.5 + 0.7 * p.parameters.variant)) * body.height
    feet[:, leg, 0] += -0.24 * body.height * back + 0.42 * body.height * strike
    feet[:, leg, 2] += 0.10 * body.height * back + high * strike
    feet[:, leg, 1] -= 0.5 * side * body.hip * strike
    hands = _idle_hands(p, trunk)
    other = 1 - leg
    hands[:, leg] = blend(hands[:, leg], _from_shoulder(p, trunk, leg, -0.45, 0.45, -0.55), strike)
    hands[:, other] = blend(hands[:, other], _from_shoulder(p, trunk, other, 0.45, 0.35, -0.40), strike)
    rise = np.zeros((len(when), 2))
    rise[:, leg] = -0.7 * back + 0.55 * strike
    return _finish(p, trunk, hands, feet=feet, rise=rise)


def _approach(p: ActionInput, stride: float, start: float, until: float) -> tuple[Array, Array, Array]:
    """Walk one step: shift and drop of the pelvis ``(frame,)``, and ankles ``(frame, left/right, 3)``.

    The step ends at 0; it starts one stride behind that position, or in front of it if the stride is
    negative.
    """
    when = (p.time / p.duration - start) / (until - start)
    order = (0, 1) if p.parameters.variant < 0.5 else (1, 0)
    feet = _standing_feet(p)
    for turn, foot in enumerate(order):
        share = (when - 0.35 * turn) / 0.65
        feet[:, foot, 0] += stride * (ease(share) - 1)
        feet[:, foot, 2] += 0.16 * abs(stride) * np.sin(np.pi * ease(share)) ** 2
    gone = ease(when)
    return stride * (gone - 1), 0.32 * abs(stride) * gone * (1 - gone), feet


def _handshake(p: ActionInput) -> Figure:
    start = 0.16 * p.parameters.onset
    stride = 0.12 + 0.26 * p.parameters.phase
    shift, drop, feet = _approach(p, stride, start, start + 0.36)
    lift = p.pulse(start + 0.06, 0.30, 0.42, 0.24)
    trunk = _trunk(p, shift=shift, bow=0.10 * lift, twist=0.16 * lift, nod=0.05 * lift, drop=drop)
    height = 0.29 * (p.body.height + p.parameters.partner_height)
    grip = ease((p.time / p.duration - start - 0.34) / 0.1)
    pump = (
        0.035
        * grip
        * np.sin(2 * np.pi * (1.9 + 0.5 * p.parameters.variant) * (p.time - (start + 0.34) * p.duration))
    )
    hands = _idle_hands(p, trunk)
    meet = _vector(0.5 * p.parameters.gap - 0.055, -0.012, height + pump, len(lift))
    hands[:, 1] = blend(hands[:, 1], meet, lift)
    grips = np.zeros_like(hands)
    grips[:, 1] = lift[:, None] * np.array([1.2, 0.15, 0.0])
    return _finish(p, trunk, hands, grips=grips, feet=feet, elbows=_elbows(p, -0.6, 0.45, -0.7))


def _push(p: ActionInput) -> Figure:
    start = 0.16 * p.parameters.onset
    return _shove(p, start) if p.parameters.role == 0 else _recoil(p, start)


def _shove(p: ActionInput, start: float) -> Figure:
    stride = 0.12 + 0.26 * p.parameters.phase
    shift, drop, feet = _approach(p, stride, start, start + 0.36)
    lift = p.pulse(start + 0.06, 0.26, 0.36, 0.26)
    thrust = p.pulse(start + 0.32, 0.12, 0.10, 0.20)
    trunk = _trunk(p, shift=shift + 0.10 * thrust, bow=0.08 * lift + 0.30 * thrust, drop=drop + 0.03 * thrust)
    height = 0.75 * p.parameters.partner_height
    ready = [
        _vector(0.30 * p.body.arm + shift, s * 0.85 * p.body.shoulder, 0.72 * p.body.height, len(lift))
        for s in SIDE
    ]
    push = [_vector(p.parameters.gap - 0.155, s * 0.09, height, len(lift)) for s in SIDE]
    hands = blend(_idle_hands(p, trunk), np.stack(ready, axis=1), lift)
    hands = blend(hands, np.stack(push, axis=1), thrust)
    grips = blend(np.zeros_like(hands), np.array([0.35, 0.0, 1.3]), lift)
    return _finish(p, trunk, hands, grips=grips, feet=feet, elbows=_elbows(p, -0.6, 0.7, -0.7))


def _recoil(p: ActionInput, start: float) -> Figure:
    near, drop, feet = _approach(p, 0.12 + 0.26 * p.parameters.phase, start, start + 0.36)
    force = 0.20 + 0.14 * p.style.amplitude
    away, give, fall_back = _approach(p, -force, start + 0.43, start + 0.83)
    back = away - force
    feet = feet + fall_back - _standing_feet(p)
    feet[..., 0] -= force
    hit = p.pulse(start + 0.41, 0.14, 0.05, 0.40)
    shift = near + back
    trunk = _trunk(p, shift=shift, bow=-0.38 * hit, nod=0.30 * hit, drop=drop + give + 0.03 * hit)
    hands = _idle_hands(p, trunk)
    flung = [_from_shoulder(p, trunk, s, 0.55, 0.45, -0.12) for s in (0, 1)]
    return _finish(p, trunk, blend(hands, np.stack(flung, axis=1), hit), feet=feet)


_ACTIONS: dict[str, Callable[[ActionInput], Figure]] = {
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
ACTIONS: tuple[str, ...] = tuple(_ACTIONS)
PAIR_ACTIONS = frozenset({"handshake", "push"})
