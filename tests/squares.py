"""Videos that can be checked by hand: a person is a bright square, and the estimator detects it.

The square's upper left pixel is known for every frame, so the joints of every frame are known too.
"""

import time
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from skdpipe.skeleton import COCO_17, Keypoints, Layout

SIDE = 16
# Joints on a grid of four by five points across the square, without the last three points.
GRID = np.array([(i % 4 / 3, i // 4 / 4) for i in range(17)], np.float32)


def square_frames(
    *,
    frames: int = 20,
    size: tuple[int, int] = (64, 48),
    start: tuple[int, int] = (4, 10),
    step: int = 2,
    ground: int = 20,
    brightness: int = 255,
) -> Iterator[NDArray[np.uint8]]:
    """A square that moves to the right by ``step`` pixels a frame, and turns back at the edge."""
    room = size[0] - SIDE
    for frame in range(frames):
        image = np.full((size[1], size[0], 3), ground, np.uint8)
        x = abs((start[0] + step * frame + room) % (2 * room) - room)
        image[start[1] : start[1] + SIDE, x : x + SIDE] = brightness
        yield image


class SquareFinder:
    """A `PoseEstimator`: every bright square is a person, the largest first.

    Args:
        threshold: minimum brightness of a person.
        seconds: delay of every call.
    """

    layout: Layout = COCO_17

    def __init__(self, threshold: int = 128, seconds: float = 0.0) -> None:
        self._threshold, self._seconds = threshold, seconds
        self.batches: list[int] = []

    @property
    def fingerprint(self) -> str:
        return f"squares threshold{self._threshold}"

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> list[Keypoints]:
        assert frames, "an estimator must not be called without frames"
        time.sleep(self._seconds)
        self.batches.append(len(frames))
        return [self._people(frame) for frame in frames]

    def _people(self, frame: NDArray[np.uint8]) -> Keypoints:
        bright = (frame.min(axis=2) >= self._threshold).astype(np.uint8)
        _, _, boxes, _ = cv2.connectedComponentsWithStats(bright)
        squares = sorted((box for box in boxes[1:] if box[4] >= SIDE), key=lambda box: -box[4])
        people = np.ones((len(squares), len(COCO_17), 3), np.float32)
        for person, (left, top, width, height, _) in zip(people, squares, strict=True):
            person[:, :2] = (left, top) + GRID * (width - 1, height - 1)
        return people
