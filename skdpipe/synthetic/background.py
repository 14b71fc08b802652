"""Backgrounds: rooms, gardens, plain studios and random patterns."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def paint_background(rng: np.random.Generator, size: tuple[int, int], horizon: float) -> Image:
    """A random background ``(height, width, 3)``; the floor starts at row ``horizon``."""
    kind = rng.choice(4, p=[0.45, 0.25, 0.15, 0.15])
    row = int(np.clip(horizon, 2, size[1] - 2))
    painted = (_room, _garden, _studio, _patchwork)[kind](rng, size, row)
    return _roughen(rng, painted)


def _colour(rng: np.random.Generator, low: float = 20, high: float = 240) -> tuple[int, int, int]:
    grey = rng.uniform(low, high)
    r, g, b = np.clip(grey + rng.uniform(-45, 45, 3), 0, 255).astype(int)
    return int(r), int(g), int(b)


def _fade(image: Image, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> None:
    """Fill with a gradient from top to bottom, in place."""
    share = np.linspace(0, 1, len(image))[:, None, None]
    image[:] = ((1 - share) * np.array(top) + share * np.array(bottom)).astype(np.uint8)


def _blank(size: tuple[int, int]) -> Image:
    return np.zeros((size[1], size[0], 3), np.uint8)


def _room(rng: np.random.Generator, size: tuple[int, int], row: int) -> Image:
    width, height = size
    image = _blank(size)
    wall, floor = _colour(rng, 70, 230), _colour(rng, 50, 190)
    _fade(image[:row], wall, _times(wall, rng.uniform(0.75, 0.98)))
    _fade(image[row:], _times(floor, rng.uniform(0.7, 0.95)), floor)
    if rng.random() < 0.5:
        middle = rng.uniform(0.2, 0.8) * width
        for end in np.linspace(-width, 2 * width, 14):
            start = (int(middle + 0.3 * (end - middle)), row)
            cv2.line(image, start, (int(end), height), _times(floor, 0.8), 1, cv2.LINE_AA)
    cv2.line(image, (0, row), (width, row), _times(wall, rng.uniform(0.5, 1.2)), int(rng.integers(1, 7)))
    for _ in range(rng.integers(0, 4)):
        _frame_on_wall(rng, image, row)
    for _ in range(rng.integers(0, 4)):
        _furniture(rng, image, row)
    return image


def _times(colour: tuple[int, int, int], factor: float) -> tuple[int, int, int]:
    r, g, b = (int(min(255, part * factor)) for part in colour)
    return r, g, b


def _frame_on_wall(rng: np.random.Generator, image: Image, row: int) -> None:
    width = image.shape[1]
    x, y = int(rng.uniform(-0.1, 0.95) * width), int(rng.uniform(0, 0.6) * row)
    w, h = int(rng.uniform(0.06, 0.3) * width), int(rng.uniform(0.1, 0.5) * row)
    cv2.rectangle(image, (x, y), (x + w, y + h), _colour(rng), -1)
    cv2.rectangle(image, (x, y), (x + w, y + h), _colour(rng), int(rng.integers(1, 6)))
    if rng.random() < 0.5:
        cv2.line(image, (x + w // 2, y), (x + w // 2, y + h), _colour(rng), 2)
    if rng.random() < 0.3:
        cv2.circle(image, (x + w // 2, y + h // 2), max(2, min(w, h) // 3), _colour(rng), -1, cv2.LINE_AA)


def _furniture(rng: np.random.Generator, image: Image, row: int) -> None:
    height, width = image.shape[:2]
    x, w = int(rng.uniform(-0.1, 0.95) * width), int(rng.uniform(0.05, 0.35) * width)
    top, foot = int(row - rng.uniform(0.1, 0.8) * row), int(row + rng.uniform(0, 0.25) * (height - row))
    colour = _colour(rng, 30, 200)
    if rng.random() < 0.35:
        for leg in (x, x + w):
            cv2.line(image, (leg, top), (leg, foot), colour, int(rng.integers(3, 9)))
        cv2.line(image, (x - 4, top), (x + w + 4, top), colour, int(rng.integers(4, 12)))
        return
    cv2.rectangle(image, (x, top), (x + w, foot), colour, -1)
    for level in np.linspace(top, foot, int(rng.integers(2, 6)))[1:-1]:
        cv2.line(image, (x, int(level)), (x + w, int(level)), _times(colour, 0.7), 2)
    cv2.rectangle(image, (x, top), (x + w, foot), _times(colour, 0.6), 1)


def _garden(rng: np.random.Generator, size: tuple[int, int], row: int) -> Image:
    width = size[0]
    image = _blank(size)
    sky = (int(rng.uniform(90, 200)), int(rng.uniform(150, 225)), int(rng.uniform(200, 255)))
    grass = (int(rng.uniform(50, 150)), int(rng.uniform(90, 180)), int(rng.uniform(30, 110)))
    row = int(row * rng.uniform(0.6, 1.0))
    _fade(image[:row], sky, _times(sky, 1.15))
    _fade(image[row:], _times(grass, 0.8), grass if rng.random() < 0.7 else _colour(rng, 90, 190))
    for _ in range(rng.integers(0, 6)):
        x, tall = int(rng.uniform(0, 1) * width), rng.uniform(0.15, 0.7) * row
        if rng.random() < 0.4:
            wide = int(rng.uniform(0.05, 0.2) * width)
            cv2.rectangle(image, (x, int(row - tall)), (x + wide, row), _colour(rng, 80, 210), -1)
            continue
        leaves = (int(rng.uniform(20, 90)), int(rng.uniform(70, 150)), int(rng.uniform(20, 80)))
        thick = int(rng.integers(3, 10))
        cv2.line(image, (x, row + 4), (x, int(row - 0.5 * tall)), (95, 70, 45), thick)
        for _ in range(4):
            spot = (int(x + 0.25 * tall * rng.uniform(-1, 1)), int(row - tall * rng.uniform(0.5, 1)))
            radius = int(0.25 * tall * rng.uniform(0.5, 1)) + 2
            cv2.circle(image, spot, radius, _times(leaves, rng.uniform(0.8, 1.2)), -1, cv2.LINE_AA)
    return image


def _studio(rng: np.random.Generator, size: tuple[int, int], row: int) -> Image:
    image = _blank(size)
    _fade(image, _colour(rng), _colour(rng))
    return image


def _patchwork(rng: np.random.Generator, size: tuple[int, int], row: int) -> Image:
    """Soft blobs and, sometimes, boxes and sticks that resemble limbs."""
    rows, columns = int(rng.integers(2, 9)), int(rng.integers(3, 12))
    coarse = rng.uniform(20, 235, (rows, columns, 3)).astype(np.float32)
    coarse = coarse + np.float32(rng.uniform(0, 0.9)) * (coarse.mean(axis=2, keepdims=True) - coarse)
    way = cv2.INTER_NEAREST if rng.random() < 0.25 else cv2.INTER_CUBIC
    image: Image = np.clip(cv2.resize(coarse, size, interpolation=way), 0, 255).astype(np.uint8)
    for _ in range(rng.integers(0, 14)):
        ends = (rng.uniform(0, 1, (2, 2)) * size).astype(int).tolist()
        cv2.line(image, tuple(ends[0]), tuple(ends[1]), _colour(rng), int(rng.integers(2, 14)), cv2.LINE_AA)
    return image


def _roughen(rng: np.random.Generator, image: Image) -> Image:
    """Add uneven lighting and noise."""
    size = (image.shape[1], image.shape[0])
    light = rng.uniform(0.8, 1.15, (3, 4, 1)).repeat(3, axis=2).astype(np.float32)
    lit = cv2.multiply(image, cv2.resize(light, size, interpolation=cv2.INTER_CUBIC), dtype=cv2.CV_8U)
    grain = rng.standard_normal((size[1] // 3, size[0] // 3), np.float32) * np.float32(rng.uniform(0, 7))
    fine = cv2.resize(grain, size).astype(np.int16)
    soft = cv2.add(lit, cv2.merge([fine, fine, fine]), dtype=cv2.CV_8U)
    if rng.random() < 0.5:
        soft = cv2.GaussianBlur(soft, (0, 0), float(rng.uniform(0.8, 4.0)))
    return np.asarray(soft, np.uint8)
