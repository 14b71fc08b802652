"""Cameras of this machine, by their number."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import cv2
import numpy as np

from skdpipe.errors import VideoError
from skdpipe.video.feed import Feed, LiveFrame
from skdpipe.video.live_clock import LiveClock
from skdpipe.video.picture import Frame


@contextmanager
def open_camera(number: int, clock: LiveClock) -> Iterator[Feed]:
    """Open a camera of this machine; the time of a frame is its arrival.

    Raises:
        VideoError: if it cannot be opened.
    """
    with _silent_opencv():
        camera = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise VideoError(
                f"camera {number}: cannot be opened; expected a connected camera that no other program uses "
                "(the first one is 0)"
            )
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        yield Feed(_frames(camera, number, clock), camera.get(cv2.CAP_PROP_FPS) or None)
    finally:
        camera.release()


def _frames(camera: cv2.VideoCapture, number: int, clock: LiveClock) -> Iterator[LiveFrame]:
    while True:
        is_read, image = camera.read()
        if not is_read:
            raise VideoError(f"camera {number}: gives no frames any more")
        arrived = time.monotonic()
        size = image.shape[1], image.shape[0]
        yield LiveFrame(clock.seconds_at(None, arrived), arrived, size, partial(_to_rgb, image))


def _to_rgb(image: cv2.typing.MatLike) -> Frame:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


@contextmanager
def _silent_opencv() -> Iterator[None]:
    """OpenCV prints several lines for each way in which a camera cannot be opened."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
