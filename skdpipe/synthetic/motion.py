"""Building blocks of actions: input, smooth functions of time, and default poses of trunk, hands and feet.

Time is in seconds. All motion is composed of sines and the quintic ease, so it is smooth (C2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skdpipe.synthetic.body import SIDE, Array, Body, Figure, Trunk, build_trunk, pose_limbs, rotation


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


def vector(x: Array | float, y: Array | float, z: Array | float, frames: int) -> Array:
    return np.stack([np.broadcast_to(np.asarray(part, float), (frames,)) for part in (x, y, z)], axis=-1)


def pose_trunk(
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
    pelvis = vector(shift + sway_x, sway_y, stretch - drop - 0.002, frames)
    zero = np.zeros(frames)
    breath = 0.012 * p.idle_motion(2, 0.3)
    pelvis_turn = rotation(zero + 0.03 * p.idle_motion(3, 0.3), zero + 0.4 * bow, zero + 0.3 * tilt)
    chest = rotation(zero + twist, zero + 0.6 * bow + p.style.lean + breath, zero + 0.7 * tilt)
    look = zero + nod - 0.7 * bow - 0.8 * p.style.lean + 0.05 * p.idle_motion(4, 0.5)
    head = rotation(-0.8 * twist + 0.10 * p.idle_motion(5, 0.3), look, zero + cock)
    return build_trunk(body, pelvis, pelvis_turn, chest, head)


def from_shoulder(
    p: ActionInput, trunk: Trunk, side: int, x: Array | float, y: Array | float, z: Array | float
) -> Array:
    """``(frame, 3)``: a point relative to a shoulder in arm lengths: forward, outward, up along the chest."""
    offset = vector(x, SIDE[side] * np.asarray(y), z, len(p.time)) * p.body.arm
    return trunk.shoulders[:, side] + (trunk.chest_turn @ offset[..., None])[..., 0]


def idle_hands(p: ActionInput, trunk: Trunk) -> Array:
    """``(frame, left/right, 3)``: positions of the hands at rest."""
    swing = 0.015 * p.idle_motion(2, 0.45)
    spots = [from_shoulder(p, trunk, side, x + swing, y, z) for side, (x, y, z) in enumerate(p.style.rest)]
    return np.stack(spots, axis=1)


def elbow_directions(p: ActionInput, x: float, out: float, up: float) -> Array:
    """``(frame, left/right, 3)``: directions of the elbows."""
    pole = np.array([[x, side * out, up] for side in SIDE])
    return np.broadcast_to(pole, (len(p.time), 2, 3)).copy()


def standing_feet(p: ActionInput, spread: float | Array | None = None) -> Array:
    """``(frame, left/right, 3)``: positions of the ankles of a standing person."""
    wide = p.style.stance * p.body.hip if spread is None else spread
    return np.stack([vector(0, side * wide, p.body.ankle, len(p.time)) for side in SIDE], axis=1)


def finish_figure(
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
        elbows=elbow_directions(p, -0.8, 0.5, -0.2) if elbows is None else elbows,
        grips=np.zeros((frames, 2, 3)) if grips is None else grips,
        feet=standing_feet(p) if feet is None else feet,
        toes=toes,
    )
