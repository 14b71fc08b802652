"""One thread for the heavy work, with a short queue."""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from skdpipe.errors import SkdpipeError, in_one_line

_KEPT: Final = 32  # jobs that have ended
_FULL: Final = "too much is waiting already; try again when something is done"

State = Literal["waiting", "running", "done", "failed", "cancelled"]


class BusyError(SkdpipeError):
    """More work than the queue holds."""


class CancelledError(Exception):
    """Raised in the work of a job that was cancelled."""


@dataclass(eq=False)
class Job:
    """Work that was begun by a request.

    Attributes:
        work: does it, and returns the result; it calls `advance_to` now and then.
        owner: what it is for; with the owner, its jobs end.
        id: a secret name.
        state: of the work.
        done, total: finished work; the total is None if it is not known.
        result: of the work.
        error: one line.
    """

    work: Callable[[Job], Any]
    owner: str = ""
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    state: State = "waiting"
    done: float = 0
    total: float | None = None
    result: Any = None
    error: str = ""
    _ended: threading.Event = field(default_factory=threading.Event)
    _cancelled: bool = False

    def advance_to(self, done: float, total: float | None = None) -> None:
        """Set the amount of finished work.

        Raises:
            CancelledError: if the job was cancelled.
        """
        if self._cancelled:
            raise CancelledError
        self.done, self.total = done, total or self.total

    def cancel(self) -> None:
        """End the work at its next step."""
        self._cancelled = True

    def wait(self, seconds: float) -> bool:
        """Wait for the end; whether it came in time."""
        return self._ended.wait(seconds)

    def run(self) -> None:
        """Do the work; its errors are kept."""
        try:
            self.advance_to(0)
            self.state = "running"
            self.result = self.work(self)
            self.state = "done"
        except CancelledError:
            self.state = "cancelled"
        except SkdpipeError as error:
            self.error, self.state = str(error), "failed"
        except Exception as error:  # shown in the page, which goes on
            self.error, self.state = in_one_line(error), "failed"
        finally:
            self._ended.set()


class Worker:
    """Runs jobs one after the other in a thread.

    Args:
        waiting: most jobs that wait.
    """

    def __init__(self, waiting: int) -> None:
        self._queue: queue.Queue[Job | None] = queue.Queue(waiting)
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._run, name="skdpipe-worker", daemon=True).start()

    def submit(self, work: Callable[[Job], Any], owner: str = "") -> Job:
        """Put work into the queue.

        Raises:
            BusyError: if the queue is full.
        """
        job = Job(work, owner)
        with self._lock:
            try:
                self._queue.put_nowait(job)
            except queue.Full:
                raise BusyError(_FULL) from None
            self._jobs[job.id] = job
            ended = [each.id for each in self._jobs.values() if each.state not in ("waiting", "running")]
            for old in ended[:-_KEPT]:
                del self._jobs[old]
        return job

    def run(self, work: Callable[[Job], Any], seconds: float) -> Any:
        """Do short work and wait for its result, for some seconds.

        Raises:
            BusyError: if the queue is full, or other work takes too long.
            SkdpipeError: if the work fails.
        """
        job = Job(work)
        try:
            self._queue.put_nowait(job)
        except queue.Full:
            raise BusyError(_FULL) from None
        if not job.wait(seconds):
            job.cancel()
            raise BusyError("other work takes long; try again when it is done")
        if job.state != "done":
            raise SkdpipeError(job.error or "the work was cancelled; try again")
        return job.result

    def find(self, job: str) -> Job | None:
        """The job with an id, if it is still known."""
        return self._jobs.get(job)

    def forget(self, owner: str) -> None:
        """Cancel the jobs of an owner and drop their results."""
        with self._lock:
            for job in [each for each in self._jobs.values() if each.owner == owner]:
                job.cancel()
                del self._jobs[job.id]

    def close(self) -> None:
        """Cancel all jobs; the thread ends after the step that it is at."""
        with self._lock:
            for job in self._jobs.values():
                job.cancel()
            self._jobs.clear()
            with suppress(queue.Empty):
                while True:
                    self._queue.get_nowait()
            with suppress(queue.Full):
                self._queue.put_nowait(None)

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            job.run()
