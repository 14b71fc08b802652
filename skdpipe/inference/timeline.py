"""The labels of footage: segments, which have a start, an end, and a label or the reason for none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Reason = Literal["no person", "too little seen", "unsure"]
"""Why a segment has no label: nobody is in view, a person is seen in too few frames, or no label is probable
enough."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""


@dataclass(frozen=True)
class Segment:
    """A part of footage with one label.

    Attributes:
        start, end: seconds since the first frame of the footage.
        label: a class of the student; None if there is a reason for none.
        probability: calibrated probability of the label, the mean over the segment; without a label that of
            the most probable one, 0 if there was none.
        person: number of the person's track; None if people are labelled together, or nobody is there.
        box: of the person, the median over the segment; None without a person.
        reason: why there is no label; None with a label.
    """

    start: float
    end: float
    label: str | None
    probability: float
    person: int | None = None
    box: Box | None = None
    reason: Reason | None = None

    @property
    def text(self) -> str:
        """The label, or the reason for none."""
        return self.label or self.reason or ""


@dataclass(frozen=True, eq=False)
class Scores:
    """The probabilities of one window.

    Attributes:
        start, end: of the window, in seconds.
        person: number of the person's track; None if people are labelled together.
        probabilities: ``(class,)``, calibrated.
    """

    start: float
    end: float
    person: int | None
    probabilities: NDArray[np.float64]


@dataclass(frozen=True)
class Span:
    """When a person is in view.

    Attributes:
        person: number of the track.
        start, end: seconds of the first and the last detection.
        frames: number of frames with a detection.
    """

    person: int
    start: float
    end: float
    frames: int


@dataclass(frozen=True)
class Timeline:
    """The labels of footage over time.

    Attributes:
        source: path or address of the footage.
        seconds: its length.
        size: width and height of its frames in pixels.
        segments: by start; those of one person, or of all together, do not overlap.
        people: who was in view, by number.
        frames: number of frames on which the estimator ran.
    """

    source: str
    seconds: float
    size: tuple[int, int]
    segments: tuple[Segment, ...]
    people: tuple[Span, ...]
    frames: int
