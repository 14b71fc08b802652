"""Decoding of OpenPifPaf's fields into people, with numpy alone.

The algorithm is that of `openpifpaf.decoder.CifCaf` of OpenPifPaf 0.13: Kreiss et al., "OpenPifPaf: Composite
Fields for Semantic Keypoint Detection and Spatio-Temporal Association", IEEE T-ITS 2021, section III-C.
A person starts at a seed, a confident joint, and grows along the associations, the most confident first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from functools import partial
from itertools import count
from math import sqrt
from typing import Final

import numpy as np

from skdpipe.config import Thresholds
from skdpipe.pose.openpifpaf.associations import SKELETON, Associations, Candidates, Joint
from skdpipe.pose.openpifpaf.joint_map import Cells, Floats, JointMap
from skdpipe.skeleton import COCO_17, UNSEEN, Keypoints

_RELATIVE_KEYPOINT: Final = 0.5  # lowest confidence of a joint relative to that of its neighbour
_LOWEST_CAF: Final = 0.001  # replaces the threshold of the associations when people are completed
_WIDE_REACH: Final = 4.0  # standard deviations, likewise
_SUPPRESSED: Final = 1e-5  # factor of a suppressed joint's confidence, and confidence of a copied joint
_JOINT_WEIGHTS: Final = np.array([3.0] * 3 + [1.0] * 14) / 23  # of confidences in descending order
_MAP_SHARE: Final = 0.9  # of the joint map in a seed's confidence; the rest is the cell's
_OCCUPANCY_CELL: Final = 2  # pixels
_SMALLEST_BOX: Final = 4.0  # pixels, half of the side
_MAP_PIXELS: Final = 2**22  # of the joint maps of the frames that are decoded together; bounds the memory

Person = list[Joint | None]
Seed = tuple[int, Joint]


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
    size = joint_map.size
    frames = [
        _grow_people(frame_seeds, _Growth(partial(associations.of, frame), keypoint, relative), size)
        for frame, frame_seeds in enumerate(seeds)
    ]
    if thresholds.complete:
        associations = Associations.score(caf, stride, joint_map, _LOWEST_CAF)
        for frame, people in enumerate(frames):
            growth = _Growth(partial(associations.of, frame), sigmas=_WIDE_REACH, both_ways=False)
            for person in people:
                growth.extend(person)
                _copy_neighbours(person)
    return [_to_keypoints(_suppress(people, keypoint, size), thresholds.instance) for people in frames]


def _find_seeds(cif: Floats, stride: int, joint_map: JointMap, threshold: float) -> list[list[Seed]]:
    """For each frame the joints from which people can start, the most confident first."""
    cells = Cells.over(threshold, cif)
    confidence, (x, y, scale) = cells.components[1], cells.components[2:] * stride
    mapped = joint_map.at(cells.frame, cells.field, x, y)
    confidence = (_MAP_SHARE * mapped + (1 - _MAP_SHARE) * confidence).astype(np.float32)
    order = np.lexsort((-confidence, cells.frame))
    order = order[((mapped > 0) & (confidence >= threshold))[order]]
    seeds: list[list[Seed]] = [[] for _ in cif]
    found = zip(*(each[order].tolist() for each in (cells.frame, cells.field, confidence, x, y, scale)))
    for frame, joint, *values in found:
        seeds[frame].append((joint, Joint(*values)))
    return seeds


@dataclass(frozen=True)
class _Growth:
    """How a person grows: the joints that are still missing are searched for along the associations.

    Attributes:
        candidates: the candidates of a connection.
        keypoint: lowest confidence of a joint.
        relative: lowest confidence of a joint relative to that of its neighbour.
        sigmas: largest distance of a candidate's start from the joint; see `Candidates.connect`.
        both_ways: whether the connection back from the found joint must lead to the joint.
    """

    candidates: Callable[[int], Candidates]
    keypoint: float = 0.0
    relative: float = 0.0
    sigmas: float = 1.0
    both_ways: bool = True

    def extend(self, person: Person) -> None:
        """Add the missing joints that can be reached, the most confident first.

        A frontier contains connections to missing joints. A connection's joint is searched for when no other
        connection can be more confident: a connection is at most as confident as the root of its start.
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
                found = self._connect(person[start], connection)
                if found is not None:
                    heappush(frontier, (-found.confidence, next(numbers), start, end, connection, found))
            else:
                person[end] = found
                push_connections(end, found)

    def _connect(self, start: Joint, connection: int) -> Joint | None:
        """The joint at the other end of a connection, or None."""
        end = self.candidates(connection).connect(start, self.sigmas)
        if end is None:
            return None
        confidence = sqrt(end.confidence * start.confidence)
        if confidence < self.keypoint or confidence < self.relative * start.confidence:
            return None
        if self.both_ways:
            back = self.candidates(connection ^ 1).connect(end, self.sigmas)
            if back is None or abs(start.x - back.x) + abs(start.y - back.y) > start.scale:
                return None
        return end._replace(confidence=confidence)


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


class _Occupancy:
    """The places that joints occupy: for each joint boxes of cells of two by two pixels.

    Args:
        size: height and width of the input image.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._rows, self._columns = (side // _OCCUPANCY_CELL + 1 for side in size)
        self._boxes: list[list[tuple[int, int, int, int]]] = [[] for _ in range(len(COCO_17))]

    def covers(self, index: int, joint: Joint) -> bool:
        """Whether the place of a joint is occupied by the same joint of another person."""
        column = _clip(int(joint.x / _OCCUPANCY_CELL), 0, self._columns - 1)
        row = _clip(int(joint.y / _OCCUPANCY_CELL), 0, self._rows - 1)
        return any(
            left <= column < right and top <= row < bottom for left, right, top, bottom in self._boxes[index]
        )

    def add(self, index: int, joint: Joint) -> None:
        """Occupy the place of a joint."""
        reach = max(_SMALLEST_BOX, joint.scale) / _OCCUPANCY_CELL
        x, y = joint.x / _OCCUPANCY_CELL, joint.y / _OCCUPANCY_CELL
        left, top = _clip(int(x - reach), 0, self._columns - 1), _clip(int(y - reach), 0, self._rows - 1)
        right = _clip(int(x + reach), left + 1, self._columns)
        bottom = _clip(int(y + reach), top + 1, self._rows)
        self._boxes[index].append((left, right, top, bottom))


def _clip(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


def _grow_people(seeds: list[Seed], growth: _Growth, size: tuple[int, int]) -> list[Person]:
    """Grow a person from each seed whose place is still free."""
    occupancy = _Occupancy(size)
    people = []
    for index, seed in seeds:
        if occupancy.covers(index, seed):
            continue
        person: Person = [None] * len(COCO_17)
        person[index] = seed
        growth.extend(person)
        for each, joint in enumerate(person):
            if joint is not None:
                occupancy.add(each, joint)
        people.append(person)
    return people


def _suppress(people: list[Person], keypoint: float, size: tuple[int, int]) -> list[Person]:
    """Remove joints at the place of the same joint of a person with a higher mean confidence.

    Joints at or below the threshold ``keypoint`` are removed as well.
    """
    occupancy = _Occupancy(size)
    kept = []
    for person in sorted(people, key=_mean_confidence, reverse=True):
        remaining: Person = [None] * len(person)
        for index, joint in enumerate(person):
            if joint is None:
                continue
            if occupancy.covers(index, joint):
                joint = joint._replace(confidence=joint.confidence * _SUPPRESSED)
            else:
                occupancy.add(index, joint)
            if joint.confidence > keypoint:
                remaining[index] = joint
        kept.append(remaining)
    return kept


def _mean_confidence(person: Person) -> float:
    return sum(joint.confidence for joint in person if joint is not None) / len(person)


def _to_keypoints(people: list[Person], instance: float) -> Keypoints:
    """People whose confidence is at least ``instance``, by descending score: ``(person, joint, 3)``.

    The confidence is the mean of the joints; the score has a higher weight for the three best joints.
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
