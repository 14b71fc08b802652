"""The frames between a live source, which does not wait, and their consumer, which may be slower."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FrameBuffer(Generic[T]):
    """Passes frames from one thread to another.

    Args:
        capacity: number of frames that wait at most, 1 or more.

    Attributes:
        dropped: number of frames dropped.
    """

    def __init__(self, capacity: int) -> None:
        self.dropped = 0
        self._capacity = capacity
        self._waiting: deque[tuple[T, bool]] = deque()  # items, and whether they may be dropped
        self._is_late = self._has_ended = self._is_closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def put(self, frame: T) -> None:
        """Add a frame, after waiting for room."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < self._capacity or self._is_closed)
            self._append(frame, droppable=False)

    def offer(self, frame: T) -> None:
        """Add a frame without waiting; frames that were offered may be dropped.

        A consumer that keeps up receives every frame. When more frames wait than there is room for, the
        consumer is late: only the newest frame is kept, until the consumer has to wait for one again.
        """
        with self._changed:
            self._is_late = self._is_late or len(self._waiting) >= self._capacity
            if self._is_late:
                kept = [entry for entry in self._waiting if not entry[1]]
                self.dropped += len(self._waiting) - len(kept)
                self._waiting = deque(kept)
            self._append(frame, droppable=True)

    def put_message(self, message: T) -> None:
        """Add something that is not a frame, in its place in the order; it is never dropped."""
        with self._changed:
            self._append(message, droppable=False)

    def _append(self, item: T, *, droppable: bool) -> None:
        if not self._is_closed:
            self._waiting.append((item, droppable))
            self._changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """State that nothing follows, or that an error follows."""
        with self._changed:
            self._has_ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Forget what waits; the producer no longer waits, and the consumer finds the end."""
        with self._changed:
            self._is_closed = self._has_ended = True
            self._waiting.clear()
            self._changed.notify_all()

    def take(self) -> T | None:
        """The next item, waited for; None after the last one.

        Raises:
            BaseException: the error given to `end`, once, after the last item.
        """
        with self._changed:
            if not self._waiting:
                self._is_late = False
                self._changed.wait_for(lambda: self._waiting or self._has_ended)
            if self._waiting:
                item, _ = self._waiting.popleft()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None:
            raise error
        return None
