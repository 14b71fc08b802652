"""How footage is labelled: the length of windows, and when a label begins and ends."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from skdpipe.errors import BundleError, ConfigError
from skdpipe.inference.metadata import BundleMetadata
from skdpipe.inference.segments import Thresholds

_STRIDES_OF_A_WINDOW: Final = 4


@dataclass(frozen=True)
class FootageSettings:
    """How footage is labelled.

    Attributes:
        window: length of a window in seconds; None is that of the student's training clips.
        stride: seconds from one window to the next, rounded so that a window is a whole number of strides;
            None is a quarter of the window.
        min_probability: lowest calibrated probability of a label.
        hysteresis: a label ends if its probability falls further than this below ``min_probability``, or if
            another is more probable by more than this.
        shortest: seconds; a label that lasts for less is none. None is half a window.
        least_seen: lowest share of the frames of a window in which a person must be detected.
        per_person: whether each person gets own labels; if not, the people of a window are one clip.
            None is True for a student of one person, False for a student of several.

    Raises:
        ConfigError: if a value is out of its range.
    """

    window: float | None = None
    stride: float | None = None
    min_probability: float = 0.5
    hysteresis: float = 0.1
    shortest: float | None = None
    least_seen: float = 0.5
    per_person: bool | None = None

    def __post_init__(self) -> None:
        for name, value in (("window", self.window), ("stride", self.stride)):
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"a {name} of {value:g} s; expected more than 0 seconds")
        if self.shortest is not None and not 0 <= self.shortest < math.inf:
            raise ConfigError(f"shortest is {self.shortest:g} s; expected 0 or more seconds")
        for name in ("min_probability", "hysteresis", "least_seen"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name):g}; expected 0 to 1")
        if self.window is not None and self.stride is not None and self.stride > self.window:
            raise ConfigError(
                f"a stride of {self.stride:g} s with windows of {self.window:g} s leaves out frames; "
                "expected at most the length of a window"
            )


@dataclass(frozen=True)
class Windows:
    """The windows of a student: `FootageSettings` with all values.

    Attributes:
        seconds: length of a window.
        overlap: number of strides in a window.
        thresholds: when a label begins and ends.
        least_seen, per_person: as in `FootageSettings`.
    """

    seconds: float
    overlap: int
    thresholds: Thresholds
    least_seen: float
    per_person: bool

    @property
    def stride(self) -> float:
        """Seconds from one window to the next."""
        return self.seconds / self.overlap


def windows_of(metadata: BundleMetadata, settings: FootageSettings) -> Windows:
    """The windows that settings describe for a student.

    Raises:
        BundleError: if the length of a window is neither set nor known from the training clips.
        ConfigError: if the stride is longer than the window.
    """
    if settings.window is None:
        if metadata.training_clips is None:
            raise BundleError(
                "the bundle does not state how long its training clips are (an earlier version of skdpipe "
                "wrote it); set the length of a window in seconds with --window, or train again"
            )
        settings = replace(settings, window=metadata.training_clips.window)
    assert settings.window is not None
    stride = settings.stride or settings.window / _STRIDES_OF_A_WINDOW
    shortest = settings.window / 2 if settings.shortest is None else settings.shortest
    per_person = metadata.clip.people == 1 if settings.per_person is None else settings.per_person
    return Windows(
        settings.window,
        max(1, round(settings.window / stride)),
        Thresholds(settings.min_probability, settings.hysteresis, shortest),
        settings.least_seen,
        per_person,
    )
