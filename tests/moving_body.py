"""A body that moves sideways or up and down: two actions for tiny networks.

As skeletons in a cache, and as videos of a white box for `BoxEstimator`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skdpipe.cache import PoseCache
from skdpipe.config import ClipFormat, Experiment, NetworkChoice, Recipe
from skdpipe.degradation import generator_for, occlude, sample_frames
from skdpipe.skeleton import COCO_17, Keypoints, Origin, PoseSequence
from skdpipe.video import write_video

SIZE = (64, 48)
ACTIONS = ("sideways", "up and down")
_AMPLITUDE = {"sideways": (9, 0), "up and down": (0, 9)}  # pixels along x and y
_BODY = (10, 24)  # width and height of the box around it in pixels

# x, y of the 17 joints in the box around the body, both from 0 to 1.
_STANDING = np.array(
    [(0.5, 0.05), (0.55, 0), (0.45, 0), (0.6, 0.05), (0.4, 0.05), (0.8, 0.25), (0.2, 0.25), (0.9, 0.4),
     (0.1, 0.4), (1, 0.55), (0, 0.55), (0.7, 0.55), (0.3, 0.55), (0.7, 0.8), (0.3, 0.8), (0.7, 1), (0.3, 1)],
    np.float32,
)  # fmt: skip


def centres(action: str, frames: int, number: int) -> NDArray[np.float64]:
    """The centre of the body, ``(frame, 2)``; the clip's number is the phase of the movement."""
    swing = np.sin(np.linspace(0, 2 * np.pi, frames) + number)
    return np.array(SIZE) / 2 + swing[:, None] * np.array(_AMPLITUDE[action])


def pose_in(left: float, top: float, width: float, height: float) -> Keypoints:
    """A standing person ``(joint, 3)`` in a bounding box."""
    place = _STANDING * (width, height) + (left, top)
    return np.column_stack([place, np.ones(17)]).astype(np.float32)


def a_sequence(action: str, number: int = 0, *, frames: int = 12, **origin: str | None) -> PoseSequence:
    """One moving person without missing joints."""
    corners = centres(action, frames, number) - np.array(_BODY) / 2
    keypoints = np.stack([pose_in(*corner, *_BODY) for corner in corners])[:, None]
    key = f"{ACTIONS.index(action):02x}{number:02x}"
    default = Origin(f"{action} {number}.mp4", key, "eyes", action)
    return PoseSequence(
        keypoints, np.arange(frames, dtype=np.int32), frames, COCO_17, 12.0, SIZE, replace(default, **origin)
    )


def blurred(sequence: PoseSequence) -> PoseSequence:
    """Low quality: every other frame, with noise and three in ten joints missing."""
    rng = generator_for(0, sequence.origin.key)
    degraded = occlude(sample_frames(sequence, 2), 0.3, rng)
    noisy = degraded.keypoints + rng.normal(0, 2, degraded.keypoints.shape) * (1, 1, 0)
    return replace(
        degraded, keypoints=noisy.astype(np.float32), origin=replace(sequence.origin, estimator="squint")
    )


def fill(cache: PoseCache, of_each: int = 6) -> PoseCache:
    """Add ``of_each`` clips of each action in both qualities, every third one for the test."""
    for action in ACTIONS:
        for number in range(of_each):
            sequence = a_sequence(action, number, split="train" if number % 3 else "test")
            cache.save(sequence, "high", "eyes-1")
            cache.save(blurred(sequence), "low", "squint-1")
    return cache


def tiny_experiment(**changes: object) -> Experiment:
    """Networks with four blocks and four channels; two epochs of two steps."""
    network = NetworkChoice("st_2sgcn", width=4)
    settings: dict[str, object] = {
        "name": "tiny",
        "clip": ClipFormat(frames=8),
        "teacher": network,
        "student": network,
        "recipe": Recipe(epochs=2, batch=4),
        "classical": False,
    }
    return Experiment(**{**settings, **changes})  # type: ignore[arg-type]


def write_action_video(path: Path, action: str, number: int = 0, *, frames: int = 12) -> Path:
    """A video of a white box that moves like the body; an empty action gives a video without the box."""
    images = []
    for left, top in np.rint(centres(action or ACTIONS[0], frames, number) - np.array(_BODY) / 2).astype(int):
        image = np.full((SIZE[1], SIZE[0], 3), 20, np.uint8)
        if action:
            image[max(top, 0) : top + _BODY[1], max(left, 0) : left + _BODY[0]] = 240
        images.append(image)
    write_video(path, images, 12.0)
    return path


class BoxEstimator:
    """Detects a bright box as a standing person.

    Args:
        shake: standard deviation of its error in pixels, the same in every frame.
    """

    def __init__(self, shake: float = 0.0) -> None:
        self._shake = shake

    @property
    def layout(self) -> object:
        return COCO_17

    @property
    def fingerprint(self) -> str:
        return f"box shake={self._shake}"

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> list[Keypoints]:
        return [self._detect(frame) for frame in frames]

    def _detect(self, frame: NDArray[np.uint8]) -> Keypoints:
        rows, columns = np.nonzero(frame[..., 0] > 128)
        if not len(rows):
            return np.zeros((0, 17, 3), np.float32)
        left, top = columns.min(), rows.min()
        person = pose_in(left, top, columns.max() + 1 - left, rows.max() + 1 - top)
        shake = np.random.default_rng(0).normal(0, self._shake, (17, 2)) if self._shake else 0.0
        person[:, :2] += shake
        return person[None]


BOX_PLUGIN = f"{__file__}:BoxEstimator"
