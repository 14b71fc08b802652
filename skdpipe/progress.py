"""Progress bars with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from skdpipe.printable import printable

_SECONDS_BETWEEN_LINES = 30.0
_MOST = 200  # characters of a name or a note beside a bar


class Task:
    """A task whose progress is displayed; this one displays nothing."""

    def advance_to(self, done: float, note: str = "") -> None:
        """Set the amount of finished work, in the task's unit, and the note behind the bar."""

    def show_table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Show a table above the bar while the task runs, instead of the one before; only on a terminal."""


class _Display(RichProgress):
    """Bars below a table."""

    table: Table | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        """What is shown."""
        if self.table is not None:
            yield self.table
        yield from super().get_renderables()


class _Bar(Task):
    def __init__(self, bar: _Display, name: str, total: float | None, unit: str) -> None:
        self._bar, self._unit = bar, unit
        self._start = time.monotonic()
        self._first: float | None = None
        self._id = bar.add_task(printable(name, _MOST), total=total, rate="", note="")

    def advance_to(self, done: float, note: str = "") -> None:
        self._first = done if self._first is None else self._first
        rate = (done - self._first) / max(1e-9, time.monotonic() - self._start)
        self._bar.update(self._id, completed=done, rate=_pace(rate, self._unit), note=printable(note, _MOST))

    def show_table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        table = Table(box=None, pad_edge=False)
        for number, heading in enumerate(headings):
            table.add_column(_cell(heading), justify="right" if number else "left", no_wrap=True)
        for row in rows:
            table.add_row(*map(_cell, row))
        self._bar.table = table


@dataclass
class _Lines(Task):
    console: Console
    name: str
    total: float | None
    unit: str
    start: float = field(default_factory=time.monotonic)
    last: float = field(default_factory=time.monotonic)
    first: float | None = None
    finished: bool = False

    def advance_to(self, done: float, note: str = "") -> None:
        now = time.monotonic()
        self.first = done if self.first is None else self.first
        finishes = done == self.total and not self.finished
        if now - self.last < _SECONDS_BETWEEN_LINES and not finishes:
            return
        self.last, self.finished = now, finishes or self.finished
        rate = (done - self.first) / max(1e-9, now - self.start)
        total = f" of {self.total:g}" if self.total else ""
        left = f", {(self.total - done) / rate:.0f} s left" if self.total and rate else ""
        line = f"{self.name}: {done:g}{total} {self.unit}, {_pace(rate)}{left} {note}".rstrip()
        self.console.print(printable(line), markup=False, emoji=False, highlight=False, soft_wrap=True)


def _cell(text: str) -> Text:
    return Text(printable(text, _MOST))


def _pace(rate: float, unit: str = "") -> str:
    """The rate per second; below 0.1 per second, the time per unit."""
    if 0 < rate < 0.1:
        return f"{1 / rate:.0f} s each"
    return f"{rate:.1f} {unit}/s" if unit else f"{rate:.1f}/s"


class Progress:
    """Displays progress: bars on a terminal, a line every 30 seconds elsewhere, nothing if quiet.

    Args:
        console: by default standard error.
        quiet: display nothing.
    """

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self._console = console or Console(stderr=True)
        self._quiet = quiet

    @contextmanager
    def task(self, name: str, total: float | None = None, *, unit: str = "") -> Iterator[Task]:
        """Display a task of ``total`` units of work (None: unknown) during the ``with`` block."""
        if self._quiet:
            yield Task()
        elif self._console.is_terminal:
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}", markup=False),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", markup=False),
            )
            with _Display(*columns, console=self._console) as bar:
                try:
                    yield _Bar(bar, name, total, unit)
                finally:
                    bar.table = None
        else:
            yield _Lines(self._console, name, total, unit)
