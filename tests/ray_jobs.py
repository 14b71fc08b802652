"""Jobs for the workers of a Ray cluster, which import this module."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from functools import partial

from skdpipe.engines import Report, Worker
from skdpipe.errors import DataError


def open_nothing(worker: Worker) -> Callable[[int, Report], int]:
    raise DataError("nothing to open; expected something")


def open_and_crash(worker: Worker) -> Callable[[int, Report], int]:
    os._exit(3)


def open_square(worker: Worker) -> Callable[[int, Report], tuple[int, Worker, str, int]]:
    return partial(square, worker)


def square(worker: Worker, number: int, report: Report) -> tuple[int, Worker, str, int]:
    report(0.25)
    if number == 13:
        raise DataError("thirteen; expected another number")
    if number == 4:
        warnings.warn("four", UserWarning, stacklevel=1)
    time.sleep(1.5 if number == 3 else 0.2)
    report(0.5)
    return number**2, worker, os.environ.get("CUDA_VISIBLE_DEVICES", ""), os.getpid()
