"""A clock for tests of what measures time."""

from __future__ import annotations

from collections.abc import Callable


class Clock:
    """A clock that only calls advance; its machine becomes slower at a moment."""

    def __init__(self, slower_from: float = float("inf")) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        self._slower_from = slower_from

    def __call__(self) -> float:
        return self.now

    def advanced_by(self, name: str, *seconds: float) -> Callable[[], None]:
        """A call that takes these seconds one after the other, the last of them from then on."""
        left = list(seconds)

        def call() -> None:
            self.calls.append(name)
            spent = left.pop(0) if len(left) > 1 else left[0]
            self.now += spent if self.now < self._slower_from else 2 * spent

        return call
