"""The input image of an OpenPifPaf network: a frame scaled to a long edge and padded."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from skdpipe.video.picture import Frame

STRIDE = 16  # of every OpenPifPaf backbone; its input images have 16 n + 1 pixels per side
MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255
STD = np.array([0.229, 0.224, 0.225], np.float32) * 255
_FILL = (124, 116, 104)  # the mean colour


@dataclass(frozen=True)
class Letterbox:
    """Position of a frame in the input image: scaled to a long edge, centred, padded to a multiple of the
    stride.

    Pixel centres are integers: x of the frame is at (x + 0.5) * scale - 0.5 + offset in the input image.

    Attributes:
        scale: horizontal and vertical scale.
        offset: left and top padding in pixels.
        inner: width and height of the scaled frame.
        outer: width and height of the input image.
    """

    scale: tuple[float, float]
    offset: tuple[int, int]
    inner: tuple[int, int]
    outer: tuple[int, int]

    @classmethod
    def fit(cls, size: tuple[int, int], long_edge: int) -> Letterbox:
        """The letterbox for frames of ``size`` (width, height)."""
        ratio = long_edge / max(size)
        inner = (max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio)))
        outer = (_round_up(inner[0]), _round_up(inner[1]))
        offset = ((outer[0] - inner[0]) // 2, (outer[1] - inner[1]) // 2)
        return cls((inner[0] / size[0], inner[1] / size[1]), offset, inner, outer)

    def apply(self, frame: Frame) -> Frame:
        """The input image of a frame, uint8."""
        method = cv2.INTER_AREA if self.scale[0] < 1 else cv2.INTER_LINEAR
        inner = cv2.resize(frame, self.inner, interpolation=method)
        left, top = self.offset
        right, bottom = self.outer[0] - self.inner[0] - left, self.outer[1] - self.inner[1] - top
        padded = cv2.copyMakeBorder(inner, top, bottom, left, right, cv2.BORDER_CONSTANT, value=_FILL)
        return np.asarray(padded, np.uint8)

    def to_input(self, xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Frame coordinates to coordinates of the input image."""
        moved: NDArray[np.float64] = (xy + 0.5) * np.array(self.scale) - 0.5 + np.array(self.offset)
        return moved.astype(np.float32)

    def to_frame(self, xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Coordinates of the input image to frame coordinates."""
        moved: NDArray[np.float64] = (xy - np.array(self.offset) + 0.5) / np.array(self.scale) - 0.5
        return moved.astype(np.float32)


def _round_up(length: int) -> int:
    """The smallest multiple of the stride plus 1 that is not below ``length``."""
    return -(-(length - 1) // STRIDE) * STRIDE + 1
