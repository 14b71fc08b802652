"""Worker processes that open what they need once, and then do one job after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TypeVar

from skdpipe.errors import SkdpipeError, in_one_line
from skdpipe.processes import depend_on_parent, end_processes, without_ctrl_c

Job = TypeVar("Job")
Result = TypeVar("Result")
Report = Callable[[float], None]
Work = Callable[[Job, Report], Result]


@dataclass(frozen=True)
class _Unusable:
    """What a worker could not open."""

    error: Exception


def run_in_workers(
    jobs: Sequence[Job],
    open_work: Callable[[], Work[Job, Result]],
    workers: int,
    on_advance: Callable[[Job, float], None],
) -> Iterator[tuple[Job, Result | None, str]]:
    """Do jobs in worker processes, in the order in which they are given.

    A process that ends in a job, because a library crashes or the memory is full, is replaced by a new one;
    the job is not tried again. The processes end with this generator, and also if this process is killed.

    Args:
        jobs: picklable.
        open_work: picklable; called once in each process. It returns the function that does a job; its second
            argument is to be called with the amounts of work done.
        workers: number of processes.
        on_advance: called with a job and such an amount.

    Yields:
        Each job when it ends, with its result, or with None and the reason if its process ended without one.

    Raises:
        SkdpipeError: or another error of ``open_work``.
    """
    context = get_context("spawn")
    waiting = list(reversed(jobs))
    running: dict[Connection, tuple[SpawnProcess, Job]] = {}

    def start() -> tuple[Connection, SpawnProcess]:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(open_work, theirs), daemon=True)
        with without_ctrl_c():
            process.start()
        theirs.close()
        return ours, process

    try:
        for _ in range(min(workers, len(waiting))):
            ours, process = start()
            running[ours] = process, waiting.pop()
            _send(ours, running[ours][1])
        while running:
            for end in wait(list(running)):
                assert isinstance(end, Connection)
                process, job = running[end]
                try:
                    message = end.recv()
                except (EOFError, ConnectionError):
                    process.join()
                    del running[end]
                    yield job, None, f"its process ended with exit code {process.exitcode}"
                    if waiting:
                        end, process = start()
                else:
                    if isinstance(message, _Unusable):
                        raise message.error
                    if isinstance(message, float):
                        on_advance(job, message)
                        continue
                    del running[end]
                    yield job, message, ""
                if waiting:
                    running[end] = process, waiting.pop()
                    _send(end, running[end][1])
                else:
                    end.close()
    finally:
        end_processes([process for process, _ in running.values()])


def _send(end: Connection, job: object) -> None:
    with suppress(ConnectionError):  # the process has ended, which is noticed when it is read from
        end.send(job)


def _serve(open_work: Callable[[], Work[Job, Result]], end: Connection) -> None:
    depend_on_parent()
    try:
        work = open_work()
    except Exception as error:
        end.send(_Unusable(error if isinstance(error, SkdpipeError) else RuntimeError(in_one_line(error))))
        return
    while True:
        try:
            job = end.recv()
        except EOFError:
            return
        end.send(work(job, lambda amount: end.send(float(amount))))
