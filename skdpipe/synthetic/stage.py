"""The stage: cast a scene, shoot one of its frames, or have it performed as a clip.

Everything follows from integers: ``subject`` gives the body and manners, ``take`` the view, clothes' colours,
background and timing; the same integers give the same bytes.
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
from skdpipe.synthetic.actions import ACTIONS, play
from skdpipe.synthetic.backdrop import paint_backdrop
from skdpipe.synthetic.body import Array, Body, Figure, place
from skdpipe.synthetic.camera import Camera
from skdpipe.synthetic.casting import Light, Person, cast_people, place_camera, set_light
from skdpipe.synthetic.clothed import draw_limbs, draw_trunk
from skdpipe.synthetic.draw import FINE, Image, Shape, in_sight, paint, to_canvas
from skdpipe.synthetic.head import draw_head

# Streams of random numbers: [seed, stream, subject, take]; casting.py has 0 and 3.
_TAKE, _BACKDROP, _NOISE = 1, 2, 4


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that is fixed during a clip.

    Attributes:
        numbers: seed, subject, take, from which all else was drawn.
        size: width and height of the picture in pixels.
    """

    action: str
    people: tuple[Person, ...]
    camera: Camera
    light: Light
    numbers: tuple[int, int, int]
    size: tuple[int, int]
    frames: int
    fps: float

    @cached_property
    def figures(self) -> tuple[Figure, ...]:
        """Each person through the clip, on the stage."""
        time = np.arange(self.frames) / self.fps
        length = self.frames / self.fps
        return tuple(
            place(play(who.body, who.manner, who.cue, time, length), who.spot, who.heading)
            for who in self.people
        )

    @cached_property
    def backdrop(self) -> Image:
        """The empty stage on the fine canvas, shadows apart."""
        behind = np.array([*_behind(self.camera), 0.0])
        horizon = float(to_canvas(self.camera.project(behind))[1])
        fine = (FINE * self.size[0], FINE * self.size[1])
        return paint_backdrop(_rng(self.numbers, _BACKDROP), fine, horizon)

    @cached_property
    def grain(self) -> NDArray[np.int16]:
        """Sensor noise, larger than the picture; each frame takes another piece."""
        shape = (self.size[1] + 32, self.size[0] + 32, 3)
        return (_rng(self.numbers, _NOISE).standard_normal(shape, np.float32) * self.light.noise).astype(
            np.int16
        )


@dataclass(frozen=True, eq=False)
class Clip:
    """A performed scene: ``(frame, height, width, 3)`` RGB and the exact poses in COCO-17."""

    frames: NDArray[np.uint8]
    poses: PoseSequence


def cast(
    action: str,
    *,
    subject: int,
    take: int,
    seed: int,
    size: tuple[int, int] = (240, 180),
    frames: int = 32,
    fps: float = 16.0,
) -> Scene:
    """Choose people, clothes, view and timing for one clip of an action.

    Args:
        subject: who; fixes body, hair, handedness, manner and style of clothes.
        take: which recording; varies view, distance, background, timing, light and colours.
        size: width and height in pixels.

    Raises:
        ConfigError: if the action is unknown, or a number cannot be used.
    """
    if action not in ACTIONS:
        raise ConfigError(f"action {action!r} is unknown to the stage; choose one of {', '.join(ACTIONS)}")
    if min(subject, take, seed) < 0:
        raise ConfigError(f"subject {subject}, take {take}, seed {seed}: none may be negative")
    if min(size) < 16 or frames < 1 or fps <= 0:
        raise ConfigError(
            f"size {size}, frames {frames}, fps {fps}: expected at least 16x16 pixels, 1 frame, fps above 0"
        )
    numbers = (seed, subject, take)
    rng = np.random.default_rng([seed, _TAKE, subject, take, ACTIONS.index(action)])
    people = cast_people(rng, action, numbers)
    return Scene(action, people, place_camera(rng, people, size), set_light(rng), numbers, size, frames, fps)


def shoot(scene: Scene, frame: int) -> tuple[Image, Keypoints, NDArray[np.bool_]]:
    """One frame of a scene.

    Returns:
        The picture ``(height, width, 3)`` RGB; keypoints ``(person, 17, 3)`` in pixels, an integer being the
        middle of a pixel, confidence 1, or NaN, NaN, 0 outside of the picture; and whether each joint is in
        sight ``(person, 17)``, neither outside nor behind a part of a body.

    Raises:
        ConfigError: if the scene has no such frame.
    """
    if not 0 <= frame < scene.frames:
        raise ConfigError(
            f"frame {frame} of a scene of {scene.frames}; choose one from 0 to {scene.frames - 1}"
        )
    width, height = scene.size
    canvas, front = scene.backdrop.copy(), np.zeros((height, width), np.uint8)
    for person, figure in zip(scene.people, scene.figures, strict=True):
        _cast_shadow(canvas, person.body, figure, scene.camera, frame)
    paint(canvas, front, _shapes(scene, frame))
    pixels = [scene.camera.project(figure.joints()[frame]) for figure in scene.figures]
    visible = [
        in_sight(front, figure, scene.camera, frame, number, pixels[number])
        for number, figure in enumerate(scene.figures)
    ]
    return _expose(scene, canvas, frame), _as_keypoints(np.stack(pixels), scene.size), np.stack(visible)


def perform(scene: Scene) -> Clip:
    """All frames of a scene, with the exact poses."""
    shots = [shoot(scene, frame) for frame in range(scene.frames)]
    seed, subject, take = scene.numbers
    name = f"actors/{scene.action}/seed{seed}-subject{subject}-take{take}"
    key = hashlib.sha256(f"{name}/{scene.size}/{scene.frames}/{scene.fps}".encode()).hexdigest()
    poses = PoseSequence(
        keypoints=np.stack([keypoints for _, keypoints, _ in shots]),
        frame_index=np.arange(scene.frames, dtype=np.int32),
        video_frames=scene.frames,
        layout=COCO_17,
        fps=scene.fps,
        size=scene.size,
        origin=Origin(name, key, "exact", label=scene.action, subject=str(subject)),
    )
    return Clip(np.stack([image for image, _, _ in shots]), poses)


def _shapes(scene: Scene, frame: int) -> Iterator[tuple[Shape, int]]:
    for number, (person, figure) in enumerate(zip(scene.people, scene.figures, strict=True)):
        seen = person.body, person.clothes, figure, scene.camera, frame
        for shapes in (draw_limbs(*seen, person.thing), draw_trunk(*seen), draw_head(*seen)):
            yield from ((shape, number) for shape in shapes)


def _rng(numbers: tuple[int, int, int], stream: int) -> np.random.Generator:
    seed, subject, take = numbers
    return np.random.default_rng([seed, stream, subject, take])


def _as_keypoints(pixels: Array, size: tuple[int, int]) -> Keypoints:
    """Projected joints as keypoints; a joint outside of the picture's pixels is unseen."""
    xy = pixels[..., :2]
    inside = ((xy >= -0.5) & (xy < np.array(size) - 0.5)).all(axis=-1, keepdims=True)
    return np.concatenate([np.where(inside, xy, np.nan), inside], axis=-1).astype(np.float32)


def _behind(camera: Camera) -> tuple[float, float]:
    """A place on the floor some way behind the people: where the wall stands."""
    away = 1.2 + 0.25 * camera.distance
    return -away * float(np.cos(camera.azimuth)), -away * float(np.sin(camera.azimuth))


def _cast_shadow(canvas: Image, body: Body, figure: Figure, camera: Camera, frame: int) -> None:
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


def _expose(scene: Scene, canvas: Image, frame: int) -> Image:
    """From the fine canvas to the picture: average, blur, light, noise."""
    picture = cv2.resize(canvas, scene.size, interpolation=cv2.INTER_AREA)
    light = scene.light
    if light.blur:
        picture = cv2.GaussianBlur(picture, (0, 0), light.blur)
    levels = np.arange(256)[:, None] * np.array(light.gain) + light.offset
    picture = cv2.LUT(picture, np.clip(levels, 0, 255).astype(np.uint8)[None])
    x, y = (7 * frame) % 32, (13 * frame) % 32
    grain = scene.grain[y : y + scene.size[1], x : x + scene.size[0]]
    noisy: Image = np.asarray(cv2.add(picture, np.ascontiguousarray(grain), dtype=cv2.CV_8U), np.uint8)
    return noisy
