"""Commands in child processes that are forked from this one, with limits on time and memory.

The parent has imported PyTorch and run nothing with it, so a child starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import os
import pkgutil
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

CPU_SECONDS: Final = 10
WALL_SECONDS: Final = 40  # longer, since the processor may be shared
MEMORY: Final = 10**9
"""Limits of a case: processor time, time, and resident memory of the process with its children."""

UNCAUGHT: Final = 70
"""Exit code of a child whose command raised."""

_KILLED_AT: Final = 2 * 10**9
_ADDRESS_SPACE: Final = 20 * 2**30  # beyond what PyTorch maps
_FILE_SIZE: Final = 2**31
_POLL: Final = 0.03

Limit = Literal["", "time", "memory"]


@dataclass(frozen=True)
class Finished:
    """How a command ended.

    Attributes:
        command: the arguments after `skdpipe`.
        code: exit code, 0 if a signal ended it.
        signal: the signal that ended it, or 0.
        limit: the limit that it exceeded.
        seconds: processor time.
        peak: largest resident memory in bytes.
        out, err: what it printed.
    """

    command: tuple[str, ...]
    code: int
    signal: int
    limit: Limit
    seconds: float
    peak: int
    out: str
    err: str


def import_everything() -> None:
    """Import what any command may import, so that no child has to."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot  # slow
    import torch

    import skdpipe

    torch.set_num_threads(1)
    for module in pkgutil.walk_packages(skdpipe.__path__, "skdpipe."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # the pages of the parent's objects stay shared


def run_command(command: Sequence[str], folder: Path, wall_seconds: float = WALL_SECONDS) -> Finished:
    """Run `skdpipe` with these arguments in a folder, in a child."""
    sys.stdout.flush()
    sys.stderr.flush()
    out, err = folder / ".out", folder / ".err"
    pid = os.fork()
    if not pid:
        _become(command, folder, out, err)
    limit = _wait(pid, wall_seconds)
    if limit == "time":
        os.kill(pid, signal.SIGABRT)  # prints where it is
        time.sleep(0.5)
    if limit:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    with contextlib.suppress(ProcessLookupError):  # what it left running
        os.killpg(pid, signal.SIGKILL)
    peak = usage.ru_maxrss * 1024
    ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    finished = Finished(
        tuple(command),
        0 if ended_by else os.WEXITSTATUS(status),
        ended_by,
        limit,
        usage.ru_utime + usage.ru_stime,
        peak,
        _text(out),
        _text(err),
    )
    out.unlink()
    err.unlink()
    return finished


def run_valid(command: Sequence[str], folder: Path) -> None:
    """Run a command that has to succeed, to prepare the files of a kind."""
    done = run_command(command, folder, wall_seconds=600)
    assert (done.code, done.signal) == (0, 0), f"{done.limit} {done.err}"


def run_in_child(function: Callable[[], object]) -> None:
    """Call a function in a child, so that threads that it starts do not stay here.

    Raises:
        RuntimeError: if it fails.
    """
    wait_for([fork(function)])


def fork(function: Callable[[], object]) -> int:
    """A child that calls a function; its process id."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        function()
        code = 0
    except BaseException:  # the child must end here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait_for(pids: Sequence[int]) -> None:
    """Wait for children of `fork`.

    Raises:
        RuntimeError: if one failed.
    """
    codes = [os.waitpid(pid, 0)[1] for pid in pids]
    if any(codes):
        raise RuntimeError("a process of the trial itself failed; its traceback is above")


def _become(command: Sequence[str], folder: Path, out: Path, err: Path) -> None:
    """Run the command in this process and end it."""
    code: object = UNCAUGHT
    try:
        os.setsid()
        os.chdir(folder)
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_SIZE, _FILE_SIZE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        faulthandler.enable(sys.stderr)
        sys.argv = ["skdpipe", *command]
        from skdpipe.cli import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # whatever it is, it is an outcome
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _wait(pid: int, wall_seconds: float) -> Limit:
    """Wait until a child ends or exceeds a limit."""
    end = time.monotonic() + wall_seconds
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while not poll.poll(1000 * _POLL):
            family = [pid, *_descendants(pid)]
            if sum(map(_memory_of, family)) > _KILLED_AT:
                return "memory"
            if time.monotonic() > end or _processor_time_of(pid) > CPU_SECONDS:
                return "time"
    finally:
        os.close(descriptor)
    return ""


def _descendants(pid: int) -> list[int]:
    try:
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*children, *(each for child in children for each in _descendants(child))]


def _memory_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def _processor_time_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "backslashreplace") if path.exists() else ""
