"""Times of several calls, taken in turn within one run: the load of the machine affects all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Timing:
    """The seconds of one call.

    Attributes:
        seconds: of each round.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle round."""
        return median(self.seconds)

    @property
    def lowest(self) -> float:
        """The shortest round."""
        return min(self.seconds)

    @property
    def highest(self) -> float:
        """The longest round."""
        return max(self.seconds)

    def __add__(self, other: Timing) -> Timing:
        """Both calls one after the other, in the same rounds."""
        return Timing(tuple(one + two for one, two in zip(self.seconds, other.seconds, strict=True)))

    def __truediv__(self, parts: int) -> Timing:
        """One of several equal parts of the call."""
        return Timing(tuple(each / parts for each in self.seconds))

    def in_milliseconds(self) -> str:
        """Median and spread as text, for instance ``9.80 [9.60, 10.4]``."""
        middle, low, high = (brief(1000 * each) for each in (self.median, self.lowest, self.highest))
        return f"{middle} [{low}, {high}]"


def time_in_turn(
    calls: Mapping[Name, Callable[[], object]],
    *,
    rounds: int = 9,
    least: float = 0.01,
    clock: Callable[[], float] = perf_counter,
    on_round: Callable[[], object] = lambda: None,
) -> dict[Name, Timing]:
    """Time several calls in turn: A B C, C B A, A B C...

    Args:
        calls: by name; a call on a device returns when the device has finished. Each is called at least once
            before the first round.
        rounds: number of rounds, at least one.
        least: minimum seconds of a call in a round; short calls are repeated, and their mean counts.
        clock: returns the time in seconds.
        on_round: called after the warm-up and after each round.
    """
    assert rounds >= 1
    repeated = {name: _repetitions(call, least, clock) for name, call in calls.items()}
    seconds: dict[Name, list[float]] = {name: [] for name in calls}
    order = list(calls)
    on_round()
    for _ in range(rounds):
        for name in order:
            seconds[name].append(_mean_seconds(calls[name], repeated[name], clock))
        order.reverse()
        on_round()
    return {name: Timing(tuple(each)) for name, each in seconds.items()}


def brief(value: float) -> str:
    """Three significant digits without an exponent."""
    places = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}"


def _repetitions(call: Callable[[], object], least: float, clock: Callable[[], float]) -> int:
    """Number of calls that take at least so many seconds."""
    call()  # the first one may load or compile something, and does not count
    start, count = clock(), 0
    while clock() - start < least:
        call()
        count += 1
    return max(1, count)


def _mean_seconds(call: Callable[[], object], count: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(count):
        call()
    return (clock() - start) / count
