"""Decoding of OpenPifPaf's fields into people, with numpy alone.

The algorithm is that of ``openpifpaf.decoder.CifCaf`` of OpenPifPaf 0.13 (Kreiss et al., "OpenPifPaf:
Composite Fields for Semantic Keypoint Detection and Spatio-Temporal Association", IEEE T-ITS 2021), with the
same result except where two scores are equal. A person starts at a seed, a confident joint, and grows along
the associations, the most confident first.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.config import Thresholds
from skdpipe.pose.openpifpaf.associations import SKELETON, Associations, Joint
from skdpipe.pose.openpifpaf.growth import Growth, Person, copy_neighbours
from skdpipe.pose.openpifpaf.joint_map import Cells, Floats, Indices, JointMap
from skdpipe.skeleton import COCO_17, UNSEEN, Keypoints

_MAP_SHARE: Final = 0.9  # of the joint map in a seed's confidence; the rest is the cell's
_RELATIVE_KEYPOINT: Final = 0.5  # lowest confidence of a joint relative to that of its neighbour
_LOWEST_CAF: Final = 0.001  # replaces the threshold of the associations when people are completed
_WIDE_REACH: Final = 4.0  # standard deviations, likewise
_SUPPRESSED: Final = 1e-5  # factor of the confidence of a joint that is at the place of another person's
_OCCUPANCY_CELL: Final = 2  # pixels
_SMALLEST_BOX: Final = 4.0  # pixels, half of the side
_JOINT_WEIGHTS: Final = np.array([3.0] * 3 + [1.0] * 14) / 23  # of confidences in descending order
_MAP_PIXELS: Final = 2**22  # of the joint maps of the frames that are decoded together; bounds the memory

Box = tuple[int, int, int, int]  # first column, end of the columns, first row, end of the rows


def decode(cif: Floats, caf: Floats, stride: int, thresholds: Thresholds) -> list[Keypoints]:
    """The people in the fields of a batch of frames.

    The components of the fields are width (not used), confidence, points in grid cells, and scales.

    Args:
        cif: ``(frame, 17, 5, row, column)``, the intensity fields.
        caf: ``(frame, 19, 8, row, column)``, the association fields.
        stride: pixels of the input image per grid cell.
        thresholds: thresholds of the decoder.

    Returns:
        For each frame the people, ``(person, joint, 3)`` in pixels of the input image, highest score first.
    """
    frames, joints, _, rows, columns = cif.shape
    together = max(1, _MAP_PIXELS // (joints * rows * columns * stride**2))
    people: list[Keypoints] = []
    for first in range(0, frames, together):
        part = slice(first, first + together)
        people += _decode_together(cif[part], caf[part], stride, thresholds)
    return people


def _decode_together(cif: Floats, caf: Floats, stride: int, thresholds: Thresholds) -> list[Keypoints]:
    joint_map = JointMap.accumulate(cif, stride, thresholds.cif)
    associations = Associations.score(caf, stride, joint_map, thresholds.caf)
    keypoint, relative = (0.0, 0.0) if thresholds.complete else (thresholds.keypoint, _RELATIVE_KEYPOINT)
    grid = _OccupancyGrid(joint_map.size)
    frames = [
        _grow_people(seeds, Growth(associations, frame, keypoint, relative), grid)
        for frame, seeds in enumerate(_find_seeds(cif, stride, joint_map, thresholds.seed))
    ]
    if thresholds.complete:
        _complete(frames, caf, stride, joint_map)
    return [_to_keypoints(people, keypoint, thresholds.instance, grid) for people in frames]


def _complete(frames: list[list[Person]], caf: Floats, stride: int, joint_map: JointMap) -> None:
    """Add all missing joints of all people, with a low threshold and a wide reach of the associations."""
    missing = [
        [any(first not in person or second not in person for person in people) for first, second in SKELETON]
        for people in frames
    ]
    associations = Associations.score(caf, stride, joint_map, _LOWEST_CAF, only=np.array(missing))
    for frame, people in enumerate(frames):
        growth = Growth(associations, frame, sigmas=_WIDE_REACH, both_ways=False)
        for person in people:
            growth.extend(person)
            copy_neighbours(person)


@dataclass(frozen=True)
class _Seeds:
    """The joints of a frame from which people can start, the most confident first.

    Attributes:
        index: ``(seed,)``, index of the joint.
        joints: ``(seed, 4)``, see `Joint`.
    """

    index: Indices
    joints: Floats


def _find_seeds(cif: Floats, stride: int, joint_map: JointMap, threshold: float) -> list[_Seeds]:
    """The seeds of each frame."""
    cells = Cells.over(threshold, cif)
    confidence, (x, y, scale) = cells.components[1], cells.components[2:] * stride
    mapped = joint_map.at(cells.frame, cells.field, x, y)
    confidence = (_MAP_SHARE * mapped + (1 - _MAP_SHARE) * confidence).astype(np.float32)
    kept = np.flatnonzero((mapped > 0) & (confidence >= threshold))
    kept = kept[np.lexsort((-confidence[kept], cells.frame[kept]))]
    index, joints = cells.field[kept], np.stack([confidence, x, y, scale], axis=1)[kept]
    bounds = np.searchsorted(cells.frame[kept], np.arange(len(cif) + 1)).tolist()
    return [_Seeds(index[low:high], joints[low:high]) for low, high in pairwise(bounds)]


class _OccupancyGrid:
    """The cells of two by two pixels in which the places of joints are compared.

    Args:
        size: height and width of the input image.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._rows, self._columns = (side // _OCCUPANCY_CELL + 1 for side in size)

    def cells(self, joints: Floats) -> tuple[Indices, Indices]:
        """Column and row of joints ``(joint, 4)``; those of the nearest cell if outside of the image."""
        column, row = (joints[:, 1:3].T / _OCCUPANCY_CELL).astype(np.intp)
        return np.clip(column, 0, self._columns - 1), np.clip(row, 0, self._rows - 1)

    def is_inside(self, joint: Joint, boxes: list[Box]) -> bool:
        """Whether the cell of a joint is inside of a box."""
        column = _clip(int(joint.x / _OCCUPANCY_CELL), 0, self._columns - 1)
        row = _clip(int(joint.y / _OCCUPANCY_CELL), 0, self._rows - 1)
        return any(left <= column < right and top <= row < bottom for left, right, top, bottom in boxes)

    def box(self, joint: Joint) -> Box:
        """The cells that a joint occupies."""
        x, y = joint.x / _OCCUPANCY_CELL, joint.y / _OCCUPANCY_CELL
        reach = max(_SMALLEST_BOX, joint.scale) / _OCCUPANCY_CELL
        left, top = _clip(int(x - reach), 0, self._columns - 1), _clip(int(y - reach), 0, self._rows - 1)
        right = _clip(int(x + reach), left + 1, self._columns)
        bottom = _clip(int(y + reach), top + 1, self._rows)
        return left, right, top, bottom


def _clip(value: int, low: int, high: int) -> int:
    return low if value < low else high if value > high else value


def _grow_people(seeds: _Seeds, growth: Growth, grid: _OccupancyGrid) -> list[Person]:
    """Grow a person from each seed whose place is not occupied by the same joint of a previous person."""
    people: list[Person] = []
    column, row = grid.cells(seeds.joints)
    free: NDArray[np.bool_] = np.ones(len(column), np.bool_)
    while free.any():
        first = int(free.argmax())
        person = {int(seeds.index[first]): Joint(*seeds.joints[first].tolist())}
        growth.extend(person)
        people.append(person)
        boxes = np.zeros((len(COCO_17), 4), np.intp)
        boxes[list(person)] = [grid.box(joint) for joint in person.values()]
        left, right, top, bottom = boxes[seeds.index].T
        free &= (column < left) | (column >= right) | (row < top) | (row >= bottom)
        free[first] = False
    return people


def _suppress(people: list[Person], keypoint: float, grid: _OccupancyGrid) -> list[Person]:
    """Suppress each joint at a place that is occupied by the same joint of a previous person.

    Joints whose confidence is not above ``keypoint`` are removed.
    """
    occupied: list[list[Box]] = [[] for _ in range(len(COCO_17))]
    remaining = []
    for person in people:
        kept: Person = {}
        for index, joint in person.items():
            if grid.is_inside(joint, occupied[index]):
                joint = joint._replace(confidence=joint.confidence * _SUPPRESSED)
            else:
                occupied[index].append(grid.box(joint))
            if joint.confidence > keypoint:
                kept[index] = joint
        remaining.append(kept)
    return remaining


def _confident(people: list[Person], instance: float) -> list[Person]:
    """The people whose mean confidence is at least ``instance``, highest first."""
    confident = [person for person in people if _mean_confidence(person) >= instance]
    return sorted(confident, key=_mean_confidence, reverse=True)


def _mean_confidence(person: Person) -> float:
    return sum(joint.confidence for joint in person.values()) / len(COCO_17)


def _to_keypoints(people: list[Person], keypoint: float, instance: float, grid: _OccupancyGrid) -> Keypoints:
    """The people who remain after suppression, highest score first: ``(person, joint, 3)``.

    The score is a mean confidence in which the three most confident joints have a higher weight. Both means
    must be at least ``instance``.
    """
    people = _confident(_suppress(_confident(people, instance), keypoint, grid), instance)
    keypoints = np.broadcast_to(UNSEEN, (len(people), len(COCO_17), 3)).copy()
    for row, person in zip(keypoints, people, strict=True):
        for index, joint in person.items():
            row[index] = joint.x, joint.y, joint.confidence
    scores = np.sort(keypoints[..., 2], axis=1)[:, ::-1] @ _JOINT_WEIGHTS
    order = np.argsort(-scores, kind="stable")
    keypoints = keypoints[order[scores[order] >= instance]]
    keypoints[..., 2] = np.minimum(keypoints[..., 2], 1)
    return keypoints
