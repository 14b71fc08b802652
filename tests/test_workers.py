"""Worker processes: each opens its work once; the end of one is the end of one job."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from skdpipe.errors import DataError
from skdpipe.workers import run_in_workers

Report = Callable[[float], None]


def open_square(folder: Path) -> Callable[[int, Report], int]:
    """Squares numbers, after it has left a file with the number of this process."""
    (folder / str(os.getpid())).touch()
    return square


def square(number: int, report: Report) -> int:
    report(0.25)
    report(0.5)
    if number < 0:
        os._exit(3)
    return number**2


def open_nothing() -> Callable[[int, Report], int]:
    raise DataError("nothing to open; expected something")


def no_report(job: int, amount: float) -> None:
    pass


@pytest.mark.parametrize("workers", [1, 2])
def test_each_job_ends_once_and_each_process_opens_once(workers: int, tmp_path: Path) -> None:
    reported: list[tuple[int, float]] = []
    ended = list(
        run_in_workers(
            range(5),
            partial(open_square, tmp_path),
            workers,
            lambda job, amount: reported.append((job, amount)),
        )
    )
    assert sorted(ended) == [(number, number**2, "") for number in range(5)]
    assert sorted(reported) == [(number, amount) for number in range(5) for amount in (0.25, 0.5)]
    assert len(list(tmp_path.iterdir())) == workers


def test_there_are_no_more_processes_than_jobs(tmp_path: Path) -> None:
    assert list(run_in_workers([3], partial(open_square, tmp_path), 8, no_report)) == [(3, 9, "")]
    assert len(list(tmp_path.iterdir())) == 1
    assert list(run_in_workers([], partial(open_square, tmp_path), 8, no_report)) == []


def test_a_process_that_ends_costs_one_job(tmp_path: Path) -> None:
    jobs = [1, -1, 2, -2, 3]
    running = run_in_workers(jobs, partial(open_square, tmp_path), 1, no_report)
    ended = {job: (result, reason) for job, result, reason in running}
    died = (None, "its process ended with exit code 3")
    assert ended == {1: (1, ""), -1: died, 2: (4, ""), -2: died, 3: (9, "")}
    assert len(list(tmp_path.iterdir())) == 3


def test_what_cannot_be_opened_is_an_error() -> None:
    with pytest.raises(DataError, match=r"^nothing to open; expected something$"):
        list(run_in_workers([1, 2], open_nothing, 2, no_report))


class EndsWhenItIsRead:
    """A job whose arrival ends the process."""

    def __reduce__(self) -> tuple[Callable[[int], None], tuple[int]]:
        return os._exit, (5,)


def test_a_process_that_ends_before_a_job_is_replaced(tmp_path: Path) -> None:
    jobs: list[Any] = [EndsWhenItIsRead(), EndsWhenItIsRead(), 2]
    ended = list(run_in_workers(jobs, partial(open_square, tmp_path), 1, no_report))
    died = (None, "its process ended with exit code 5")
    assert [(result, reason) for _, result, reason in ended] == [died, died, (4, "")]
