"""What an engine is, and which job is next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from skdpipe.errors import SkdpipeError, in_one_line
from skdpipe.storage import Place

Job = TypeVar("Job")
Result = TypeVar("Result")
Report = Callable[[float], None]
Work = Callable[[Job, Report], Result]

_ATTEMPTS: Final = 2
_NODES: Final = 5


@dataclass(frozen=True)
class Worker:
    """What a worker may use.

    Attributes:
        device: of networks in PyTorch.
        threads: number of threads.
        machine: the name of its machine, if it may be another one than that of the caller.
    """

    device: str
    threads: int
    machine: str = ""


OpenWork = Callable[[Worker], Work[Job, Result]]


@dataclass(frozen=True)
class Ended(Generic[Job, Result]):
    """A job that has ended.

    Attributes:
        job: the job.
        result: what the work returned; None if it failed.
        reason: why it failed; empty if it did not.
    """

    job: Job
    result: Result | None
    reason: str = ""


class Engine(Protocol):
    """Runs jobs in workers, each of which opens what it needs once and then does one job after the other."""

    def describe(self) -> str:
        """The workers in one line, for a person."""
        ...

    def run(
        self,
        jobs: Sequence[Job],
        open_work: OpenWork[Job, Result],
        on_advance: Callable[[Job, float], None] | None = None,
        *,
        preload: Sequence[str] = (),
        shared: Sequence[Place] = (),
    ) -> Iterator[Ended[Job, Result]]:
        """Do jobs, in the order in which they are given.

        A job fails by any error that its work raises. A job whose worker ends, because a library crashes or
        the memory is full, is tried once more after all others, by another worker. One whose machine is lost
        does not count as tried.

        Args:
            jobs: picklable.
            open_work: picklable; called once in each worker. It returns the function that does a job; its
                second argument is to be called with the amounts of work done.
            on_advance: called with a job and such an amount.
            preload: modules that the work imports; an engine may import them once for several workers.
            shared: folders that all workers must have in common with the caller; they are created, except
                in a store.

        Yields:
            Each job when it ends.

        Raises:
            SkdpipeError: or another error of ``open_work``.
        """
        ...


@dataclass(frozen=True)
class Unusable:
    """What a worker could not open."""

    error: Exception


class JobQueue(Generic[Job]):
    """The jobs that wait; jobs are named by their number."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._waiting = deque(range(len(jobs)))
        self._attempts = [0] * len(jobs)
        self._lost_nodes = [0] * len(jobs)

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self) -> int:
        """Remove and return the next job."""
        return self._waiting.popleft()

    def try_again(self, number: int, *, node_lost: bool = False) -> bool:
        """Put a job back whose worker has ended; False if it was tried often enough.

        It is the last, because it may be the reason; but the first if a whole node was lost.
        """
        if node_lost:
            self._lost_nodes[number] += 1
            if self._lost_nodes[number] == _NODES:
                return False
            self._waiting.appendleft(number)
        else:
            self._attempts[number] += 1
            if self._attempts[number] == _ATTEMPTS:
                return False
            self._waiting.append(number)
        return True


def reason_of_failure(error: Exception) -> str:
    """Why a job failed, in one line."""
    if isinstance(error, SkdpipeError | OSError):
        return " ".join(str(error).split()) or type(error).__name__
    return in_one_line(error)
