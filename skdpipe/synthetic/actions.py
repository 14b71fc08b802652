"""Actions: each is a short function from an `ActionInput` to the figure of one person over time.

One-time actions (drink, kick, push) take the whole clip; repeated ones (clap, wave) have a rate in hertz.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from skdpipe.synthetic.body import EAR, MOUTH, SIDE, Array, Body, Figure, Trunk
from skdpipe.synthetic.motion import (
    ActionInput,
    ActionParameters,
    MotionStyle,
    blend,
    ease,
    elbow_directions,
    finish_figure,
    from_shoulder,
    idle_hands,
    pose_trunk,
    standing_feet,
    vector,
)


def pose_action(
    body: Body, style: MotionStyle, parameters: ActionParameters, time: Array, duration: float
) -> Figure:
    """The figure of one person during an action, in the person's own coordinates."""
    return _ACTIONS[parameters.action](ActionInput(body, style, parameters, time, duration))


def _hands_with_object(p: ActionInput, trunk: Trunk) -> Array:
    """Hands at rest; the acting hand holds an object in front of the waist."""
    hands = idle_hands(p, trunk)
    hands[:, p.hand] = from_shoulder(p, trunk, p.hand, 0.42, -0.02, -0.62)
    return hands


def _drink(p: ActionInput) -> Figure:
    lift = p.pulse(
        0.22 * p.parameters.onset,
        0.28 / p.style.tempo,
        0.22 + 0.1 * p.parameters.variant,
        0.26 / p.style.tempo,
    )
    trunk = pose_trunk(p, nod=-0.30 * lift**2 * p.style.amplitude, bow=-0.05 * lift)
    hands, side = _hands_with_object(p, trunk), SIDE[p.hand]
    cup = trunk.on_head(MOUTH) + (trunk.head_turn @ np.array([0.075, side * 0.07, -0.075]))
    hands[:, p.hand] = blend(hands[:, p.hand], cup, lift)
    hands[:, p.hand, 0] += 0.06 * lift * (1 - lift) * 4 * 0.5
    elbows = elbow_directions(p, -0.8, 0.5, -0.2)
    elbows[:, p.hand] = blend(elbows[:, p.hand], np.array([0.1, side * 0.75, -0.6]), ease(lift))
    grips = np.zeros_like(hands)
    grips[:, p.hand] = blend(
        vector(0.4, -0.9 * side, 0.1, len(lift)), np.array([0.2, -0.9 * side, 0.1]), lift
    )
    return finish_figure(p, trunk, hands, elbows=elbows, grips=grips)


def _phone_call(p: ActionInput) -> Figure:
    start = 0.45 * p.parameters.onset - 0.22
    lift = p.pulse(start, 0.28 / p.style.tempo, 0.55 + 0.3 * p.parameters.variant, 0.26 / p.style.tempo)
    side = SIDE[p.hand]
    nod = 0.06 * p.style.amplitude * lift * np.sin(p.cycle_phase(0.9))
    trunk = pose_trunk(p, nod=nod, cock=side * 0.10 * lift, twist=0.05 * p.idle_motion(1, 0.4))
    hands = _hands_with_object(p, trunk)
    ear = trunk.on_head((EAR[0], side * EAR[1], EAR[2]))
    phone = ear + trunk.head_turn @ np.array([0.035, side * 0.045, -0.085])
    hands[:, p.hand] = blend(hands[:, p.hand], phone, lift)
    hands[:, p.hand] += (lift * (1 - lift))[:, None] * np.array([0.15, side * 0.25, 0.0])
    elbows = elbow_directions(p, -0.8, 0.5, -0.2)
    elbows[:, p.hand] = blend(elbows[:, p.hand], np.array([0.35, side * 0.65, -0.7]), ease(lift))
    grips = np.zeros_like(hands)
    grips[:, p.hand] = blend(
        vector(0.6, -0.5 * side, 0.3, len(lift)), np.array([-0.2, side * 0.15, 0.7]), lift
    )
    return finish_figure(p, trunk, hands, elbows=elbows, grips=grips)


def _before_chest(
    p: ActionInput, trunk: Trunk, apart: Array | float, lag: Array | float, height: float
) -> Array:
    """Both wrists before the chest: apart and lag (left up, right down) in metres, height in arm lengths."""
    arm = p.body.arm
    middle = trunk.shoulders.mean(axis=1) + (trunk.chest_turn @ np.array([0.56 * arm, 0, height * arm]))
    offsets = [vector(0.4 * side * lag, side * np.asarray(apart), side * lag, len(p.time)) for side in SIDE]
    return np.stack([middle + (trunk.chest_turn @ o[..., None])[..., 0] for o in offsets], axis=1)


def _hands_together(p: ActionInput, apart: Array | float, lag: Array | float, height: float) -> Figure:
    settle = ease((p.time / p.duration - 0.35 * p.parameters.onset + 0.22) / 0.22)
    trunk = pose_trunk(p, bow=0.05 * settle, nod=0.08 * settle)
    hands = blend(idle_hands(p, trunk), _before_chest(p, trunk, apart, lag, height), settle)
    elbows = elbow_directions(p, -0.6, 0.6, -0.7)
    grips = blend(np.zeros_like(hands), np.array([[0.9, 0.25, 0.35], [0.9, -0.25, 0.35]]), settle)
    return finish_figure(p, trunk, hands, elbows=elbows, grips=grips)


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
    trunk = pose_trunk(p, tilt=-0.05 * side * lift, cock=0.06 * side * lift)
    hands = idle_hands(p, trunk)
    swing = 0.15 + 0.42 * p.style.amplitude * np.sin(p.cycle_phase(1.5 + 0.5 * p.parameters.variant))
    raised = 0.15 + 0.5 * p.parameters.onset
    upper = np.array([0.30, side * 0.85 * np.cos(raised), 0.85 * np.sin(raised)])
    forearm = vector(0.25, side * np.sin(swing), np.cos(swing), len(lift))
    bones = body.upper_arm * upper / np.linalg.norm(upper) + body.forearm * forearm / 1.03
    goal = trunk.shoulders[:, p.hand] + (trunk.chest_turn @ bones[..., None])[..., 0]
    hands[:, p.hand] = blend(hands[:, p.hand], goal, lift)
    hands[:, p.hand, 0] += 0.7 * lift * (1 - lift)
    hands[:, p.hand, 1] += side * 0.5 * lift * (1 - lift)
    elbows = elbow_directions(p, -0.5, 0.7, -0.4)
    elbows[:, p.hand] = blend(elbows[:, p.hand], np.array([0.0, side, -0.75]), lift)
    return finish_figure(p, trunk, hands, elbows=elbows)


def _jumping_jack(p: ActionInput) -> Figure:
    phase = p.cycle_phase(0.85 + 0.25 * p.parameters.variant)
    opening = 0.5 * (1 - np.cos(phase))
    hop = 0.045 * p.style.amplitude * (1 - np.cos(2 * phase))
    narrow = 0.9 * p.body.hip
    spread = narrow + (0.13 * p.body.height * min(p.style.amplitude, 1.15)) * opening
    trunk = pose_trunk(p, drop=-hop, spread=spread)
    top = np.clip(2.55 + 0.35 * (p.style.amplitude - 1), 2.2, 2.8)
    angle = 0.18 + (top - 0.18) * opening
    length = 0.95
    hands = [
        from_shoulder(p, trunk, s, 0.08, length * np.sin(angle), -length * np.cos(angle)) for s in (0, 1)
    ]
    feet = standing_feet(p, spread)
    feet[..., 2] += hop[:, None]
    tips = -np.minimum(4.0 * hop, 0.5)[:, None].repeat(2, axis=1)
    return finish_figure(
        p, trunk, np.stack(hands, 1), elbows=elbow_directions(p, -1.0, 0.0, 0.0), feet=feet, rise=tips
    )


def _squat(p: ActionInput) -> Figure:
    depth = 0.5 * (1 - np.cos(p.cycle_phase(0.45 + 0.2 * p.parameters.variant)))
    deep = depth * (0.15 + 0.06 * p.style.amplitude) * p.body.height
    trunk = pose_trunk(
        p, drop=deep, shift=-0.5 * deep, bow=0.75 * depth, nod=-0.1 * depth, spread=1.6 * p.body.hip
    )
    hands = idle_hands(p, trunk)
    if p.parameters.variant < 0.65:
        ahead = [trunk.shoulders[:, s] + np.array([0.93, 0.02 * SIDE[s], 0.05]) * p.body.arm for s in (0, 1)]
        front = np.stack(ahead, axis=1)
        front = blend(hands, front, depth)
        front[..., 0] += (0.25 * depth * (1 - depth))[:, None]
    else:
        front = _before_chest(p, trunk, 0.035, 0.0, -0.25)
    return finish_figure(
        p, trunk, front, elbows=elbow_directions(p, -0.4, 0.8, -0.6), feet=standing_feet(p, 1.6 * p.body.hip)
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
    trunk = pose_trunk(
        p, bow=0.10 * back - 0.22 * strike, shift=0.05 * strike, drop=0.012 * busy, twist=side * 0.2 * strike
    )
    feet = standing_feet(p)
    high = (0.30 + 0.20 * p.style.amplitude * (0.5 + 0.7 * p.parameters.variant)) * body.height
    feet[:, leg, 0] += -0.24 * body.height * back + 0.42 * body.height * strike
    feet[:, leg, 2] += 0.10 * body.height * back + high * strike
    feet[:, leg, 1] -= 0.5 * side * body.hip * strike
    hands = idle_hands(p, trunk)
    other = 1 - leg
    hands[:, leg] = blend(hands[:, leg], from_shoulder(p, trunk, leg, -0.45, 0.45, -0.55), strike)
    hands[:, other] = blend(hands[:, other], from_shoulder(p, trunk, other, 0.45, 0.35, -0.40), strike)
    rise = np.zeros((len(when), 2))
    rise[:, leg] = -0.7 * back + 0.55 * strike
    return finish_figure(p, trunk, hands, feet=feet, rise=rise)


def _approach(p: ActionInput, stride: float, start: float, until: float) -> tuple[Array, Array, Array]:
    """Walk one step: shift and drop of the pelvis ``(frame,)``, and ankles ``(frame, left/right, 3)``.

    The step ends at 0; it starts one stride behind that position, or in front of it if the stride is
    negative.
    """
    when = (p.time / p.duration - start) / (until - start)
    order = (0, 1) if p.parameters.variant < 0.5 else (1, 0)
    feet = standing_feet(p)
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
    trunk = pose_trunk(p, shift=shift, bow=0.10 * lift, twist=0.16 * lift, nod=0.05 * lift, drop=drop)
    height = 0.29 * (p.body.height + p.parameters.partner_height)
    grip = ease((p.time / p.duration - start - 0.34) / 0.1)
    pump = (
        0.035
        * grip
        * np.sin(2 * np.pi * (1.9 + 0.5 * p.parameters.variant) * (p.time - (start + 0.34) * p.duration))
    )
    hands = idle_hands(p, trunk)
    meet = vector(0.5 * p.parameters.gap - 0.055, -0.012, height + pump, len(lift))
    hands[:, 1] = blend(hands[:, 1], meet, lift)
    grips = np.zeros_like(hands)
    grips[:, 1] = lift[:, None] * np.array([1.2, 0.15, 0.0])
    return finish_figure(
        p, trunk, hands, grips=grips, feet=feet, elbows=elbow_directions(p, -0.6, 0.45, -0.7)
    )


def _push(p: ActionInput) -> Figure:
    start = 0.16 * p.parameters.onset
    return _shove(p, start) if p.parameters.role == 0 else _recoil(p, start)


def _shove(p: ActionInput, start: float) -> Figure:
    stride = 0.12 + 0.26 * p.parameters.phase
    shift, drop, feet = _approach(p, stride, start, start + 0.36)
    lift = p.pulse(start + 0.06, 0.26, 0.36, 0.26)
    thrust = p.pulse(start + 0.32, 0.12, 0.10, 0.20)
    trunk = pose_trunk(
        p, shift=shift + 0.10 * thrust, bow=0.08 * lift + 0.30 * thrust, drop=drop + 0.03 * thrust
    )
    height = 0.75 * p.parameters.partner_height
    ready = [
        vector(0.30 * p.body.arm + shift, s * 0.85 * p.body.shoulder, 0.72 * p.body.height, len(lift))
        for s in SIDE
    ]
    push = [vector(p.parameters.gap - 0.155, s * 0.09, height, len(lift)) for s in SIDE]
    hands = blend(idle_hands(p, trunk), np.stack(ready, axis=1), lift)
    hands = blend(hands, np.stack(push, axis=1), thrust)
    grips = blend(np.zeros_like(hands), np.array([0.35, 0.0, 1.3]), lift)
    return finish_figure(p, trunk, hands, grips=grips, feet=feet, elbows=elbow_directions(p, -0.6, 0.7, -0.7))


def _recoil(p: ActionInput, start: float) -> Figure:
    near, drop, feet = _approach(p, 0.12 + 0.26 * p.parameters.phase, start, start + 0.36)
    force = 0.20 + 0.14 * p.style.amplitude
    away, give, fall_back = _approach(p, -force, start + 0.43, start + 0.83)
    back = away - force
    feet = feet + fall_back - standing_feet(p)
    feet[..., 0] -= force
    hit = p.pulse(start + 0.41, 0.14, 0.05, 0.40)
    shift = near + back
    trunk = pose_trunk(p, shift=shift, bow=-0.38 * hit, nod=0.30 * hit, drop=drop + give + 0.03 * hit)
    hands = idle_hands(p, trunk)
    flung = [from_shoulder(p, trunk, s, 0.55, 0.45, -0.12) for s in (0, 1)]
    return finish_figure(p, trunk, blend(hands, np.stack(flung, axis=1), hit), feet=feet)


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
"""Names of the actions; the random stream of a scene depends on their order."""
PAIR_ACTIONS = frozenset({"handshake", "push"})
"""Names of the actions of two people."""
