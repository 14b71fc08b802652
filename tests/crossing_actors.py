"""Footage of actors who walk across each other: exact identities, and the errors of a pose estimator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skdpipe.config import EstimatorNoise
from skdpipe.degradation import bursts, simulate_pose_errors
from skdpipe.pose.protocol import PoseEstimator, detect_people
from skdpipe.skeleton import COCO_17, Keypoints, Origin, PoseSequence, hide
from skdpipe.skeleton.people import assign, pairwise_oks
from skdpipe.synthetic import ACTIONS, Scene, make_scene, render_frame
from skdpipe.synthetic.body import Array, Figure
from skdpipe.synthetic.camera import Camera

SIZE = (640, 480)
_HALF = np.array([2.2, 1.0])  # half width and depth of the ground in metres
_CAMERA = Camera((0.0, 0.0, 0.9), -np.pi / 2, 0.08, 8.0, 900.0, (319.5, 239.5))
_STRIDE = 0.75  # metres of a step
_SOLO = tuple(action for action in ACTIONS if action not in ("handshake", "push"))

# Joints between which a body hides what is behind it, and half its thickness in metres. Joints are those of
# COCO-17, then the middle of the shoulders and of the hips.
_PARTS = (
    *((17, 18, 0.19), (0, 0, 0.13), (5, 6, 0.09), (11, 12, 0.13)),
    *((5, 7, 0.05), (7, 9, 0.045), (6, 8, 0.05), (8, 10, 0.045)),
    *((11, 13, 0.09), (13, 15, 0.06), (12, 14, 0.09), (14, 16, 0.06)),
)
_LEAST_OKS = 0.3  # of a detection and the exact pose of the same person
_LEAST_JOINTS = 5  # seen, or the estimator does not find the person


@dataclass(frozen=True)
class Walk:
    """Where a person is in each frame.

    Attributes:
        places: ``(frame, 2)``, in metres.
        headings: ``(frame,)``, in radians.
        walked: ``(frame,)``, metres walked so far.
    """

    places: Array
    headings: Array
    walked: Array


@dataclass(frozen=True, eq=False)
class Footage:
    """Detections of people whose identities are known.

    Attributes:
        frames: the detected people of each frame, ``(person, joint, 3)``.
        identities: for each of them the actor, -1 if there is none.
        seconds: time of each frame.
        fps: frames per second.
        step: difference of the numbers of two frames.
    """

    frames: list[Keypoints]
    identities: list[NDArray[np.intp]]
    seconds: Array
    fps: float
    step: int = 1

    def every(self, step: int) -> Footage:
        """One frame in several."""
        frames, identities, seconds = (x[::step] for x in (self.frames, self.identities, self.seconds))
        return Footage(frames, identities, seconds, self.fps / step, self.step * step)


def walk_about(rng: np.random.Generator, frames: int, fps: float) -> Walk:
    """From place to place in straight lines; a person may stop at each, then often walks back."""
    places, speeds = [rng.uniform(-_HALF, _HALF)], []
    while len(places) * 0.4 < frames / fps + 10:
        side = -np.sign(places[-1][0]) if rng.random() < 0.7 else rng.choice([-1, 1])
        target = _HALF * [side * rng.uniform(0.05, 1), rng.uniform(-1, 1)]
        places.append(target)
        speeds.append(rng.uniform(0.5, 1.6))
    lengths = np.linalg.norm(np.diff(places, axis=0), axis=1)
    arrive, pause = (
        lengths / speeds,
        np.where(rng.random(len(speeds)) < 0.4, rng.uniform(0.3, 2, len(speeds)), 0),
    )
    time, when, where = 0.0, [0.0], [places[0]]
    for place, seconds, stop in zip(places[1:], arrive, pause, strict=True):
        for add in (seconds, stop):
            time += max(add, 1e-3)
            when.append(time)
            where.append(place)
    clock = np.arange(-fps, frames + fps) / fps + 1
    track = np.stack([np.interp(clock, when, column) for column in np.transpose(where)], axis=1)
    width = max(1, round(0.4 * fps)) | 1  # people accelerate
    smooth = np.stack([np.convolve(column, np.ones(width) / width, "same") for column in track.T], axis=1)
    smooth = smooth[round(fps) : round(fps) + frames]
    steps = np.diff(smooth, axis=0, prepend=smooth[:1])
    headings, heading = [], rng.uniform(-np.pi, np.pi)
    for dx, dy in steps:
        if np.hypot(dx, dy) * fps > 0.15:
            turn = (np.arctan2(dy, dx) - heading + np.pi) % (2 * np.pi) - np.pi
            heading += turn * min(1, 6 / fps)
        headings.append(heading)
    return Walk(smooth, np.array(headings), np.cumsum(np.linalg.norm(steps, axis=1)))


def walking(figure: Figure, walk: Walk) -> Figure:
    """The figure on a walk, with steps of the legs."""
    swing = np.sin(np.pi * walk.walked / _STRIDE)[:, None] * np.array([1.0, -1.0])
    c, s, zero = np.cos(walk.headings), np.sin(walk.headings), np.zeros(len(walk.headings))
    turn = np.stack([c, -s, zero, s, c, zero, zero, zero, zero + 1], axis=-1).reshape(-1, 3, 3)
    shift = np.concatenate([walk.places, zero[:, None]], axis=1)

    def move(points: Array, forward: float = 0.0) -> Array:
        pair = points.ndim == 3
        points = points.copy() if pair else points[:, None].copy()
        if forward:
            points[..., 0] += forward * swing
        moved = np.einsum("fij,fpj->fpi", turn, points) + shift[:, None]
        return moved if pair else moved[:, 0]

    trunk = figure.trunk
    moved = replace(
        trunk,
        **{name: move(getattr(trunk, name)) for name in ("pelvis", "neck", "head", "shoulders", "hips")},
        **{name: turn @ getattr(trunk, name) for name in ("pelvis_turn", "chest_turn", "head_turn")},
    )
    upper = (move(part) for part in (figure.elbows, figure.wrists, figure.fingers))
    return Figure(moved, *upper, move(figure.knees, 0.12), move(figure.ankles, 0.3), move(figure.toes, 0.3))


@dataclass(frozen=True, eq=False)
class WalkingScene(Scene):
    """A scene whose actors walk about; `render_frame` can render it."""

    walks: tuple[Walk, ...] = ()

    @cached_property
    def figures(self) -> tuple[Figure, ...]:
        standing = (replace(actor, position=(0.0, 0.0), heading=0.0) for actor in self.actors)
        alone = (
            Scene(
                self.action,
                (each,),
                self.camera,
                self.lighting,
                self.numbers,
                self.size,
                self.frames,
                self.fps,
            )
            for each in standing
        )
        return tuple(walking(each.figures[0], walk) for each, walk in zip(alone, self.walks, strict=True))


def walking_scene(people: int, seconds: float, fps: float, seed: int) -> WalkingScene:
    """Actors of different subjects, who act and walk about."""
    rng = np.random.default_rng([seed, people])
    frames = round(seconds * fps)
    scenes = [
        make_scene(
            str(rng.choice(_SOLO)),
            subject=17 * seed + number,
            take=seed,
            seed=seed,
            size=SIZE,
            frames=frames,
            fps=fps,
        )
        for number in range(people)
    ]
    walks = tuple(walk_about(rng, frames, fps) for _ in range(people))
    first = scenes[0]
    actors = tuple(each.actors[0] for each in scenes)
    return WalkingScene(
        first.action, actors, _CAMERA, first.lighting, first.numbers, SIZE, frames, fps, walks
    )


def hidden_joints(scene: Scene) -> NDArray[np.bool_]:
    """``(frame, person, joint)``: behind the body of somebody nearer to the camera."""
    pixels = np.stack([scene.camera.project(figure.joints()) for figure in scene.figures], axis=1)
    hidden = np.zeros(pixels.shape[:3], bool)
    middles = np.stack([pixels[:, :, 5:7].mean(axis=2), pixels[:, :, 11:13].mean(axis=2)], axis=2)
    points = np.concatenate([pixels, middles], axis=2)
    depth = pixels[:, :, 11:13, 2].mean(axis=2)
    for front, behind in np.ndindex(pixels.shape[1], pixels.shape[1]):
        nearer = (depth[:, front] < depth[:, behind])[:, None]
        joints = pixels[:, behind, :, :2]
        for start, end, radius in _PARTS:
            a, b = (points[:, front, None, joint, :2] for joint in (start, end))
            along = ((joints - a) * (b - a)).sum(-1) / np.maximum(((b - a) ** 2).sum(-1), 1e-6)
            nearest = a + np.clip(along, 0, 1)[..., None] * (b - a)
            thick = radius * scene.camera.focal / depth[:, front, None]
            hidden[:, behind] |= nearer & (np.linalg.norm(joints - nearest, axis=-1) < thick)
    return hidden


def noise_at(fps: float) -> EstimatorNoise:
    """Errors of a low-cost estimator; people are lost for 0.8 s at a time."""
    return EstimatorNoise(
        jitter_default=0.02,
        jitter_frames=max(1.0, 0.1 * fps),
        outliers=0.03,
        outlier_size=0.15,
        outlier_frames=max(1.0, 0.1 * fps),
        swaps=0.04,
        swap_frames=max(1.0, 0.1 * fps),
        misses_default=0.06,
        miss_frames=max(1.0, 0.15 * fps),
        lost=0.06,
        lost_frames=0.8 * fps,
        confidence=0.75,
        confidence_wrong=0.45,
        confidence_spread=0.15,
    )


def detect_rendered(scene: Scene, estimator: PoseEstimator) -> Footage:
    """What an estimator finds in rendered frames; identities are those of the nearest exact poses."""
    exact = exact_sequence(scene).keypoints
    frames, identities = [], []
    for number, poses in enumerate(exact):
        (people,) = detect_people(estimator, [render_frame(scene, number)[0]])
        likeness = np.nan_to_num(pairwise_oks(poses, people, np.array(COCO_17.sigmas)))
        who = np.full(len(people), -1, np.intp)
        for person, column in assign(np.where(likeness > _LEAST_OKS, likeness, 0)):
            who[column] = person
        frames.append(people)
        identities.append(who)
    return Footage(frames, identities, np.arange(scene.frames) / scene.fps, scene.fps)


def exact_sequence(scene: Scene) -> PoseSequence:
    """The projected joints; those outside the frame are unseen."""
    pixels = np.stack([scene.camera.project(figure.joints()) for figure in scene.figures], axis=1)
    inside = ((pixels[..., :2] >= 0) & (pixels[..., :2] < SIZE)).all(axis=-1)
    keypoints = np.concatenate([pixels[..., :2], np.ones((*inside.shape, 1))], axis=-1).astype(np.float32)
    return PoseSequence(
        hide(keypoints, ~inside), np.arange(scene.frames, dtype=np.int32), scene.frames, COCO_17,
        scene.fps, SIZE, Origin("crossing", "crossing", "exact"),
    )  # fmt: skip


def detect_with_errors(scene: Scene, seed: int) -> Footage:
    """What an estimator finds: hidden joints and people who are mostly hidden are missed."""
    rng = np.random.default_rng([seed, 7])
    hidden = hidden_joints(scene) & ~bursts(0.15, 0.1 * scene.fps, (scene.frames, len(scene.actors), 17), rng)
    found = simulate_pose_errors(exact_sequence(scene), noise_at(scene.fps), rng)
    keypoints = hide(found.keypoints, hidden)
    enough = (keypoints[..., 2] > 0).sum(axis=2) >= _LEAST_JOINTS
    frames, identities = [], []
    for poses, present in zip(keypoints, enough, strict=True):
        who = rng.permutation(np.flatnonzero(present))
        people, numbers = poses[who], who
        if rng.random() < 0.02 and len(who):  # a part of a person is found again as another person
            part = people[:1] + np.append(rng.normal(0, 15, 2), 0).astype(np.float32)
            part = hide(part, rng.random((1, 17)) < 0.6)
            part[..., 2] *= 0.6
            if (part[..., 2] > 0).any():
                people, numbers = np.concatenate([people, part]), np.append(who, -1)
        frames.append(people)
        identities.append(numbers)
    return Footage(frames, identities, np.arange(scene.frames) / scene.fps, scene.fps)
