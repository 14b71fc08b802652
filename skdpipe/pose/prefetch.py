"""Items produced in a thread ahead of their consumer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _End:
    """Marks the end of the items, with the error that stopped their production, if any."""

    error: BaseException | None = None


def prefetch(items: Iterable[T], limit: int) -> Generator[T]:
    """The same items, produced in a thread up to ``limit`` items ahead of the consumer.

    An error in the production is raised where the next item would have been. Closing the generator stops the
    thread.
    """
    buffer: queue.Queue[T | _End] = queue.Queue(limit)
    stop = threading.Event()

    def put(entry: T | _End) -> None:
        while not stop.is_set():
            try:
                return buffer.put(entry, timeout=0.1)
            except queue.Full:
                continue
        return None

    def produce() -> None:
        end = _End()
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    return
        except BaseException as error:  # passed to the consumer, which raises it
            end = _End(error)
        put(end)

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        while not isinstance(entry := buffer.get(), _End):
            yield entry
        if entry.error is not None:
            raise entry.error
    finally:
        stop.set()
        thread.join()
