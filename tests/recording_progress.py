"""A progress display that records what it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from skdpipe.progress import Progress, Task


@dataclass
class RecordedTask(Task):
    """One task: its parameters and every update ``(done, note)``."""

    name: str
    total: float | None
    unit: str
    updates: list[tuple[float, str]] = field(default_factory=list)
    on_update: Callable[[RecordedTask], None] | None = None

    def advance_to(self, done: float, note: str = "") -> None:
        self.updates.append((done, note))
        if self.on_update is not None:
            self.on_update(self)


class RecordingProgress(Progress):
    """Records all tasks in order.

    Args:
        on_update: called after each update of a task, for instance to interrupt the work.
    """

    def __init__(self, on_update: Callable[[RecordedTask], None] | None = None) -> None:
        super().__init__(quiet=True)
        self.tasks: list[RecordedTask] = []
        self._on_update = on_update

    @contextmanager
    def task(self, name: str, total: float | None = None, *, unit: str = "") -> Iterator[Task]:
        task = RecordedTask(name, total, unit, on_update=self._on_update)
        self.tasks.append(task)
        yield task

    def named(self, name: str) -> RecordedTask:
        """The first task of that name."""
        return next(task for task in self.tasks if task.name == name)
