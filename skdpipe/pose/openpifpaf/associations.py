"""The candidates of connections between joints: OpenPifPaf's association fields in its decoder."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import exp, inf
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skdpipe.pose.openpifpaf.joint_map import Cells, Floats, Indices, JointMap

SKELETON: Final = (
    *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8)),
    *((7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
)
"""The joints of COCO that each of OpenPifPaf's 19 associations connects.

A connection is an association in one direction: connection ``2 * association`` leads from the first joint to
the second, connection ``2 * association + 1`` back.
"""
CONNECTIONS: Final = 2 * len(SKELETON)
_FLOOR: Final = 0.1  # share of a candidate's confidence that does not depend on the map of its joint
_SMALLEST_SCALE: Final = 0.5  # pixels
_LOWEST_SECOND: Final = 0.01  # confidence of a second candidate that counts


class Joint(NamedTuple):
    """A joint of a person: position and scale in pixels of the input image."""

    confidence: float
    x: float
    y: float
    scale: float


class Associations:
    """The candidates of all connections and frames of a batch.

    Args:
        connection: ``(candidate,)``, ascending, ``CONNECTIONS * frame + connection``.
        rows: ``(candidate, 6)``: x and y of the start, x, y and scale of the end, logarithm of the
            confidence; those of a connection by ascending x of the start.
        frames: number of frames.
    """

    def __init__(self, connection: Indices, rows: Floats, frames: int) -> None:
        self._rows = rows
        self._starts: list[float] = rows[:, 0].tolist()
        bounds: Indices = np.searchsorted(connection, np.arange(CONNECTIONS * frames + 1))
        self._bounds: list[int] = bounds.tolist()

    @classmethod
    def score(
        cls,
        caf: Floats,
        stride: int,
        joint_map: JointMap,
        threshold: float,
        only: NDArray[np.bool_] | None = None,
    ) -> Associations:
        """Weight the confidence of each cell with that of the joint map at the end of the connection.

        Args:
            caf: ``(frame, association, 8, row, column)``.
            stride: pixels per cell.
            joint_map: the map of the same frames.
            threshold: lowest confidence of a candidate, before and after the weighting.
            only: ``(frame, association)``, the associations whose candidates are needed.
        """
        cells = Cells.over(threshold, caf, only)
        confidence, (x1, y1, x2, y2, scale1, scale2) = cells.components[1], cells.components[2:] * stride
        ends = np.array(SKELETON)[cells.field]
        forward = joint_map.at(cells.frame, ends[:, 1], x2, y2)
        backward = joint_map.at(cells.frame, ends[:, 0], x1, y1)
        scores = (confidence * (_FLOOR + (1 - _FLOOR) * np.stack([forward, backward]))).astype(np.float32)
        scales = np.maximum(0, [scale2, scale1])
        columns = np.stack([[x1, x2], [y1, y2], [x2, x1], [y2, y1], scales, scores]).reshape(6, -1)
        connection = CONNECTIONS * cells.frame + 2 * cells.field
        connection = np.concatenate([connection, connection + 1])
        kept = np.flatnonzero(columns[5] > threshold)
        kept = kept[_sort(connection[kept], columns[0, kept])]
        rows = columns.T[kept]
        rows[:, 5] = np.log(rows[:, 5])
        return cls(connection[kept], rows, len(caf))

    def connect(self, frame: int, connection: int, start: Joint, sigmas: float) -> Joint | None:
        """The end of a connection that starts at a joint, or None: a mean of the two best candidates.

        The confidence of a candidate decreases with the distance of its start from the joint.

        Args:
            frame: index of the frame.
            connection: index of the connection.
            start: the joint.
            sigmas: largest distance in x and in y, in standard deviations (half of the joint's scale).
        """
        _, x, y, scale = start
        scale = max(scale, _SMALLEST_SCALE)
        reach = sigmas * scale / 2
        decay = -2 / (scale * scale)
        index = CONNECTIONS * frame + connection
        low, high = self._bounds[index], self._bounds[index + 1]
        low = bisect_left(self._starts, x - reach, low, high)
        high = bisect_right(self._starts, x + reach, low, high)
        best = second = -inf
        best_row = second_row = None
        for row in self._rows[low:high].tolist():
            dx, dy = row[0] - x, row[1] - y
            score = decay * (dx * dx + dy * dy) + row[5]
            if score > second and -reach <= dy <= reach:
                if score >= best:
                    best, second, best_row, second_row = score, best, row, best_row
                else:
                    second, second_row = score, row
        return _blend(exp(best), best_row, exp(second), second_row)


def _sort(connection: Indices, x: Floats) -> Indices:
    """The order by connection, then by x.

    The result is that of ``np.lexsort``, several times as fast: numpy sorts integers of 16 bits by radix.
    """
    order = np.argsort(x, kind="stable")
    small = connection[order].astype(np.min_scalar_type(connection.max(initial=0)))
    return order[np.argsort(small, kind="stable")]


def _blend(
    best: float, row: list[float] | None, second: float, second_row: list[float] | None
) -> Joint | None:
    """The mean of two ends weighted by their scores; the first if the second is weak or too far away."""
    if row is None:
        return None
    _, _, x, y, scale, _ = row
    if second_row is None or second < _LOWEST_SECOND or second < 0.5 * best:
        return Joint(0.5 * best, x, y, scale)
    _, _, second_x, second_y, second_scale, _ = second_row
    if (x - second_x) ** 2 + (y - second_y) ** 2 > scale**2 / 4:
        return Joint(0.5 * best, x, y, scale)
    total = best + second
    return Joint(
        0.5 * total,
        (best * x + second * second_x) / total,
        (best * y + second * second_y) / total,
        (best * scale + second * second_scale) / total,
    )
