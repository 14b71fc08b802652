"""Prefetching returns the same items and errors in the same order, and stops its thread."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skdpipe.errors import VideoError
from skdpipe.pose.prefetch import prefetch


@given(st.lists(st.integers(), max_size=40), st.integers(1, 8))
def test_the_items_do_not_change(items: list[int], limit: int) -> None:
    assert list(prefetch(iter(items), limit)) == items


def test_production_stops_at_the_limit() -> None:
    produced: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            produced.append(item)
            yield item

    reader = prefetch(items(), 5)
    assert next(reader) == 0
    time.sleep(0.05)
    assert len(produced) <= 7  # one was taken, five are in the buffer, one more waits for space
    reader.close()


@pytest.mark.parametrize("error", [VideoError("damaged"), KeyboardInterrupt(), SystemExit(3), MemoryError()])
def test_errors_are_raised_after_the_items_before_them(error: BaseException) -> None:
    def items() -> Iterator[int]:
        yield from (1, 2, 3)
        raise error

    threads = threading.active_count()
    reader = prefetch(items(), 2)
    assert [next(reader) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(type(error)) as caught:
        next(reader)
    assert caught.value is error
    assert threading.active_count() == threads


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_closing_the_generator_stops_its_thread(taken: int) -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    threads = threading.active_count()
    reader = prefetch(endless(), 3)
    for _ in range(taken):
        next(reader)
    reader.close()
    del reader
    assert threading.active_count() == threads
    assert closed.is_set() or taken == 0  # a generator that was never started need not be closed
