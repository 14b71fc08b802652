"""Bodies: proportions, rotations of the trunk, and limbs by two-bone inverse kinematics.

The origin of a person's own coordinates is on the floor between the feet: x forward, y to the person's left,
z up, in metres. Pairs of limbs are always (left, right), so ``SIDE`` points outward along y. The first axis
of an array is the frame of the clip; all frames are computed together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SIDE: Array = np.array([1.0, -1.0])

# Points on the head in units of its three half axes (forward, left, up).
NOSE = (1.12, 0.0, -0.16)
EYE = (0.84, 0.40, 0.10)
EAR = (-0.06, 1.0, 0.0)
MOUTH = (0.93, 0.0, -0.48)


@dataclass(frozen=True)
class Body:
    """Lengths of one person in metres; shoulder and hip are half the distances between joint centres."""

    height: float
    trunk: float
    neck: float
    shoulder: float
    hip: float
    upper_arm: float
    forearm: float
    hand: float
    thigh: float
    shin: float
    ankle: float
    foot: float
    head: tuple[float, float, float]
    girth: float

    @property
    def arm(self) -> float:
        """Length from shoulder to wrist."""
        return self.upper_arm + self.forearm

    @property
    def leg(self) -> float:
        """Length from hip to ankle."""
        return self.thigh + self.shin


def sample_body(rng: np.random.Generator) -> Body:
    """A random adult with proportions around the anthropometric means (Drillis and Contini 1966)."""
    height = rng.uniform(1.52, 1.92)

    def share(mean: float, spread: float = 0.05) -> float:
        return float(height * mean * (1 + spread * rng.uniform(-1, 1)))

    head = rng.uniform(1.04, 1.20)
    return Body(
        height=height, trunk=share(0.288), neck=share(0.052), shoulder=share(0.112, 0.12),
        hip=share(0.056, 0.12), upper_arm=share(0.178), forearm=share(0.148), hand=share(0.085),
        thigh=share(0.242), shin=share(0.243), ankle=share(0.045), foot=share(0.125),
        head=(0.054 * head * height, 0.045 * head * height, 0.067 * head * height),
        girth=rng.uniform(0.85, 1.25),
    )  # fmt: skip


@dataclass(frozen=True)
class Trunk:
    """Pelvis, chest and head of one person: points ``(frame, 3)`` and rotations ``(frame, 3, 3)``."""

    pelvis: Array
    pelvis_turn: Array
    chest_turn: Array
    neck: Array
    head: Array
    head_turn: Array
    shoulders: Array
    hips: Array
    head_axes: tuple[float, float, float]

    def on_head(self, point: tuple[float, float, float]) -> Array:
        """``(frame, 3)``: a point on the head, given in units of its half axes."""
        offset = np.array(point) * np.array(self.head_axes)
        return np.asarray(self.head + self.head_turn @ offset)


@dataclass(frozen=True)
class Figure:
    """One person during a clip: the trunk, and the joints of the limbs ``(frame, left/right, 3)``."""

    trunk: Trunk
    elbows: Array
    wrists: Array
    fingers: Array
    knees: Array
    ankles: Array
    toes: Array

    def joints(self) -> Array:
        """Joints ``(frame, 17, 3)`` in the order of COCO-17."""
        trunk = self.trunk
        eyes = [trunk.on_head((EYE[0], side * EYE[1], EYE[2])) for side in SIDE]
        ears = [trunk.on_head((EAR[0], side * EAR[1], EAR[2])) for side in SIDE]
        pairs = (trunk.shoulders, self.elbows, self.wrists, trunk.hips, self.knees, self.ankles)
        limbs = [pair[:, side] for pair in pairs for side in (0, 1)]
        return np.stack([trunk.on_head(NOSE), *eyes, *ears, *limbs], axis=1)


def rotation(yaw: Array, pitch: Array, roll: Array) -> Array:
    """Rotations ``(frame, 3, 3)``: to the left by yaw, forward by pitch, to the right by roll (radians)."""
    cy, sy, cp, sp, cr, sr = (f(angle) for angle in (yaw, pitch, roll) for f in (np.cos, np.sin))
    rows = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def unit(vector: Array) -> Array:
    """The vector divided by its length, along the last axis."""
    return np.asarray(vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9))


def build_trunk(body: Body, pelvis: Array, pelvis_turn: Array, chest: Array, head: Array) -> Trunk:
    """The trunk on a pelvis; chest and head are rotations relative to the part below."""
    chest_turn = pelvis_turn @ chest
    head_turn = chest_turn @ head
    hips = [pelvis + pelvis_turn @ np.array([0, side * body.hip, 0]) for side in SIDE]
    shoulders = [pelvis + chest_turn @ np.array([0, side * body.shoulder, body.trunk]) for side in SIDE]
    neck = pelvis + chest_turn @ np.array([0, 0, body.trunk + 0.15 * body.neck])
    centre = neck + head_turn @ np.array([0.18 * body.head[0], 0, 0.85 * body.neck + 0.85 * body.head[2]])
    pairs = np.stack(shoulders, axis=1), np.stack(hips, axis=1)
    return Trunk(pelvis, pelvis_turn, chest_turn, neck, centre, head_turn, *pairs, body.head)


def solve_two_bones(
    start: Array, target: Array, pole: Array, first: float, second: float, *, easy: float, full: float
) -> tuple[Array, Array]:
    """Middle joint and end of two bones from start to target (inverse kinematics), bent towards the pole.

    The bend follows from the law of cosines. If the target is too far away, the distance is limited smoothly:
    beyond ``easy`` times the total length it saturates exponentially towards ``full`` times that length (C1).
    """
    offset = target - start
    distance = np.linalg.norm(offset, axis=-1, keepdims=True)
    along = offset / np.maximum(distance, 1e-9)
    full, bend = full * (first + second), easy * (first + second)
    soft = full - (full - bend) * np.exp(-np.maximum(distance - bend, 0) / (full - bend))
    distance = np.where(distance > bend, soft, distance)
    distance = np.maximum(distance, 1.05 * abs(first - second) + 0.02)
    across = unit(pole - (pole * along).sum(-1, keepdims=True) * along)
    cosine = (first**2 + distance**2 - second**2) / (2 * first * distance)
    cosine = np.clip(cosine, -1, 1)
    middle = start + first * (cosine * along + np.sqrt(1 - cosine**2) * across)
    return middle, start + distance * along


def pose_limbs(
    body: Body, trunk: Trunk, *, hands: Array, elbows: Array, grips: Array, feet: Array, toes: Array
) -> Figure:
    """Add arms and legs to a trunk.

    Args:
        body: lengths of the bones.
        trunk: the posed trunk.
        hands, feet: target positions of wrists and ankles, ``(frame, left/right, 3)``.
        elbows: directions of the elbows.
        grips: added to the direction of the forearm to give that of the hand; zero is a straight wrist.
        toes: directions of the feet.
    """
    middle, wrists = solve_two_bones(
        trunk.shoulders, hands, elbows, body.upper_arm, body.forearm, easy=0.94, full=0.995
    )
    fingers = wrists + body.hand * unit(unit(wrists - middle) + grips)
    left = trunk.pelvis_turn[:, None, :, 1]
    forward = np.cross(unit(feet - trunk.hips), left) + 0.35 * (toes * left).sum(-1, keepdims=True) * left
    knees, ankles = solve_two_bones(trunk.hips, feet, forward, body.thigh, body.shin, easy=0.98, full=0.999)
    return Figure(trunk, middle, wrists, fingers, knees, ankles, ankles + 0.72 * body.foot * unit(toes))


def move_figure(figure: Figure, position: tuple[float, float], heading: float) -> Figure:
    """The figure rotated to a heading (radians) and moved to a position on the floor (metres)."""
    c, s = np.cos(heading), np.sin(heading)
    turn, shift = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]), np.array([*position, 0.0])

    def move(points: Array) -> Array:
        return np.asarray(points @ turn.T + shift)

    trunk = figure.trunk
    moved = replace(
        trunk,
        pelvis=move(trunk.pelvis), neck=move(trunk.neck), head=move(trunk.head),
        shoulders=move(trunk.shoulders), hips=move(trunk.hips), pelvis_turn=turn @ trunk.pelvis_turn,
        chest_turn=turn @ trunk.chest_turn, head_turn=turn @ trunk.head_turn,
    )  # fmt: skip
    limbs = (figure.elbows, figure.wrists, figure.fingers, figure.knees, figure.ankles, figure.toes)
    return Figure(moved, *(move(points) for points in limbs))
