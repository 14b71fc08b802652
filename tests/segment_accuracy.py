"""How well the segments found in footage agree with true ones: who does what, when.

Truth is a `Timeline` too. A true segment with a label is an action; one without is a stretch in which
somebody is in view and does nothing that has a label; where nobody is in view there is no true segment, or
one with the reason ``no person``. The boxes of segments distinguish people; a found segment without a box,
for instance of a whole picture, is at everybody's place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.inference.timeline import Box, Segment, Timeline
from skdpipe.skeleton.people import assign

STEP: Final = 0.1
"""Seconds between two times at which labels are compared."""


@dataclass(frozen=True)
class SegmentAccuracy:
    """Agreement of found segments with true ones; those of several pieces of footage can be added.

    Attributes:
        true, found, matched: number of labelled segments, and of pairs of both.
        labelled: seconds in which true people have a label, summed over the people. Of these:
        right: the found label is the true one; unsure: there is none.
        idle, idle_labelled: seconds in which true people have no label, and in which one is found for them.
        empty, empty_labelled: seconds in which nobody is in view, and in which a label is found.
        people, switches: number of true people with a number, and how often the found number of a person
            changes.
    """

    true: int = 0
    found: int = 0
    matched: int = 0
    labelled: float = 0.0
    right: float = 0.0
    unsure: float = 0.0
    idle: float = 0.0
    idle_labelled: float = 0.0
    empty: float = 0.0
    empty_labelled: float = 0.0
    people: int = 0
    switches: int = 0

    def __add__(self, other: SegmentAccuracy) -> SegmentAccuracy:
        return SegmentAccuracy(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def f1(self) -> float:
        """Segmental F1: 2 matched / (true + found)."""
        return _share(2 * self.matched, self.true + self.found)

    @property
    def precision(self) -> float:
        """Share of the found segments that match a true one."""
        return _share(self.matched, self.found)

    @property
    def recall(self) -> float:
        """Share of the true segments that match a found one."""
        return _share(self.matched, self.true)

    @property
    def frame_accuracy(self) -> float:
        """Share of the labelled time of all people with the right label."""
        return _share(self.right, self.labelled)

    @property
    def unsure_share(self) -> float:
        """Share of the labelled time of all people without a label."""
        return _share(self.unsure, self.labelled)

    @property
    def idle_share(self) -> float:
        """Share of the idle time with a label, which is false."""
        return _share(self.idle_labelled, self.idle)

    @property
    def empty_share(self) -> float:
        """Share of the time without anybody with a label, which is false."""
        return _share(self.empty_labelled, self.empty)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def measure_segments(truth: Timeline, found: Timeline, *, iou: float = 0.5) -> SegmentAccuracy:
    """Compare found segments with true ones.

    The segmental F1 is that of Lea et al., Temporal Convolutional Networks for Action Segmentation and
    Detection, CVPR 2017: segments with the same label match one-to-one if their intersection over union in
    time is at least ``iou``; here also their boxes must overlap. Unlabelled segments are no class.

    Args:
        truth: the true segments.
        found: the segments to be measured.
        iou: least intersection over union of a match.
    """
    true, other = (
        [each for each in timeline.segments if each.label is not None] for timeline in (truth, found)
    )
    shares = np.array([[_agreement(a, b) for b in other] for a in true]).reshape(len(true), len(other))
    matched = len(_match(np.where(shares >= iou, shares, 0)))
    return SegmentAccuracy(len(true), len(other), matched) + _compare_over_time(truth, found)


def _agreement(true: Segment, found: Segment) -> float:
    """Intersection over union in time; 0 with another label or at another place."""
    if true.label != found.label or _box_overlap(true.box, found.box) == 0:
        return 0.0
    both = min(true.end, found.end) - max(true.start, found.start)
    either = max(true.end, found.end) - min(true.start, found.start)
    return max(0.0, both) / either if either > 0 else 0.0


def _match(shares: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs of row and column with a share above 0, the greatest first; each row and column once."""
    free = shares.copy()
    pairs = []
    while free.size and free.max() > 0:
        row, column = (int(index) for index in np.unravel_index(free.argmax(), free.shape))
        pairs.append((row, column))
        free[row], free[:, column] = 0, 0
    return pairs


def _box_overlap(one: Box | None, other: Box | None) -> float:
    """Intersection over union of the areas; 1 if one of the boxes is not known."""
    if one is None or other is None:
        return 1.0
    (l1, t1, r1, b1), (l2, t2, r2, b2) = one, other
    both = max(0.0, min(r1, r2) - max(l1, l2)) * max(0.0, min(b1, b2) - max(t1, t2))
    return both / ((r1 - l1) * (b1 - t1) + (r2 - l2) * (b2 - t2) - both) if both else 0.0


def _compare_over_time(truth: Timeline, found: Timeline) -> SegmentAccuracy:
    sums = dict.fromkeys(
        ("labelled", "right", "unsure", "idle", "idle_labelled", "empty", "empty_labelled"), 0
    )
    numbers: dict[int, list[int]] = {each.person: [] for each in truth.segments if each.person is not None}
    steps = round(truth.seconds / STEP)
    for time in (np.arange(steps) + 0.5) * STEP:
        present = [each for each in _at(truth.segments, time) if each.reason != "no person"]
        here = _at(found.segments, time)
        if not present:
            sums["empty"] += 1
            sums["empty_labelled"] += any(each.label is not None for each in here)
        for true, match in zip(present, _matches(present, here), strict=True):
            label = match.label if match else None
            if true.label is None:
                sums["idle"] += 1
                sums["idle_labelled"] += label is not None
            else:
                sums["labelled"] += 1
                sums["right"] += label == true.label
                sums["unsure"] += label is None
            if true.person is not None and match and match.person is not None:
                numbers[true.person].append(match.person)
    switches = sum(int(np.count_nonzero(np.diff(each))) for each in numbers.values())
    return SegmentAccuracy(
        **{name: steps * STEP for name, steps in sums.items()}, people=len(numbers), switches=switches
    )


def _at(segments: Iterable[Segment], time: float) -> list[Segment]:
    return [each for each in segments if each.start <= time < each.end]


def _matches(true: Sequence[Segment], found: Sequence[Segment]) -> list[Segment | None]:
    """For each true segment of a moment the found one at its place; without boxes, best one of its label."""
    scores = np.array(
        [
            [
                _box_overlap(a.box, b.box) + (a.label == b.label and (a.box is None or b.box is None))
                for b in found
            ]
            for a in true
        ],
        float,
    ).reshape(len(true), len(found))
    of_row = {row: found[column] for row, column in assign(scores)}
    return [of_row.get(row) for row in range(len(true))]


def delays(truth: Timeline, given: Sequence[Segment], *, grace: float) -> list[float | None]:
    """Seconds from the true start of each action until its label is given for the first time.

    Args:
        truth: the true segments.
        given: labels of windows, each given at the window's end.
        grace: seconds after the end of an action within which its label still counts, the length of a window:
            the last window that contains some of the action ends then.

    Returns:
        A number for each labelled true segment; None if its label was never given.
    """
    found: list[float | None] = []
    for true in truth.segments:
        if true.label is not None:
            ends = [
                each.end
                for each in given
                if each.label == true.label
                and true.start < each.end <= true.end + grace
                and _box_overlap(true.box, each.box) > 0
            ]
            found.append(min(ends) - true.start if ends else None)
    return found
