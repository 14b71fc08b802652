"""Decoding of OpenPifPaf's fields into people, with numpy alone.

The algorithm is that of ``openpifpaf.decoder.CifCaf`` of OpenPifPaf 0.13: Kreiss et al., "OpenPifPaf: Composite
Fields for Semantic Keypoint Detection and Spatio-Temporal Association", IEEE T-ITS 2021, section III-C.
A person starts at a seed, a confident joint, and grows along the associations, the most confident first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import count, pairwise
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.config import Thresholds
from skdpipe.pose.openpifpaf.associations import SKELETON, Associations, Joint
from skdpipe.pose.openpifpaf.joint_map import Cells, Floats, Indices, JointMap
from skdpipe.skeleton import COCO_17, UNSEEN, Keypoints

_MAP_SHARE: Final = 0.9  # of the joint map in a seed's confidence; the rest is the cell's
_RELATIVE_KEYPOINT: Final = 0.5  # lowest confidence of a joint relative to that of its neighbour
_LOWEST_CAF: Final = 0.001  # replaces the threshold of the associations when people are completed
_WIDE_REACH: Final = 4.0  # standard deviations, likewise
_SUPPRESSED: Final = 1e-5  # factor of a suppressed joint's confidence, and confidence of a copied joint
_OCCUPANCY_CELL: Final = 2  # pixels
_SMALLEST_BOX: Final = 4.0  # pixels, half of the side
_JOINT_WEIGHTS: Final = np.array([3.0] * 3 + [1.0] * 14) / 23  # of confidences in descending order
_MAP_PIXELS: Final = 2**22  # of the joint maps of the frames that are decoded together; bounds the memory

Person = list[Joint | None]
Connect = Callable[[int, Joint, float], Joint | None]


def _neighbours() -> tuple[tuple[tuple[int, int], ...], ...]:
    """For each joint the joints with which it is associated, and the connections to them."""
    return tuple(
        tuple(
            (ends[1 - side], 2 * association + side)
            for association, ends in enumerate(SKELETON)
            for side in (0, 1)
            if ends[side] == joint
        )
        for joint in range(len(COCO_17))
    )


_NEIGHBOURS: Final = _neighbours()


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
    seeds = _find_seeds(cif, stride, joint_map, thresholds.seed)
    associations = Associations.score(caf, stride, joint_map, thresholds.caf)
    keypoint, relative = (0.0, 0.0) if thresholds.complete else (thresholds.keypoint, _RELATIVE_KEYPOINT)
    grid = _OccupancyGrid(joint_map.size)
    frames = [
        _grow_people(frame_seeds, _Growth(partial(associations.connect, frame), keypoint, relative), grid)
        for frame, frame_seeds in enumerate(seeds)
    ]
    if thresholds.complete:
        missing = np.array([[_is_missing(people, *ends) for ends in SKELETON] for people in frames])
        associations = Associations.score(caf, stride, joint_map, _LOWEST_CAF, only=missing)
        for frame, people in enumerate(frames):
            growth = _Growth(partial(associations.connect, frame), sigmas=_WIDE_REACH, both_ways=False)
            for person in people:
                growth.extend(person)
                _copy_neighbours(person)
    return [_to_keypoints(_suppress(people, keypoint, grid), thresholds.instance) for people in frames]


def _is_missing(people: list[Person], first: int, second: int) -> bool:
    """Whether a person lacks one of two joints."""
    return any(person[first] is None or person[second] is None for person in people)


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


@dataclass(frozen=True)
class _Growth:
    """How a person grows: the joints that are still missing are searched for along the connections.

    Attributes:
        connect: finds the end of a connection; see `Associations.connect`.
        keypoint: lowest confidence of a joint.
        relative: lowest confidence of a joint relative to that of its neighbour.
        sigmas: see `Associations.connect`.
        both_ways: whether the connection back from the found joint must lead to the joint.
    """

    connect: Connect
    keypoint: float = 0.0
    relative: float = 0.0
    sigmas: float = 1.0
    both_ways: bool = True

    def extend(self, person: Person) -> None:
        """Add the missing joints that can be reached, the most confident first.

        A frontier contains connections to missing joints. The end of a connection is searched for when no
        other connection can be more confident: its confidence is at most the root of that of its start.
        """
        frontier: list[tuple[float, int, int, int, int, Joint | None]] = []
        numbers = count()

        def push_connections(start: int, joint: Joint) -> None:
            bound = -sqrt(joint.confidence)
            for end, connection in _NEIGHBOURS[start]:
                if person[end] is None:
                    heappush(frontier, (bound, next(numbers), start, end, connection, None))

        for start, joint in enumerate(person):
            if joint is not None:
                push_connections(start, joint)
        while frontier:
            _, _, start, end, connection, found = heappop(frontier)
            if person[end] is not None:
                continue
            if found is None:
                found = self._search(person[start], connection)
                if found is not None:
                    heappush(frontier, (-found.confidence, next(numbers), start, end, connection, found))
            else:
                person[end] = found
                push_connections(end, found)

    def _search(self, start: Joint, connection: int) -> Joint | None:
        """The joint at the end of a connection, or None."""
        end = self.connect(connection, start, self.sigmas)
        if end is None:
            return None
        confidence = sqrt(end.confidence * start.confidence)
        if confidence < self.keypoint or confidence < self.relative * start.confidence:
            return None
        if self.both_ways:
            back = self.connect(connection ^ 1, end, self.sigmas)
            if back is None or abs(start.x - back.x) + abs(start.y - back.y) > start.scale:
                return None
        return Joint(confidence, *end[1:])


def _copy_neighbours(person: Person) -> None:
    """Put each joint that is still missing at the place of its most confident neighbour."""
    numbers = count()
    frontier: list[tuple[float, int, int, int]] = []

    def push_connections(start: int, joint: Joint) -> None:
        for end, _ in _NEIGHBOURS[start]:
            if person[end] is None:
                heappush(frontier, (-joint.confidence, next(numbers), start, end))

    for start, joint in enumerate(person):
        if joint is not None:
            push_connections(start, joint)
    while frontier:
        _, _, start, end = heappop(frontier)
        joint = person[start]
        if person[end] is None and joint is not None:
            person[end] = copied = joint._replace(confidence=_SUPPRESSED)
            push_connections(end, copied)


class _OccupancyGrid:
    """The cells of two by two pixels in which the places of joints are compared.

    Args:
        size: height and width of the input image.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.rows, self.columns = (side // _OCCUPANCY_CELL + 1 for side in size)

    def cell(self, joint: Joint) -> tuple[int, int]:
        """Column and row of a joint; those of the nearest cell if it is outside of the image."""
        column, row = int(joint.x / _OCCUPANCY_CELL), int(joint.y / _OCCUPANCY_CELL)
        return _clip(column, 0, self.columns - 1), _clip(row, 0, self.rows - 1)

    def box(self, joint: Joint) -> tuple[int, int, int, int]:
        """The cells that a joint occupies: first column, end of the columns, first row, end of the rows."""
        x, y = joint.x / _OCCUPANCY_CELL, joint.y / _OCCUPANCY_CELL
        reach = max(_SMALLEST_BOX, joint.scale) / _OCCUPANCY_CELL
        left, top = _clip(int(x - reach), 0, self.columns - 1), _clip(int(y - reach), 0, self.rows - 1)
        right = _clip(int(x + reach), left + 1, self.columns)
        bottom = _clip(int(y + reach), top + 1, self.rows)
        return left, right, top, bottom


def _clip(value: int, low: int, high: int) -> int:
    return low if value < low else high if value > high else value


def _grow_people(seeds: _Seeds, growth: _Growth, grid: _OccupancyGrid) -> list[Person]:
    """Grow a person from each seed whose place no other person's joint occupies."""
    people = []
    column, row = (
        np.clip((seeds.joints[:, axis] / _OCCUPANCY_CELL).astype(np.intp), 0, length - 1)
        for axis, length in ((1, grid.columns), (2, grid.rows))
    )
    free: NDArray[np.bool_] = np.ones(len(seeds.index), np.bool_)
    while free.any():
        first = int(free.argmax())
        person: Person = [None] * len(COCO_17)
        person[int(seeds.index[first])] = Joint(*seeds.joints[first].tolist())
        growth.extend(person)
        people.append(person)
        boxes = np.array([(0, 0, 0, 0) if joint is None else grid.box(joint) for joint in person])
        left, right, top, bottom = boxes[seeds.index].T
        free &= (column < left) | (column >= right) | (row < top) | (row >= bottom)
        free[first] = False
    return people


def _suppress(people: list[Person], keypoint: float, grid: _OccupancyGrid) -> list[Person]:
    """Suppress joints at the place of the same joint of a person with a higher mean confidence.

    Joints whose confidence is not above ``keypoint`` are removed.
    """
    occupied: list[list[tuple[int, int, int, int]]] = [[] for _ in range(len(COCO_17))]
    remaining = []
    for person in sorted(people, key=_mean_confidence, reverse=True):
        kept: Person = [None] * len(person)
        for index, joint in enumerate(person):
            if joint is None:
                continue
            column, row = grid.cell(joint)
            if any(
                left <= column < right and top <= row < bottom for left, right, top, bottom in occupied[index]
            ):
                joint = joint._replace(confidence=joint.confidence * _SUPPRESSED)
            else:
                occupied[index].append(grid.box(joint))
            if joint.confidence > keypoint:
                kept[index] = joint
        remaining.append(kept)
    return remaining


def _mean_confidence(person: Person) -> float:
    return sum(joint.confidence for joint in person if joint is not None) / len(person)


def _to_keypoints(people: list[Person], instance: float) -> Keypoints:
    """People whose confidence is at least ``instance``, by descending score: ``(person, joint, 3)``.

    The mean confidence and the score, in which the three best joints have a higher weight, must be at least
    ``instance``.
    """
    confident = [person for person in people if _mean_confidence(person) >= instance]
    keypoints = np.broadcast_to(UNSEEN, (len(confident), len(COCO_17), 3)).copy()
    for found, person in zip(keypoints, confident, strict=True):
        for index, joint in enumerate(person):
            if joint is not None:
                found[index] = joint.x, joint.y, joint.confidence
    scores = np.sort(keypoints[..., 2], axis=1)[:, ::-1] @ _JOINT_WEIGHTS
    order = np.argsort(-scores, kind="stable")
    ordered = keypoints[order[scores[order] >= instance]]
    ordered[..., 2] = np.minimum(ordered[..., 2], 1)
    return ordered
