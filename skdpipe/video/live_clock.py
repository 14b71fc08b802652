"""When the frames of a live source were taken."""

from __future__ import annotations

from typing import Final

_JUMP_BACK: Final = 0.5  # seconds
_MOST_APART: Final = 10.0  # seconds between a timestamp and the arrival of its frame
_ADJUSTMENT: Final = 300.0  # seconds in which the difference to the arrival clock shrinks to a third
_STEP: Final = 0.001  # seconds, the least from one frame to the next


class LiveClock:
    """Turns timestamps and arrivals into seconds since the first frame of a source, which increase.

    Frames arrive unevenly, so their timestamps are better where they can be believed. They count from the
    arrival of the first frame of a connection, and follow the arrivals slowly, since no two clocks run
    equally fast. Timestamps that jump back, or far away from the arrivals, start again at the next arrival;
    the arrival is the time of a frame without one.
    """

    def __init__(self) -> None:
        self._first: float | None = None  # arrival
        self._last: tuple[float, float] | None = None  # seconds, and seconds of the arrival
        self._offset: float | None = None

    def reconnect(self) -> None:
        """State that the next timestamp does not continue the one before."""
        self._offset = None

    def seconds_at(self, stamp: float | None, arrived: float) -> float:
        """The time of the next frame.

        Args:
            stamp: its timestamp in seconds, None if it has none.
            arrived: when it arrived, in seconds of a monotonic clock.
        """
        if self._first is None:
            self._first = arrived
        elapsed = arrived - self._first
        seconds = elapsed if stamp is None else self._by_stamp(stamp, elapsed)
        if self._last is not None:
            seconds = max(seconds, self._last[0] + _STEP)
        self._last = seconds, elapsed
        return seconds

    def _by_stamp(self, stamp: float, elapsed: float) -> float:
        if self._offset is not None:
            before, elapsed_before = self._last or (0.0, 0.0)
            seconds = stamp + self._offset
            if abs(seconds - elapsed) <= _MOST_APART and seconds > before - _JUMP_BACK:
                passed = max(0.0, elapsed - elapsed_before)
                self._offset += (elapsed - seconds) * min(1.0, passed / _ADJUSTMENT)
                return seconds
        self._offset = elapsed - stamp
        return elapsed
