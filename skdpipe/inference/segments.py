"""From the probabilities of overlapping windows to segments.

Time is divided into steps as long as the distance of two windows. The probabilities of a step are the mean
over all windows that contain it; a window has the most weight in the steps at its middle. A label begins where its probability reaches a threshold, and ends where it
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
    """

    begin: float
    hysteresis: float


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
    weight: float = 0.0

    def add(self, probabilities: Probabilities, weight: float) -> None:
        self.total = self.total + weight * probabilities
        self.weight += weight


@dataclass
class _Open:
    """A segment that has not ended."""

    presence: Presence
    choice: int | Reason
    end: float
    probabilities: list[float] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)


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
        self._open: _Open | None = None
        self._label: int | None = None

    def add_window(self, probabilities: Probabilities | None) -> None:
        """Add the probabilities ``(class,)`` of the next window; None if there are none."""
        while len(self._steps) < self._overlap:
            self._steps.append(_Step(np.zeros(len(self._classes))))
        if probabilities is not None:
            for number, step in enumerate(self._steps):
                step.add(probabilities, min(number + 1, self._overlap - number))

    def end_step(self, presence: Presence | None, reason: Reason | None = None) -> list[Segment]:
        """End the first step that has not ended, to which no further window belongs.

        Args:
            presence: of the person; None ends the segment and begins none.
            reason: why the step has no label whatever the probabilities are.

        Returns:
            The segment that ends with it, if any.
        """
        step = self._steps.popleft() if self._steps else _Step(np.zeros(len(self._classes)))
        if presence is None:
            self._label = None
            return self.close()
        choice: int | Reason
        choice, probability = reason or _TOO_LITTLE, 0.0
        if reason is None and step.weight:
            mean = step.total / step.weight
            choice = self._choose(mean)
            probability = float(mean[choice] if isinstance(choice, int) else mean.max())
        else:
            self._label = None
        ended = []
        if self._open is not None and (
            self._open.choice != choice or presence.start > self._open.end + _ROUNDING
        ):
            ended = self.close()
        if self._open is None:
            self._open = _Open(presence, choice, presence.end)
        self._open.end = presence.end
        self._open.probabilities.append(probability)
        if presence.box is not None:
            self._open.boxes.append(presence.box)
        return ended

    def close(self) -> list[Segment]:
        """End the segment, if there is one."""
        if self._open is None:
            return []
        found, self._open = self._open, None
        label = self._classes[found.choice] if isinstance(found.choice, int) else None
        left, top, right, bottom = np.median(found.boxes, axis=0).tolist() if found.boxes else [0.0] * 4
        return [
            Segment(
                found.presence.start,
                found.end,
                label,
                float(np.mean(found.probabilities)),
                self._person,
                (left, top, right, bottom) if found.boxes else None,
                None if isinstance(found.choice, int) else found.choice,
            )
        ]

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
