"""The methods of a distillation experiment, named as in the paper."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from skdpipe.cache import Quality
from skdpipe.config import ClipFormat, MethodName


@dataclass(frozen=True)
class Method:
    """One row of the results table.

    Attributes:
        name: in settings and file names.
        title: the paper's name.
        quality: the skeletons that the network is trained and tested on.
        smoothed: whether they are smoothed by a sliding-window average.
        distilled: whether the network is trained with a teacher.
    """

    name: MethodName
    title: str
    quality: Quality
    smoothed: bool = False
    distilled: bool = False

    def clip_format(self, clip: ClipFormat, window: int) -> ClipFormat:
        """The clip format of the network's input, given the experiment's and the smoothing window."""
        return replace(clip, smoothing=window) if self.smoothed else clip


TEACHER: Final = Method("teacher", "HQS-T", "high")
BASELINE: Final = Method("baseline", "LQS-S", "low")
SMOOTHED: Final = Method("smoothed", "LQS-SWA-S", "low", smoothed=True)
STUDENT: Final = Method("student", "SKD", "low", distilled=True)

METHODS: Final = (
    TEACHER,
    BASELINE,
    SMOOTHED,
    STUDENT,
    Method("student_smoothed", "SKD*", "low", smoothed=True, distilled=True),
)
"""All methods in the order of the table, in which they are also trained: the teacher first."""


@dataclass(frozen=True)
class Forest:
    """A random forest on summary features: the classical baseline.

    Attributes:
        name: in file names.
        title: in tables.
        quality: the skeletons that it is trained and tested on.
    """

    name: Literal["forest_high", "forest_low"]
    title: str
    quality: Quality


FOREST_HIGH: Final = Forest("forest_high", "forest, high", "high")
FOREST_LOW: Final = Forest("forest_low", "forest, low", "low")
FORESTS: Final = (FOREST_HIGH, FOREST_LOW)


def method_named(name: str) -> Method:
    """The method with a name of `METHODS`."""
    return next(method for method in METHODS if method.name == name)


def title_of(name: str) -> str:
    """The title of a method or a forest."""
    titles: dict[str, str] = {each.name: each.title for each in METHODS}
    return (titles | {each.name: each.title for each in FORESTS})[name]
