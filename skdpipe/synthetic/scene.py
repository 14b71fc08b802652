"""Scenes: make one, render a frame or a whole clip of it, or compute its exact poses alone.

A scene is determined by integers: ``subject`` determines body and motion style, ``take`` the camera, colours
of the clothes, background and timing. The same integers give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import ConfigError
from skdpipe.skeleton import COCO_17, Keypoints, Origin, PoseSequence
from skdpipe.synthetic.actions import ACTIONS, pose_action
from skdpipe.synthetic.actors import Actor, Lighting, sample_actors, sample_camera, sample_lighting
from skdpipe.synthetic.background import paint_background
from skdpipe.synthetic.body import Array, Body, Figure, move_figure
from skdpipe.synthetic.camera import Camera
from skdpipe.synthetic.clothes import draw_limbs, draw_trunk
from skdpipe.synthetic.draw import SUPERSAMPLING, Image, Shape, paint, to_canvas, visible_joints
from skdpipe.synthetic.head import draw_head

# Random streams: [seed, stream, subject, take]; actors.py uses 0 and 3.
_TAKE, _BACKGROUND, _NOISE = 1, 2, 4


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene: actors, camera and lighting of a clip.

    Attributes:
        numbers: seed, subject and take, which determine the scene.
        size: width and height of the frames in pixels.
        frames: number of frames.
    """

    action: str
    actors: tuple[Actor, ...]
    camera: Camera
    lighting: Lighting
    numbers: tuple[int, int, int]
    size: tuple[int, int]
    frames: int
    fps: float

    @cached_property
    def figures(self) -> tuple[Figure, ...]:
        """The figure of each actor during the clip, in metres of the scene."""
        time = np.arange(self.frames) / self.fps
        duration = self.frames / self.fps
        return tuple(
            move_figure(
                pose_action(actor.body, actor.style, actor.parameters, time, duration),
                actor.position,
                actor.heading,
            )
            for actor in self.actors
        )

    @cached_property
    def background(self) -> Image:
        """The background without shadows, in canvas resolution."""
        behind = np.array([*_behind(self.camera), 0.0])
        horizon = float(to_canvas(self.camera.project(behind))[1])
        fine = (SUPERSAMPLING * self.size[0], SUPERSAMPLING * self.size[1])
        return paint_background(_rng(self.numbers, _BACKGROUND), fine, horizon)

    @cached_property
    def grain(self) -> NDArray[np.int16]:
        """Sensor noise, larger than a frame; each frame uses another crop."""
        shape = (self.size[1] + 32, self.size[0] + 32, 3)
        return (_rng(self.numbers, _NOISE).standard_normal(shape, np.float32) * self.lighting.noise).astype(
            np.int16
        )


@dataclass(frozen=True, eq=False)
class RenderedClip:
    """A rendered scene: frames ``(frame, height, width, 3)`` RGB, and the exact poses in COCO-17."""

    frames: NDArray[np.uint8]
    poses: PoseSequence


def make_scene(
    action: str,
    *,
    subject: int,
    take: int,
    seed: int,
    size: tuple[int, int] = (240, 180),
    frames: int = 32,
    fps: float = 16.0,
) -> Scene:
    """Sample actors, clothes, camera and timing of one clip of an action.

    Args:
        action: one of `ACTIONS`.
        subject: number of the person; determines body, hair, handedness, motion style and kind of clothes.
        take: number of the recording; varies camera, background, timing, lighting and colours.
        seed: seed of all subjects and takes.
        size: width and height in pixels.
        frames: number of frames.
        fps: frames per second.

    Raises:
        ConfigError: if the action is unknown, or a number cannot be used.
    """
    if action not in ACTIONS:
        raise ConfigError(f"unknown action {action!r}; expected one of {', '.join(ACTIONS)}")
    if min(subject, take, seed) < 0:
        raise ConfigError(f"subject {subject}, take {take}, seed {seed}; expected 0 or more for each")
    if min(size) < 16 or frames < 1 or fps <= 0:
        raise ConfigError(
            f"size {size}, frames {frames}, fps {fps}: expected at least 16x16 pixels, 1 frame, fps above 0"
        )
    numbers = (seed, subject, take)
    rng = np.random.default_rng([seed, _TAKE, subject, take, ACTIONS.index(action)])
    actors = sample_actors(rng, action, numbers)
    return Scene(
        action, actors, sample_camera(rng, actors, size), sample_lighting(rng), numbers, size, frames, fps
    )


def render_frame(scene: Scene, frame: int) -> tuple[Image, Keypoints, NDArray[np.bool_]]:
    """Render one frame of a scene.

    Returns:
        The frame ``(height, width, 3)`` RGB; keypoints ``(person, 17, 3)`` in pixels (pixel centres are
        integers) with confidence 1, or NaN, NaN, 0 for joints outside the frame; and visibility ``(person,
        17)``, True for joints inside the frame that are not occluded.

    Raises:
        ConfigError: if the scene has no such frame.
    """
    if not 0 <= frame < scene.frames:
        raise ConfigError(
            f"frame {frame} of a scene of {scene.frames} frames; expected 0 to {scene.frames - 1}"
        )
    width, height = scene.size
    canvas, part_map = scene.background.copy(), np.zeros((height, width), np.uint8)
    for actor, figure in zip(scene.actors, scene.figures, strict=True):
        _draw_shadow(canvas, actor.body, figure, scene.camera, frame)
    paint(canvas, part_map, _shapes(scene, frame))
    pixels = [scene.camera.project(figure.joints()[frame]) for figure in scene.figures]
    visible = [
        visible_joints(part_map, figure, scene.camera, frame, number, pixels[number])
        for number, figure in enumerate(scene.figures)
    ]
    return (
        _apply_camera_effects(scene, canvas, frame),
        _as_keypoints(np.reshape(pixels, (-1, 17, 3)), scene.size),
        np.reshape(visible, (-1, 17)).astype(bool),
    )


def render_clip(scene: Scene) -> RenderedClip:
    """Render all frames of a scene."""
    images = [render_frame(scene, frame)[0] for frame in range(scene.frames)]
    return RenderedClip(np.stack(images), exact_poses(scene))


def exact_poses(scene: Scene) -> PoseSequence:
    """The exact poses of a scene in COCO-17, without rendering.

    Returns:
        Keypoints ``(frame, person, 17, 3)`` as those of `render_frame`: occluded joints have their position,
        joints outside the frame are NaN, NaN, 0.
    """
    seed, subject, take = scene.numbers
    name = f"actors/{scene.action}/seed{seed}-subject{subject}-take{take}"
    key = hashlib.sha256(f"{name}/{scene.size}/{scene.frames}/{scene.fps}".encode()).hexdigest()
    pixels = [scene.camera.project(figure.joints()) for figure in scene.figures]
    return PoseSequence(
        keypoints=_as_keypoints(np.stack(pixels, axis=1), scene.size),
        frame_index=np.arange(scene.frames, dtype=np.int32),
        video_frames=scene.frames,
        layout=COCO_17,
        fps=scene.fps,
        size=scene.size,
        origin=Origin(name, key, "exact", label=scene.action, subject=str(subject)),
    )


def _shapes(scene: Scene, frame: int) -> Iterator[tuple[Shape, int]]:
    for number, (actor, figure) in enumerate(zip(scene.actors, scene.figures, strict=True)):
        view = actor.body, actor.clothes, figure, scene.camera, frame
        for shapes in (draw_limbs(*view, actor.held_object), draw_trunk(*view), draw_head(*view)):
            yield from ((shape, number) for shape in shapes)


def _rng(numbers: tuple[int, int, int], stream: int) -> np.random.Generator:
    seed, subject, take = numbers
    return np.random.default_rng([seed, stream, subject, take])


def _as_keypoints(pixels: Array, size: tuple[int, int]) -> Keypoints:
    """Projected joints as keypoints; joints outside the frame are unseen."""
    xy = pixels[..., :2]
    inside = ((xy >= -0.5) & (xy < np.array(size) - 0.5)).all(axis=-1, keepdims=True)
    return np.concatenate([np.where(inside, xy, np.nan), inside], axis=-1).astype(np.float32)


def _behind(camera: Camera) -> tuple[float, float]:
    """Position on the floor behind the people where the wall starts."""
    away = 1.2 + 0.25 * camera.distance
    return -away * float(np.cos(camera.azimuth)), -away * float(np.sin(camera.azimuth))


def _draw_shadow(canvas: Image, body: Body, figure: Figure, camera: Camera, frame: int) -> None:
    """Darken the floor under the body, in place."""
    x, y, _ = figure.trunk.pelvis[frame]
    turn = np.linspace(0, 2 * np.pi, 20)
    wide = 0.16 * body.height
    rim = np.stack([x + wide * np.cos(turn), y + wide * np.sin(turn), np.zeros(20)], axis=-1)
    outline = to_canvas(camera.project(rim)[:, :2])
    low = np.floor(outline.min(axis=0)).astype(int).clip(0)
    high = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 1, (canvas.shape[1], canvas.shape[0]))
    if (high <= low).any():
        return
    piece = canvas[low[1] : high[1], low[0] : high[0]]
    dark = np.full(piece.shape[:2], 255, np.uint8)
    cv2.fillConvexPoly(dark, np.rint((outline - low) * 16).astype(np.int32), (150,), cv2.LINE_AA, 4)
    piece[:] = cv2.multiply(piece, cv2.cvtColor(dark, cv2.COLOR_GRAY2RGB), scale=1 / 255)


def _apply_camera_effects(scene: Scene, canvas: Image, frame: int) -> Image:
    """Canvas to frame: averaging, blur, lighting and noise."""
    image = cv2.resize(canvas, scene.size, interpolation=cv2.INTER_AREA)
    lighting = scene.lighting
    if lighting.blur:
        image = cv2.GaussianBlur(image, (0, 0), lighting.blur)
    levels = np.arange(256)[:, None] * np.array(lighting.gain) + lighting.offset
    image = cv2.LUT(image, np.clip(levels, 0, 255).astype(np.uint8)[None])
    x, y = (7 * frame) % 32, (13 * frame) % 32
    grain = scene.grain[y : y + scene.size[1], x : x + scene.size[0]]
    noisy: Image = np.asarray(cv2.add(image, np.ascontiguousarray(grain), dtype=cv2.CV_8U), np.uint8)
    return noisy
