"""The growth of a person from one joint along the associations, in OpenPifPaf's decoder."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from math import sqrt
from typing import Final

from skdpipe.pose.openpifpaf.associations import SKELETON, Associations, Joint
from skdpipe.skeleton import COCO_17

COPIED: Final = 1e-5  # confidence of a joint that is a copy of its neighbour

Person = dict[int, Joint]
"""The joints that are known by their index."""
Frontier = list[tuple[float, int, Joint | None]]
"""A heap of connections to missing joints: negative confidence, connection, its end if it is known."""

_ENDS: Final = tuple(ends for first, second in SKELETON for ends in ((first, second), (second, first)))
"""Start and end of each connection."""
_FROM: Final = tuple(
    tuple((connection, end) for connection, (start, end) in enumerate(_ENDS) if start == joint)
    for joint in range(len(COCO_17))
)
"""For each joint the connections that start there, and their ends."""


@dataclass(frozen=True)
class Growth:
    """The rules by which the missing joints of a person are searched for.

    Attributes:
        associations: the candidates of all connections.
        frame: index of the frame.
        keypoint: lowest confidence of a joint.
        relative: lowest confidence of a joint relative to that of its neighbour.
        sigmas: see `Associations.connect`.
        both_ways: whether the connection back from a joint must lead to its neighbour.
    """

    associations: Associations
    frame: int
    keypoint: float = 0.0
    relative: float = 0.0
    sigmas: float = 1.0
    both_ways: bool = True

    def extend(self, person: Person) -> None:
        """Add the missing joints that can be reached, the most confident first.

        The end of a connection is searched for when no other connection in the frontier can be more
        confident: its confidence is at most the root of the confidence of its start.
        """
        frontier: Frontier = []
        for index, joint in person.items():
            _push_connections(frontier, person, index, sqrt(joint.confidence))
        while frontier:
            _, connection, found = heappop(frontier)
            start, end = _ENDS[connection]
            if end in person:
                continue
            if found is None:
                found = self._search(person[start], connection)
                if found is not None:
                    heappush(frontier, (-found.confidence, connection, found))
            else:
                person[end] = found
                _push_connections(frontier, person, end, sqrt(found.confidence))

    def _search(self, start: Joint, connection: int) -> Joint | None:
        """The joint at the end of a connection, or None."""
        end = self.associations.connect(self.frame, connection, start, self.sigmas)
        if end is None:
            return None
        confidence = sqrt(end.confidence * start.confidence)
        if confidence < self.keypoint or confidence < self.relative * start.confidence:
            return None
        if self.both_ways:
            back = self.associations.connect(self.frame, connection ^ 1, end, self.sigmas)
            if back is None or abs(start.x - back.x) + abs(start.y - back.y) > start.scale:
                return None
        return Joint(confidence, *end[1:])


def copy_neighbours(person: Person) -> None:
    """Put each joint that is still missing at the place of its most confident neighbour."""
    frontier: Frontier = []
    for index, joint in person.items():
        _push_connections(frontier, person, index, joint.confidence)
    while frontier:
        _, connection, _ = heappop(frontier)
        start, end = _ENDS[connection]
        if end not in person:
            person[end] = Joint(COPIED, *person[start][1:])
            _push_connections(frontier, person, end, COPIED)


def _push_connections(frontier: Frontier, person: Person, start: int, bound: float) -> None:
    """Add the connections from a joint to missing joints, whose confidence is at most ``bound``."""
    for connection, end in _FROM[start]:
        if end not in person:
            heappush(frontier, (-bound, connection, None))
