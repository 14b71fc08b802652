"""From the probabilities of overlapping windows to segments.

Time is divided into steps as long as the distance of two windows. The probabilities of a step are the mean
over all windows that contain it. A label begins where its probability reaches a threshold, and ends where it
falls below a lower one (hysteresis), or where another label is clearly more probable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.inference.timeline import Box, Reason, Segment

Probabilities = NDArray[np.float64]

_UNSURE: Final[Reason] = "unsure"
_TOO_LITTLE: Final[Reason] = "too little seen"
_ROUNDING: Final = 1e-6  # seconds


@dataclass(frozen=True)
class Thresholds:
    """When a label begins and ends.

    Attributes:
        begin: lowest probability at which a label begins.
        hysteresis: a label ends if its probability is more than this below ``begin``, or if that of another
            label is higher by more than this.
        shortest: seconds; a label that lasts for less is none.
    """

    begin: float
    hysteresis: float
    shortest: float = 0.0


@dataclass(frozen=True)
class Presence:
    """When somebody is in view during a step.

    Attributes:
        start, end: seconds.
        box: of the person, None for people together.
    """

    start: float
    end: float
    box: Box | None = None


@dataclass
class _Step:
    """The probabilities of the windows that contain a step so far."""

    total: Probabilities
    windows: int = 0

    def add(self, probabilities: Probabilities) -> None:
        self.total = self.total + probabilities
        self.windows += 1


@dataclass
class _Part:
    """Steps with one label, or with one reason for none."""

    start: float
    end: float
    choice: int | Reason
    probabilities: list[float] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)

    def continues(self, before: _Part) -> bool:
        return self.choice == before.choice and self.start <= before.end + _ROUNDING

    def add(self, later: _Part) -> None:
        self.end = later.end
        self.probabilities += later.probabilities
        self.boxes += later.boxes


class SegmentBuilder:
    """The segments of one person, or of all together, from windows in the order of their time.

    Args:
        classes: names, in the order of the probabilities.
        person: number of the track; None for all together.
        overlap: number of steps in a window; a window begins with the first step that has not ended.
        thresholds: when a label begins and ends.
    """

    def __init__(
        self, classes: Sequence[str], person: int | None, overlap: int, thresholds: Thresholds
    ) -> None:
        self._classes, self._person, self._thresholds = classes, person, thresholds
        self._overlap = overlap
        self._steps: deque[_Step] = deque()
        self._ended: _Part | None = None  # unsure; the next one may be so too
        self._open: _Part | None = None
        self._label: int | None = None

    def add_window(self, probabilities: Probabilities | None) -> None:
        """Add the probabilities ``(class,)`` of the next window; None if there are none."""
        while len(self._steps) < self._overlap:
            self._steps.append(_Step(np.zeros(len(self._classes))))
        if probabilities is not None:
            for step in self._steps:
                step.add(probabilities)

    def end_step(self, presence: Presence | None, reason: Reason | None = None) -> list[Segment]:
        """End the first step that has not ended, to which no further window belongs.

        Args:
            presence: of the person; None ends the segment and begins none.
            reason: why the step has no label whatever the probabilities are.

        Returns:
            The segments that have ended.
        """
        step = self._steps.popleft() if self._steps else _Step(np.zeros(len(self._classes)))
        if presence is None:
            self._label = None
            return self.close()
        choice: int | Reason
        choice, probability = reason or _TOO_LITTLE, 0.0
        if reason is None and step.windows:
            mean = step.total / step.windows
            choice = self._choose(mean)
            probability = float(mean[choice] if isinstance(choice, int) else mean.max())
        else:
            self._label = None
        boxes = [] if presence.box is None else [presence.box]
        part = _Part(presence.start, presence.end, choice, [probability], boxes)
        if self._open is None or not part.continues(self._open):
            ended = self._end_part()
            self._open = part
            return ended
        self._open.add(part)
        return []

    def close(self) -> list[Segment]:
        """End the segments that have not ended."""
        ended = self._end_part()
        if self._ended is not None:
            ended.append(self._to_segment(self._ended))
            self._ended = None
        return ended

    def _end_part(self) -> list[Segment]:
        """End the open part; if it is unsure, the next one may continue it."""
        part, self._open = self._open, None
        if part is None:
            return []
        if isinstance(part.choice, int) and part.end - part.start < self._thresholds.shortest - _ROUNDING:
            part.choice = _UNSURE
        known = []
        if self._ended is not None and part.continues(self._ended):
            self._ended.add(part)
            part = self._ended
        elif self._ended is not None:
            known = [self._to_segment(self._ended)]
        self._ended = part if part.choice == _UNSURE else None
        return known if self._ended else [*known, self._to_segment(part)]

    def _to_segment(self, part: _Part) -> Segment:
        left, top, right, bottom = np.median(part.boxes, axis=0).tolist() if part.boxes else [0.0] * 4
        return Segment(
            part.start,
            part.end,
            self._classes[part.choice] if isinstance(part.choice, int) else None,
            float(np.mean(part.probabilities)),
            self._person,
            (left, top, right, bottom) if part.boxes else None,
            None if isinstance(part.choice, int) else part.choice,
        )

    def _choose(self, mean: Probabilities) -> int | Reason:
        best, begin, hysteresis = int(mean.argmax()), self._thresholds.begin, self._thresholds.hysteresis
        current = self._label
        keeps = (
            current is not None
            and mean[current] >= begin - hysteresis
            and mean[best] - mean[current] <= hysteresis
        )
        if not keeps:
            self._label = best if mean[best] >= begin else None
        return _UNSURE if self._label is None else self._label
