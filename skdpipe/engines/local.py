"""The engine of one machine: worker processes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess

from skdpipe.engines.jobs import Ended, Job, JobQueue, OpenWork, Result, Unusable, Worker, reason_of_failure
from skdpipe.errors import SkdpipeError
from skdpipe.runtimes import available_threads
from skdpipe.storage import Place

_Process = ForkServerProcess | SpawnProcess


@dataclass(frozen=True)
class _Failed:
    """Why the work on a job failed."""

    reason: str


@dataclass
class _Running:
    """A process, its device, and the number of its job."""

    process: _Process
    device: str
    job: int


@dataclass(frozen=True)
class LocalEngine:
    """Worker processes on this machine, which end with it, also if this process is killed.

    A process that ends in a job is replaced by a new one. The processes share the processor's cores. With
    modules to preload they are forked from a process that has imported these (not on Windows), and start in
    milliseconds instead of seconds.

    Attributes:
        devices: of each process; a device that is listed twice is used by two.
    """

    devices: tuple[str, ...]

    def describe(self) -> str:
        """Their number, and that of their threads."""
        count, threads = len(self.devices), available_threads(len(self.devices))
        return f"{count}, with {threads} {'thread' if threads == 1 else 'threads'} each"

    def run(
        self,
        jobs: Sequence[Job],
        open_work: OpenWork[Job, Result],
        on_advance: Callable[[Job, float], None] | None = None,
        *,
        preload: Sequence[str] = (),
        shared: Sequence[Place] = (),
    ) -> Iterator[Ended[Job, Result]]:
        """Do jobs as :meth:`Engine.run`; the processes end with this generator."""
        if not jobs:
            return
        assert self.devices
        devices = self.devices[: len(jobs)]
        threads = available_threads(len(devices))
        context = _context(preload)
        queue = JobQueue(jobs)
        running: dict[Connection, _Running] = {}

        def start(device: str) -> None:
            ours, theirs = context.Pipe()
            process: _Process = context.Process(
                target=_serve, args=(open_work, Worker(device, threads), theirs)
            )
            with without_ctrl_c():
                process.start()
            theirs.close()
            assign(ours, _Running(process, device, -1))

        def assign(end: Connection, worker: _Running) -> None:
            running[end] = worker
            worker.job = queue.take()
            with suppress(ConnectionError):  # the process has ended, which is noticed when it is read from
                end.send(jobs[worker.job])

        try:
            for device in devices:
                start(device)
            while running:
                for end in wait(list(running)):
                    assert isinstance(end, Connection)
                    worker = running[end]
                    job = jobs[worker.job]
                    try:
                        message = end.recv()
                    except (EOFError, ConnectionError):
                        worker.process.join()
                        del running[end]
                        end.close()
                        if not queue.try_again(worker.job):
                            code = worker.process.exitcode
                            yield Ended(job, None, f"its process ended with exit code {code}, twice")
                        if queue:
                            start(worker.device)
                        continue
                    if isinstance(message, Unusable):
                        raise message.error
                    if isinstance(message, float):
                        if on_advance is not None:
                            on_advance(job, message)
                        continue
                    if isinstance(message, _Failed):
                        yield Ended(job, None, message.reason)
                    else:
                        yield Ended(job, message)
                    if queue:
                        assign(end, worker)
                    else:
                        del running[end]
                        end.close()
        finally:
            _end([each.process for each in running.values()])


def _serve(open_work: OpenWork[Job, Result], worker: Worker, end: Connection) -> None:
    depend_on_parent()
    try:
        work = open_work(worker)
    except Exception as error:
        is_known = isinstance(error, SkdpipeError)
        end.send(Unusable(error if is_known else RuntimeError(reason_of_failure(error))))
        return
    while True:
        try:
            job = end.recv()
        except EOFError:
            return
        try:
            result = work(job, lambda amount: end.send(float(amount)))
        except Exception as error:
            end.send(_Failed(reason_of_failure(error)))
        else:
            end.send(result)


def _context(preload: Sequence[str]) -> ForkServerContext | SpawnContext:
    """How processes are started."""
    if not preload or "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    context = get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    resource_tracker.ensure_running()  # before the mask, which it removes
    with without_ctrl_c():
        forkserver.ensure_running()
    return context


@contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Start processes that ignore Ctrl+C, which is for their parent, from their first instruction on."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # inherited
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _end(processes: Sequence[BaseProcess]) -> None:
    """End processes and wait until they have ended."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


def depend_on_parent() -> None:
    """Leave Ctrl+C to the parent process, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where the mask is not inherited
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
