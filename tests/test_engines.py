"""Engines: each worker opens its work once; a worker that ends is replaced, and its job tried once more."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from skdpipe.engines import Ended, LocalEngine, Report, Worker
from skdpipe.errors import DataError
from skdpipe.runtimes import available_threads

TWICE = "its process ended with exit code {}, twice"


def open_square(folder: Path, worker: Worker) -> Callable[[int, Report], int]:
    """Squares numbers, after it has left a file with the number of this process."""
    assert worker == Worker("cpu", available_threads(worker_count(folder)))
    (folder / str(os.getpid())).touch()
    return partial(square, folder)


def worker_count(folder: Path) -> int:
    return int((folder.parent / "workers").read_text())


def square(folder: Path, number: int, report: Report) -> int:
    report(0.25)
    report(0.5)
    if number < 0:
        os._exit(3)
    if number == 7 and not (folder.parent / "killed").exists():  # by somebody, or the lack of memory
        (folder.parent / "killed").touch()
        os._exit(9)
    if number == 13:
        raise DataError("thirteen; expected another number")
    return number**2


def open_nothing(worker: Worker) -> Callable[[int, Report], int]:
    raise DataError("nothing to open; expected something")


def run(
    folder: Path,
    jobs: list[Any],
    workers: int = 1,
    on_advance: Callable[[Any, float], None] | None = None,
    preload: tuple[str, ...] = (),
) -> list[Ended[Any, int]]:
    """Square numbers; opened/ then has a file for each process."""
    opened = folder / "opened"
    opened.mkdir()
    (folder / "workers").write_text(str(max(1, min(workers, len(jobs)))))
    engine = LocalEngine(("cpu",) * workers)
    return list(engine.run(jobs, partial(open_square, opened), on_advance, preload=preload))


def opened(folder: Path) -> int:
    return len(list((folder / "opened").iterdir()))


@pytest.mark.parametrize("preload", [(), ("numpy",)])
@pytest.mark.parametrize("workers", [1, 2])
def test_each_job_ends_once_and_each_process_opens_once(
    workers: int, preload: tuple[str, ...], tmp_path: Path
) -> None:
    reported: list[tuple[int, float]] = []
    ended = run(
        tmp_path, list(range(5)), workers, lambda job, amount: reported.append((job, amount)), preload
    )
    assert sorted(ended, key=lambda each: each.job) == [Ended(number, number**2) for number in range(5)]
    assert sorted(reported) == [(number, amount) for number in range(5) for amount in (0.25, 0.5)]
    assert opened(tmp_path) == workers


def test_there_are_no_more_processes_than_jobs(tmp_path: Path) -> None:
    assert run(tmp_path, [3], 8) == [Ended(3, 9)]
    assert opened(tmp_path) == 1
    assert list(LocalEngine(("cpu",) * 8).run([], open_nothing)) == []


def test_a_job_whose_process_ends_is_tried_once_more_after_the_others(tmp_path: Path) -> None:
    ended = run(tmp_path, [1, -1, 2, 7, 3])
    assert ended == [Ended(1, 1), Ended(2, 4), Ended(3, 9), Ended(-1, None, TWICE.format(3)), Ended(7, 49)]
    assert opened(tmp_path) == 4


def test_an_error_is_the_reason_of_its_job_and_the_process_goes_on(tmp_path: Path) -> None:
    reason = "thirteen; expected another number"
    assert run(tmp_path, [13, "a", 2]) == [
        Ended(13, None, reason),
        Ended("a", None, "TypeError: '<' not supported between instances of 'str' and 'int'"),
        Ended(2, 4),
    ]
    assert opened(tmp_path) == 1


def test_what_cannot_be_opened_is_an_error() -> None:
    with pytest.raises(DataError, match=r"^nothing to open; expected something$"):
        list(LocalEngine(("cpu", "cpu")).run([1, 2], open_nothing))


class EndsWhenItIsRead:
    """A job whose arrival ends the process."""

    def __reduce__(self) -> tuple[Callable[[int], None], tuple[int]]:
        return os._exit, (5,)


def test_a_process_that_ends_before_a_job_is_replaced(tmp_path: Path) -> None:
    first, second, third = run(tmp_path, [EndsWhenItIsRead(), 2, EndsWhenItIsRead()])
    assert first == Ended(2, 4)
    assert second.reason == third.reason == TWICE.format(5)


def test_the_description_states_workers_and_threads() -> None:
    threads = available_threads(2)
    assert LocalEngine(("cpu", "cuda")).describe() == f"2, with {threads} thread{'s' * (threads > 1)} each"
