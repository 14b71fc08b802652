"""The engine of a Ray cluster: each worker is an actor."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic

from skdpipe.atomic_file import marking
from skdpipe.engines.jobs import (
    Ended,
    Job,
    JobQueue,
    OpenWork,
    Result,
    Unusable,
    Work,
    Worker,
    reason_of_failure,
)
from skdpipe.errors import ConfigError, SkdpipeError, in_one_line, require_extra
from skdpipe.storage import Place

if TYPE_CHECKING:
    from ray.exceptions import RayActorError

_PATIENCE: Final = 10.0  # seconds until something must answer at an address
_UNTIL_CONNECTED: Final = 60.0  # seconds
_BETWEEN_LOOKS: Final = 5.0  # seconds between two looks at the nodes of the cluster
_BETWEEN_REPORTS: Final = 1.0  # seconds between two reports of the progress of a job
_OPENINGS: Final = 3  # workers that may end while they open, before any has opened
_UNTIL_WARNING: Final = 30.0  # seconds without any worker


@dataclass(frozen=True)
class RayEngine:
    """Workers on a Ray cluster, which end with this process.

    skdpipe is installed on all machines of the cluster, in the same version. A worker starts in the current
    folder of this process, if its machine has that folder. Nodes may be lost and added at any time.

    Attributes:
        address: ``ray://HOST:PORT`` of Ray's client or ``HOST:PORT`` of a cluster that this machine belongs
            to. Empty: that in the environment variable RAY_ADDRESS, a cluster that was started on this
            machine, or otherwise a new one on this machine only. A script that has called `ray.init` keeps
            its connection.
        workers: their number. 0: as many as there is room for, also on nodes that are added later.
        cpus, gpus: the share of each worker; several workers share a GPU if each has a fraction of it.

    Raises:
        ConfigError: if a share cannot be given.
    """

    address: str = ""
    workers: int = 0
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.workers < 0 or self.cpus <= 0 or self.gpus < 0:
            raise ConfigError(
                f"{self.workers} workers with {self.cpus:g} CPUs and {self.gpus:g} GPUs each; expected no "
                "negative number, and a share of a CPU"
            )
        if any(share > 1 and share % 1 for share in (self.cpus, self.gpus)):
            raise ConfigError(
                f"{self.cpus:g} CPUs and {self.gpus:g} GPUs for each worker; expected a fraction of one, or "
                "a whole number"
            )

    def connect(self) -> None:
        """Connect this process to the cluster, unless it is.

        Raises:
            ConfigError: if there is no cluster, one with another version of Ray or Python, or one without a
                node for a worker whose number is not stated.
            MissingDependencyError: if Ray is not installed.
        """
        _connect(self.address)
        nodes = _nodes()
        if not self.workers and not self._room_on(nodes):
            raise ConfigError(
                f"no node of the Ray cluster has {self._shares()} for a worker; found {_listed(nodes)}: "
                "choose smaller shares, or wait for nodes by stating the number of workers"
            )

    def describe(self) -> str:
        """Their number, and their shares; errors as `connect`."""
        self.connect()
        nodes = _nodes()
        count = str(self.workers or f"{self._room_on(nodes)} at present")
        return f"{count}, on a Ray cluster of {_counted(len(nodes), 'node')}, with {self._shares()} each"

    def run(
        self,
        jobs: Sequence[Job],
        open_work: OpenWork[Job, Result],
        on_advance: Callable[[Job, float], None] | None = None,
        *,
        preload: Sequence[str] = (),
        shared: Sequence[Place] = (),
    ) -> Iterator[Ended[Job, Result]]:
        """Do jobs as :meth:`Engine.run`; the actors end with this generator.

        Raises:
            ConfigError: also as `connect`.
        """
        if not jobs:
            return
        self.connect()
        with ExitStack() as stack:
            local = (folder for folder in shared if isinstance(folder, Path))
            marks = tuple(stack.enter_context(marking(folder)) for folder in local)
            run: _Run[Job, Result] = _Run(
                self, jobs, _Order(open_work, version("skdpipe"), Path.cwd(), marks), on_advance
            )
            stack.callback(run.end)
            yield from run.until_all_have_ended()

    def _shares(self) -> str:
        gpus = f" and {_counted(self.gpus, 'GPU')}" if self.gpus else ""
        return f"{_counted(self.cpus, 'CPU')}{gpus}"

    def _room_on(self, nodes: Sequence[dict[str, Any]]) -> int:
        """How many workers the nodes have room for if nothing else runs there."""
        return sum(
            min(
                _room(node["Resources"].get("CPU", 0), self.cpus),
                _room(node["Resources"].get("GPU", 0), self.gpus) if self.gpus else sys.maxsize,
            )
            for node in nodes
        )


@dataclass(frozen=True)
class _Order:
    """What a worker must know before its first job.

    Attributes:
        open_work: opens the work.
        version: of skdpipe.
        folder: the current folder of the driver.
        marks: files in the shared folders.
    """

    open_work: Any
    version: str
    folder: Path
    marks: tuple[Path, ...]


@dataclass(frozen=True)
class _Opened:
    """A worker is ready."""

    node: str
    machine: str
    process: int


@dataclass(frozen=True)
class _Done:
    """A job has ended.

    Attributes:
        result: what the work returned.
        reason: why it failed, if it did.
        total: of the amounts that it reported.
        warned: the texts of its warnings.
    """

    result: Any
    reason: str
    total: float
    warned: tuple[str, ...]


@dataclass
class _Actor:
    """A worker as the driver knows it: its handle, its place when it is ready, and the number of its job."""

    handle: Any
    opened: _Opened | None = None
    job: int = -1


class _Run(Generic[Job, Result]):
    """The jobs and the actors of one call of `RayEngine.run`."""

    def __init__(
        self,
        engine: RayEngine,
        jobs: Sequence[Job],
        order: _Order,
        on_advance: Callable[[Job, float], None] | None,
    ) -> None:
        import ray

        self._engine, self._jobs, self._order, self._on_advance = engine, jobs, order, on_advance
        self._queue = JobQueue(jobs)
        self._left = len(jobs)
        self._actors: dict[Any, _Actor] = {}  # by the reference to what it will return
        self._workers = ray.remote(_RemoteWorker).options(
            num_cpus=engine.cpus, num_gpus=engine.gpus, max_restarts=0, scheduling_strategy="SPREAD"
        )
        self._progress = None if on_advance is None else _Progress()
        self._shown: dict[int, float] = {}  # of each job that runs, the total that was passed on
        self._has_opened = self._has_warned = False
        self._failed_openings = 0
        self._start = time.monotonic()
        self._next_look = 0.0

    def until_all_have_ended(self) -> Iterator[Ended[Job, Result]]:
        while self._left:
            if time.monotonic() >= self._next_look:
                self._fill_room()
            if self._progress is not None:
                for number, total in self._progress.read().items():
                    self._advance(number, total)
            for reference in self._ready():
                yield from self._receive(reference, self._actors.pop(reference))

    def end(self) -> None:
        """End the actors."""
        for actor in self._actors.values():
            _kill(actor.handle)
        if self._progress is not None:
            self._progress.end()

    def _fill_room(self) -> None:
        """Start as many workers as there is room for; they may have to wait for it."""
        room = self._engine.workers or self._engine._room_on(_nodes())
        for _ in range(min(room, self._left) - len(self._actors)):
            actor = _Actor(self._workers.remote())
            self._actors[actor.handle.open.remote(self._order, self._progress and self._progress.handle)] = (
                actor
            )
        waited = time.monotonic() - self._start
        if waited > _UNTIL_WARNING and not (self._has_opened or self._has_warned):
            self._has_warned = True
            warnings.warn(
                f"no worker has started within {_UNTIL_WARNING:g} s: the Ray cluster has no free place with "
                f"{self._engine._shares()}, or loading takes long; waiting (`ray status` shows what is used)",
                UserWarning,
                stacklevel=4,
            )
        self._next_look = time.monotonic() + _BETWEEN_LOOKS

    def _ready(self) -> list[Any]:
        """The references of the workers that have returned something, after at most a moment."""
        import ray

        waiting = list(self._actors)
        if not waiting:
            time.sleep(0.1)
            return []
        if not ray.wait(waiting, timeout=0.5)[0]:
            return []
        return ray.wait(waiting, num_returns=len(waiting), timeout=0)[0]

    def _receive(self, reference: Any, actor: _Actor) -> Iterator[Ended[Job, Result]]:
        import ray
        from ray.exceptions import RayActorError, RayError

        try:
            message = ray.get(reference)
        except RayActorError as error:
            yield from self._lose(actor, error)
            return
        except RayError as error:  # for instance of an import, or because the object store is full
            if actor.opened is None:
                raise SkdpipeError(
                    f"a worker on the Ray cluster cannot start ({_cause(error)}); expected skdpipe and its "
                    "packages, in the same versions, on all machines"
                ) from error
            message = _Done(None, _cause(error), 0.0, ())
        if isinstance(message, Unusable):
            raise message.error
        if isinstance(message, _Opened):
            actor.opened = message
            self._has_opened = True
        else:
            for text in message.warned:
                warnings.warn(text, UserWarning, stacklevel=3)
            self._advance(actor.job, message.total)
            yield self._end(actor.job, message.result, message.reason)
        if self._queue:
            self._assign(actor)
        else:
            _kill(actor.handle)

    def _assign(self, actor: _Actor) -> None:
        actor.job = self._queue.take()
        self._shown.setdefault(actor.job, 0.0)
        self._actors[actor.handle.do.remote(actor.job, self._jobs[actor.job])] = actor

    def _end(self, number: int, result: Any, reason: str) -> Ended[Job, Result]:
        self._left -= 1
        del self._shown[number]
        return Ended(self._jobs[number], result, reason)

    def _lose(self, actor: _Actor, error: RayActorError) -> Iterator[Ended[Job, Result]]:
        """Give back the job of a worker that has ended or cannot be reached."""
        from ray.exceptions import ActorUnavailableError

        _kill(actor.handle)
        self._next_look = min(self._next_look, time.monotonic() + 1.0)
        if actor.opened is None:
            self._failed_openings += 1
            if self._failed_openings >= _OPENINGS and not self._has_opened:
                raise SkdpipeError(
                    f"{self._failed_openings} workers ended while they loaded what they need, and none did; "
                    "expected memory and packages for them: see worker-*.err in Ray's logs of their machines"
                )
            return
        node_lost = (
            isinstance(error, ActorUnavailableError)
            or error.preempted
            or all(node["NodeID"] != actor.opened.node for node in _nodes())
        )
        if not self._queue.try_again(actor.job, node_lost=node_lost):
            what = "the node of its worker was lost 5 times" if node_lost else "its process ended twice"
            reason = f"{what}, the last time process {actor.opened.process} on {actor.opened.machine}"
            yield self._end(actor.job, None, reason)

    def _advance(self, number: int, total: float) -> None:
        """Pass on how far a job is; one that has ended, or begun again, is not as far."""
        amount = total - self._shown.get(number, total)
        if amount > 0 and self._on_advance is not None:
            self._shown[number] = total
            self._on_advance(self._jobs[number], amount)


class _RemoteWorker:
    """The actor of a worker."""

    def open(self, order: _Order, totals: Any) -> _Opened | Unusable:
        """Open the work."""
        import ray

        machine = socket.gethostname()
        with suppress(OSError):
            os.chdir(order.folder)
        context = ray.get_runtime_context()
        resources = context.get_assigned_resources()  # type: ignore[no-untyped-call]
        worker = Worker(
            "cuda" if resources.get("GPU") else "cpu", max(1, int(resources.get("CPU", 1))), machine
        )
        try:
            _require_same(order, machine)
            self._work: Work[Any, Any] = order.open_work(worker)
        except SkdpipeError as error:
            error.args = (f"{error} (on {machine})",)
            return Unusable(error)
        except Exception as error:
            return Unusable(RuntimeError(f"{reason_of_failure(error)} (on {machine})"))
        self._totals = totals
        return _Opened(context.get_node_id(), machine, os.getpid())

    def do(self, number: int, job: Any) -> _Done:
        """Do a job."""
        counter = _Counter(number, self._totals)
        result, reason = None, ""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            try:
                result = self._work(job, counter)
            except Exception as error:
                reason = reason_of_failure(error)
        return _Done(result, reason, counter.total, tuple({str(each.message): None for each in caught}))


@dataclass
class _Counter:
    """Adds the amounts that a job reports, and passes them on now and then."""

    number: int
    totals: Any
    total: float = 0.0
    _last: float = field(default_factory=time.monotonic)

    def __call__(self, amount: float) -> None:
        self.total += amount
        if self.totals is not None and time.monotonic() - self._last >= _BETWEEN_REPORTS:
            self._last = time.monotonic()
            self.totals.put.remote(self.number, self.total)


class _Totals:
    """The actor that collects how far the jobs are, on the node of the driver, with which it ends."""

    def __init__(self) -> None:
        self._totals: dict[int, float] = {}

    def put(self, number: int, total: float) -> None:
        """Take note of a total."""
        self._totals[number] = total

    def take(self) -> dict[int, float]:
        """Remove and return the totals."""
        totals, self._totals = self._totals, {}
        return totals


class _Progress:
    """Reads a `_Totals` without waiting for it."""

    def __init__(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.handle: Any = ray.remote(_Totals).options(num_cpus=0, scheduling_strategy=node).remote()
        self._requested = self._request()
        self._next = 0.0

    def read(self) -> dict[int, float]:
        """The totals that have arrived; without the actor, none."""
        import ray
        from ray.exceptions import RayError

        if time.monotonic() < self._next or not ray.wait([self._requested], timeout=0)[0]:
            return {}
        self._next = time.monotonic() + _BETWEEN_REPORTS
        totals: dict[int, float] = {}
        with suppress(RayError):
            totals = ray.get(self._requested)
        self._requested = self._request()
        return totals

    def _request(self) -> Any:
        return self.handle.take.remote()

    def end(self) -> None:
        """End the actor."""
        _kill(self.handle)


def _require_same(order: _Order, machine: str) -> None:
    """Check that a worker has the code and the folders of the driver.

    Raises:
        SkdpipeError: if it does not.
    """
    if (found := version("skdpipe")) != order.version:
        raise SkdpipeError(
            f"skdpipe {found} instead of {order.version}; install the same version on all machines of the "
            "cluster"
        )
    for mark in order.marks:
        if not mark.exists():
            raise SkdpipeError(
                f"{order.folder / mark.parent} is another folder on this machine, or none; expected a file "
                "system that all machines of the cluster share"
            )


def _connect(address: str) -> None:
    """See `RayEngine.connect`."""
    require_extra("ray", "ray")
    # In `uv run`, Ray would copy the current folder to each worker and install it there again.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    import ray

    if ray.is_initialized():
        return
    target = address or os.environ.get("RAY_ADDRESS", "") or _last_address()
    _require_answer(target)
    ray._private.worker._worker_logs_enabled = False  # of lost nodes, on stdout
    problem: list[str] = []

    def init() -> None:
        try:
            ray.init(
                address or None, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
            )
        except Exception as error:
            problem.append(in_one_line(error))

    handler = signal.getsignal(signal.SIGTERM)
    if target in ("", "local"):
        init()  # the processes of a new cluster end with the thread that starts them
    else:  # in a thread, because it waits for ever for a cluster of which only a part is there
        thread = threading.Thread(target=init, daemon=True)
        thread.start()
        thread.join(_UNTIL_CONNECTED)
        if thread.is_alive():
            problem.append(f"no answer within {_UNTIL_CONNECTED:g} s")
    if callable(handler) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # instead of Ray's, which prints the stack
    if problem:
        raise ConfigError(
            f"cannot use the Ray cluster{address and f' at {address}'} ({problem[0]}); expected a running "
            "one with the same versions of Ray and Python, and RAY_AUTH_MODE=token if it has a token"
        )


def _last_address() -> str:
    """The address of the last cluster that was started on this machine, which Ray uses; empty without one."""
    with suppress(OSError):
        return Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster").read_text().strip()
    return ""


def _require_answer(address: str) -> None:
    """Check that something answers at an address, because Ray tries it for a long time.

    Raises:
        ConfigError: if nothing does, or it is no address.
    """
    if address in ("", "auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"{address:.100} is no address of a Ray cluster; expected ray://HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except OSError as error:
        raise ConfigError(
            f"nothing answers at {address} ({error.strerror or error}); expected a Ray cluster: start it, "
            "change the address (Ray's client has port 10001 by default), or forget it with `ray stop`"
        ) from error


def _nodes() -> list[dict[str, Any]]:
    """The nodes that are alive."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"]]


def _listed(nodes: Sequence[dict[str, Any]]) -> str:
    resources = [node["Resources"] for node in nodes]
    cpus, gpus = (sum(each.get(name, 0) for each in resources) for name in ("CPU", "GPU"))
    return f"{_counted(len(nodes), 'node')} with {_counted(cpus, 'CPU')} and {_counted(gpus, 'GPU')} together"


def _counted(number: float, what: str) -> str:
    return f"{number:g} {what}{'' if number == 1 else 's'}"


def _room(total: float, share: float) -> int:
    """How many shares fit; a fraction does not extend over two units."""
    return int(total) * int(1 / share + 1e-9) if share < 1 else int(total // share)


def _cause(error: Exception) -> str:
    cause = getattr(error, "cause", None) or getattr(error, "client_exc", None)
    return in_one_line(cause if isinstance(cause, Exception) else error)


def _kill(handle: Any) -> None:
    import ray

    with suppress(Exception):  # it may have ended, as may the connection
        ray.kill(handle)
