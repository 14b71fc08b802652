"""The high-resolution map of joint confidences, which OpenPifPaf's decoder makes of the intensity fields.

Kreiss et al., "OpenPifPaf: Composite Fields for Semantic Keypoint Detection and Spatio-Temporal Association",
IEEE T-ITS 2021, equation 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_CELLS_OF_A_JOINT: Final = 16  # a joint has full confidence where this many cells with confidence 1 agree
_PIXELS_AT_ONCE: Final = 2**20  # bounds the memory
_NEAREST: Final = 0.5  # pixels; the nearest pixel of a point gets its full confidence

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Cells:
    """The cells of a composite field whose confidence is high enough, for all frames of a batch.

    Attributes:
        frame: ``(cell,)``, index of the frame.
        field: ``(cell,)``, index of the joint or the association.
        components: ``(component, cell)``: width, confidence, points and scales in grid cells.
    """

    frame: Indices
    field: Indices
    components: Floats

    @classmethod
    def over(cls, threshold: float, fields: Floats, only: NDArray[np.bool_] | None = None) -> Cells:
        """The cells whose confidence is at least the threshold.

        Args:
            threshold: lowest confidence of a cell.
            fields: ``(frame, field, component, row, column)``.
            only: ``(frame, field)``, the fields whose cells are needed.
        """
        confident = fields[:, :, 1] >= threshold
        if only is not None:
            confident &= only[:, :, None, None]
        frame, field, row, column = np.nonzero(confident)
        return cls(frame, field, fields[frame, field, :, row, column].T)


@dataclass(frozen=True)
class JointMap:
    """Confidence of each joint at each pixel of the input image.

    Attributes:
        sums: ``(frame, joint, height, width)``, before the limit of 1; 0 where no cell has a part.
    """

    sums: Floats

    @classmethod
    def accumulate(cls, cif: Floats, stride: int, threshold: float) -> JointMap:
        """Add a Gaussian at the point of each cell of the intensity fields.

        Args:
            cif: ``(frame, joint, 5, row, column)``.
            stride: pixels per cell.
            threshold: lowest confidence of a cell.
        """
        frames, joints, _, rows, columns = cif.shape
        sums = np.zeros((frames, joints, (rows - 1) * stride + 1, (columns - 1) * stride + 1), np.float32)
        cells = Cells.over(threshold, cif)
        _, confidence, x, y, scale = cells.components
        sigma = np.maximum(1, scale * np.float32(0.5 * stride))
        plane = cells.frame * joints + cells.field
        gaussians = np.stack([confidence / _CELLS_OF_A_JOINT, x * stride, y * stride, sigma])[:, scale >= 0]
        _add(sums, plane[scale >= 0], gaussians)
        return cls(sums)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input image."""
        height, width = self.sums.shape[-2:]
        return height, width

    def at(self, frame: Indices, joint: Indices, x: Floats, y: Floats) -> NDArray[np.float64]:
        """Confidence at the nearest pixels; 0 outside of the image and where no cell has a part."""
        height, width = self.sums.shape[-2:]
        inside = (x >= -0.49) & (x <= width - 0.51) & (y >= -0.49) & (y <= height - 0.51)
        column, row = (np.where(inside, points + 0.5, 0).astype(np.intp) for points in (x, y))
        found = np.minimum(self.sums[frame, joint, row, column], 1)
        return np.where(inside, found, 0).astype(np.float64)


def _add(sums: Floats, plane: Indices, gaussians: Floats) -> None:
    """Add Gaussians, cut off at one standard deviation.

    Args:
        sums: ``(frame, joint, height, width)``.
        plane: ``(gaussian,)``, index of frame and joint.
        gaussians: ``(4, gaussian)``: height, x, y, standard deviation in pixels.
    """
    height, width = sums.shape[-2:]
    flat = sums.reshape(-1)
    pixels = int((2 * gaussians[3] + 1).astype(np.float64) @ (2 * gaussians[3] + 1))
    for part in np.array_split(np.arange(len(plane)), 1 + pixels // _PIXELS_AT_ONCE):
        _, centre_x, centre_y, reach = gaussians[:, part]
        line, y = _integers_between(centre_y - reach, centre_y + reach, height)
        pixel, x = _integers_between((centre_x - reach)[line], (centre_x + reach)[line], width)
        start = ((plane[part][line] * height + y) * width)[pixel]
        top, centre_x, centre_y, sigma = gaussians[:, part[line[pixel]]]
        values = _gaussian(x - centre_x, y[pixel] - centre_y, top, sigma)
        np.add.at(flat, start + x, values)


def _integers_between(low: Floats, high: Floats, limit: int) -> tuple[Indices, Indices]:
    """The integers of each interval that are from 0 to ``limit`` - 1: index of the interval, integer."""
    first = np.ceil(np.clip(low, 0, limit)).astype(np.intp)
    last = np.floor(np.clip(high, -1, limit - 1)).astype(np.intp)
    count = np.maximum(0, last - first + 1)
    interval = np.repeat(np.arange(len(count)), count)
    return interval, np.arange(len(interval)) + np.repeat(first + count - np.cumsum(count), count)


def _gaussian(dx: Floats, dy: Floats, top: Floats, sigma: Floats) -> Floats:
    """OpenPifPaf's approximation of a Gaussian, ``exp(-z) = (1 - z / 8) ** 8``.

    Its map starts at 1, which rounds every term to a multiple of 2 ** -23.
    """
    dx, dy, variance = (dx * dx).astype(np.float32), (dy * dy).astype(np.float32), sigma * sigma
    squared = dx + dy
    root = 1 - squared / variance / 16
    root *= root
    root *= root
    root *= root
    nearest = (dx < _NEAREST**2) & (dy < _NEAREST**2)
    values = np.where(nearest, top, top * root)
    values[squared > variance] = 0
    return (1 + values) - 1
