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
_FAR: Final = 2**31  # pixels
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

    Only a box of each plane is stored, a plane being the map of one joint in one frame.

    Attributes:
        size: height and width of the input image.
        joints: number of joints.
        boxes: ``(4, plane)``: first and last column, first and last row; empty where no cell has a part.
        starts: ``(plane,)``, index of each box's first pixel.
        sums: pixels of all boxes, before the limit of 1; 0 where no cell has a part.
    """

    size: tuple[int, int]
    joints: int
    boxes: Indices
    starts: Indices
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
        height, width = size = ((rows - 1) * stride + 1, (columns - 1) * stride + 1)
        cells = Cells.over(threshold, cif)
        _, confidence, x, y, scale = cells.components
        sigma = np.maximum(1, scale * np.float32(0.5 * stride))
        gaussians = np.stack([confidence / _CELLS_OF_A_JOINT, x * stride, y * stride, sigma])
        _, x, y, sigma = gaussians
        extents = np.stack(
            [*_integers(x - sigma, x + sigma, width), *_integers(y - sigma, y + sigma, height)]
        )
        kept = (scale >= 0) & (extents[0] <= extents[1]) & (extents[2] <= extents[3])
        plane = (cells.frame * joints + cells.field)[kept]
        boxes = _enclose(extents[:, kept], plane, frames * joints)
        areas = np.maximum(0, boxes[1] - boxes[0] + 1) * np.maximum(0, boxes[3] - boxes[2] + 1)
        joint_map = cls(size, joints, boxes, np.cumsum(areas) - areas, np.zeros(areas.sum(), np.float32))
        joint_map._add(plane, gaussians[:, kept], extents[:, kept])
        return joint_map

    def _add(self, plane: Indices, gaussians: Floats, extents: Indices) -> None:
        """Add Gaussians, cut off at one standard deviation.

        Args:
            plane: ``(gaussian,)``, index of the plane.
            gaussians: ``(4, gaussian)``: height, x, y, standard deviation in pixels.
            extents: ``(4, gaussian)``: first and last column, first and last row.
        """
        left, right, top, bottom = extents
        pixels = int(((right - left + 1) * (bottom - top + 1)).sum())
        for part in np.array_split(np.arange(len(plane)), 1 + pixels // _PIXELS_AT_ONCE):
            each, y = _count_through(top[part], bottom[part])
            each = part[each]
            start = self._index(plane[each], 0, y)
            line, x = _count_through(left[each], right[each])
            height, centre_x, centre_y, sigma = gaussians[:, each]
            dy = y.astype(np.float32) - centre_y
            height, centre_x, dy, variance = np.stack([height, centre_x, dy, sigma * sigma])[:, line]
            np.add.at(
                self.sums, start[line] + x, _gaussian(x.astype(np.float32) - centre_x, dy, height, variance)
            )

    def _index(self, plane: Indices, column: Indices | int, row: Indices) -> Indices:
        """Index of pixels in ``sums``."""
        left, right, top, _ = self.boxes
        width = (right - left + 1)[plane]
        index: Indices = self.starts[plane] + (row - top[plane]) * width + column - left[plane]
        return index

    def at(self, frame: Indices, joint: Indices, x: Floats, y: Floats) -> NDArray[np.float64]:
        """Confidence at the nearest pixels; 0 outside of the image and where no cell has a part."""
        plane = frame * self.joints + joint
        left, right, top, bottom = self.boxes[:, plane]
        height, width = self.size
        inside = (x >= -0.49) & (x <= width - 0.51) & (y >= -0.49) & (y <= height - 0.51)
        column, row = (np.where(inside, points + 0.5, -1).astype(np.intp) for points in (x, y))
        stored = (left <= column) & (column <= right) & (top <= row) & (row <= bottom)
        found = np.zeros(len(plane))
        found[stored] = self.sums[self._index(plane[stored], column[stored], row[stored])]
        return np.minimum(found, 1)


def _integers(low: Floats, high: Floats, limit: int) -> tuple[Indices, Indices]:
    """The first and last integer of each interval within 0 to ``limit`` - 1."""
    first = np.ceil(np.clip(low, 0, limit)).astype(np.intp)
    last = np.floor(np.clip(high, -1, limit - 1)).astype(np.intp)
    return first, last


def _enclose(extents: Indices, plane: Indices, planes: int) -> Indices:
    """The smallest boxes that contain all extents of a plane, ``(4, plane)``."""
    boxes = np.empty((4, planes), np.intp)
    for box, extent, extreme, empty in zip(
        boxes, extents, (np.minimum, np.maximum) * 2, (_FAR, -1) * 2, strict=True
    ):
        box[:] = empty
        extreme.at(box, plane, extent)
    return boxes


def _count_through(first: Indices, last: Indices) -> tuple[Indices, Indices]:
    """The integers of all intervals: index of the interval, integer."""
    count = last - first + 1
    interval = np.repeat(np.arange(len(count)), count)
    return interval, np.arange(len(interval)) + np.repeat(first + count - np.cumsum(count), count)


def _gaussian(dx: Floats, dy: Floats, height: Floats, variance: Floats) -> Floats:
    """OpenPifPaf's approximation of a Gaussian, ``exp(-z) = (1 - z / 8) ** 8``, cut off at one sigma.

    Its map starts at 1, which rounds every term to a multiple of 2 ** -23.
    """
    dx, dy = dx * dx, dy * dy
    squared = dx + dy
    factor = 1 - squared / variance / 16
    for _ in range(3):
        factor *= factor
    factor[(dx < _NEAREST**2) & (dy < _NEAREST**2)] = 1
    factor[squared > variance] = 0
    return ((1 + height * factor) - 1).astype(np.float32, copy=False)
