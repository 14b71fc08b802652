"""Logs of a training for other programs: a CSV table, and event files of TensorBoard.

A log is a copy of the curves in the training state or the bundle. It is written from all of them when a
training starts, so that after an interruption no epoch is missing and none is there twice. It does not change
the training: if it cannot be written, the training goes on.
"""

from __future__ import annotations

import csv
import io
import os
import socket
import time
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol

import yaml

from skdpipe.atomic_file import write_text_atomically
from skdpipe.config import Experiment, to_plain
from skdpipe.distill.methods import Method
from skdpipe.distill.run_folder import RunFolder
from skdpipe.distill.training_state import Curve
from skdpipe.errors import ConfigError, in_brief, in_one_line, require_extra
from skdpipe.printable import printable

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]

_FORMATS: Final = ("csv", "tensorboard")
_EVENT_FILE: Final = "events.out.tfevents."
_LONGEST_NAME: Final = 80


class TrainingLog(Protocol):
    """A log of one training."""

    @property
    def path(self) -> Path:
        """The file or the folder that it writes."""

    def write(self, curves: Sequence[Curve]) -> None:
        """Write the curves of all epochs so far.

        Raises:
            OSError: if that is not possible.
        """

    def close(self) -> None:
        """Finish writing."""


def require_log_formats(formats: Collection[str]) -> None:
    """Check that logs in these formats can be written.

    Raises:
        ConfigError: if a format is unknown.
        MissingDependencyError: if a package is not installed.
    """
    for each in formats:
        if each not in _FORMATS:
            raise ConfigError(f"unknown log {in_brief(each)}; expected {' or '.join(_FORMATS)}")
    if "tensorboard" in formats:
        require_extra("tensorboard", "tensorboard")


@contextmanager
def training_log(
    formats: Collection[str], folder: RunFolder, method: Method, experiment: Experiment
) -> Iterator[TrainingLog]:
    """The logs of a method's training as one, during the ``with`` block.

    A log that cannot be written is given up with one warning.
    """
    logs: list[TrainingLog] = []
    if "csv" in formats:
        logs.append(CsvLog(folder.training_table(method.name)))
    if "tensorboard" in formats:
        logs.append(TensorBoardLog(folder.event_files(method.name), experiment))
    log = _ForgivingLog(folder.path, logs)
    try:
        yield log
    finally:
        log.close()


class _ForgivingLog:
    """Several logs; one that fails is given up with a warning."""

    def __init__(self, path: Path, logs: Sequence[TrainingLog]) -> None:
        self.path = path
        self._logs = list(logs)

    def write(self, curves: Sequence[Curve]) -> None:
        for log in [*self._logs]:
            try:
                log.write(curves)
            except OSError as error:
                self._logs.remove(log)
                with suppress(OSError):  # what is still in a buffer
                    log.close()
                reason = error.strerror or in_one_line(error)
                warnings.warn(
                    f"{log.path}: cannot log the training ({reason}); it goes on without this log, which the "
                    "same command writes later",
                    stacklevel=2,
                )

    def close(self) -> None:
        for log in self._logs:
            log.close()


class CsvLog:
    """A table with a row for each epoch, replaced after each epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, curves: Sequence[Curve]) -> None:
        rows = [_named_values(curve) for curve in curves]
        text = io.StringIO()
        columns = ["epoch", *dict.fromkeys(name for row in rows for name in row)]
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows({"epoch": epoch, **row} for epoch, row in enumerate(rows, 1))
        write_text_atomically(self.path, text.getvalue())

    def close(self) -> None:
        pass


class TensorBoardLog:
    """A scalar for each value, with the epoch's number as step, and the settings of the run as text.

    Each start of a training writes a new event file with all its epochs so far, which replace the earlier.
    Events are written by this thread, so that an error is raised here: `SummaryWriter` has a thread for them.
    """

    def __init__(self, folder: Path, experiment: Experiment) -> None:
        self.path = folder
        self._experiment = experiment
        self._file: IO[bytes] | None = None
        self._written = 0

    def write(self, curves: Sequence[Curve]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from torch.utils.tensorboard.summary import scalar

        file, now = self._file or self._start(), time.time()
        for epoch in range(self._written, len(curves)):
            finished = now - sum(curve.seconds for curve in curves[epoch + 1 :])
            for name, value in _named_values(curves[epoch]).items():
                if value is not None:
                    summary = scalar(name, value)  # type: ignore[no-untyped-call]
                    _append(file, Event(step=epoch + 1, wall_time=finished, summary=summary))
        self._written = len(curves)
        file.flush()

    def _start(self) -> IO[bytes]:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from torch.utils.tensorboard.summary import text

        before, now = sorted(self.path.glob(f"{_EVENT_FILE}*")), time.time()
        self.path.mkdir(parents=True, exist_ok=True)
        name = f"{_EVENT_FILE}{now:.6f}.{socket.gethostname()}.{os.getpid()}"  # read in their order
        self._file = (self.path / name).open("xb")
        settings = yaml.safe_dump(to_plain(self._experiment), sort_keys=False)
        code = "".join(f"    {printable(line)}\n" for line in settings.splitlines())  # in Markdown
        for event in (
            Event(wall_time=now, file_version="brain.Event:2"),
            # A reader forgets the steps of earlier files.
            Event(wall_time=now, step=0, session_log=SessionLog(status=SessionLog.START)),
            Event(wall_time=now, step=0, summary=text("settings", code)),  # type: ignore[no-untyped-call]
        ):
            _append(self._file, event)
        self._file.flush()
        for each in before[:-1]:  # a running TensorBoard may be reading the last one
            each.unlink()
        return self._file

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _append(file: IO[bytes], event: Event) -> None:
    from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

    RecordWriter(file).write(event.SerializeToString())


def _named_values(curve: Curve) -> dict[str, float | None]:
    """The values of an epoch by the names that they have in a log."""
    return {
        "learning_rate": curve.learning_rate,
        "seconds": curve.seconds,
        "clips": curve.clips,
        "clips_per_second": curve.clips_per_second,
        "training_top1": curve.training_top1,
        "test_top1": curve.test_top1,
        **{f"loss/{printable(name, _LONGEST_NAME)}": value for name, value in curve.losses.items()},
        **{f"cosine/{printable(name, _LONGEST_NAME)}": value for name, value in curve.cosines.items()},
        **{f"revised/{printable(name, _LONGEST_NAME)}": value for name, value in curve.revised.items()},
    }
