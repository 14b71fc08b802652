"""Jobs in separate processes, several at a time, each with a device and a number of threads."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_all_start_methods, get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Final, TypeVar

from skdpipe.errors import SkdpipeError

Job = TypeVar("Job")
Worker = Callable[[Job, str], None]
_Process = ForkServerProcess | SpawnProcess

_PRELOADED: Final = ["torch", "torch._dynamo", "skdpipe.distill"]
"""The modules of a training; the first optimiser imports torch._dynamo, which takes as long as torch."""


def run_in_processes(
    jobs: Sequence[Job], worker: Worker[Job], devices: Sequence[str], threads: int
) -> Iterator[tuple[Job, str | None]]:
    """Execute each job in a new process; one job at a time on each device.

    The processes end with this generator, and also if this process is killed.

    Args:
        jobs: picklable.
        worker: called with a job and its device; defined at the top level of a module.
        devices: names; a device that is listed twice executes two jobs at a time.
        threads: number of PyTorch's threads in each process.

    Yields:
        Each job when it ends, with the reason if it failed, otherwise None.
    """
    waiting, free = list(jobs), list(devices)
    running: dict[Connection, tuple[_Process, Job, str]] = {}
    context = _context()
    try:
        while waiting or running:
            while waiting and free:
                job, device = waiting.pop(0), free.pop(0)
                ours, theirs = context.Pipe(duplex=False)
                process: _Process = context.Process(
                    target=_execute, args=(worker, job, device, threads, theirs)
                )
                process.start()
                theirs.close()
                running[ours] = process, job, device
            for end in wait(list(running)):
                assert isinstance(end, Connection)
                process, job, device = running.pop(end)
                try:
                    reason: str | None = end.recv()
                    process.join()
                except EOFError:
                    process.join()
                    reason = f"its process ended with exit code {process.exitcode}"
                end.close()
                free.append(device)
                yield job, reason
    finally:
        end_processes([process for process, _, _ in running.values()])


def _context() -> ForkServerContext | SpawnContext:
    """How processes are started: forked from a server that has imported PyTorch but computed nothing.

    A new process then starts in milliseconds instead of seconds. Where there is no such server (Windows),
    each process imports PyTorch.
    """
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    context = get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
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


def end_processes(processes: Sequence[BaseProcess]) -> None:
    """End processes and wait until they have ended."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


def _execute(worker: Worker[Job], job: Job, device: str, threads: int, end: Connection) -> None:
    depend_on_parent()
    import torch

    torch.set_num_threads(threads)
    end.send(reason_of_failure(worker, job, device))


def reason_of_failure(worker: Worker[Job], job: Job, device: str) -> str | None:
    """Execute a job in this process; the reason if it failed, otherwise None."""
    try:
        worker(job, device)
    except (SkdpipeError, OSError, RuntimeError) as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None


def depend_on_parent() -> None:
    """Leave Ctrl+C to the parent process, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where the mask is not inherited
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
