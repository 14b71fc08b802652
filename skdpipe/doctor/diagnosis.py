"""The checks of all subjects, in a few processes that run at the same time."""

from __future__ import annotations

import json
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from skdpipe.doctor.setup import Setup
from skdpipe.doctor.worker import failed
from skdpipe.finding import Finding, Level
from skdpipe.progress import Progress

SUBJECTS: Final = {
    "machine": "Python and machine",
    "packages": "Packages",
    "pytorch": "PyTorch",
    "openpifpaf": "OpenPifPaf",
    "videos": "Videos and images",
    "runtimes": "Faster runtimes",
    "weights": "Weights and exported networks",
    "pose_cache": "Pose cache",
    "needs": "What the config needs",
}
"""Module and title of each subject, in the order of the output."""

_TOGETHER: Final = (  # in a process: torch is imported once
    ("pytorch", "openpifpaf", "needs"),
    ("machine", "packages", "videos"),
    ("runtimes", "weights", "pose_cache"),
)
_SECONDS: Final = 60.0  # without a message from a process

Messages = queue.SimpleQueue[tuple["_Process", str]]


@dataclass(frozen=True)
class Diagnosis:
    """The findings about one subject.

    Attributes:
        subject: what it is about, as a title.
        findings: of its checks, in their order.
    """

    subject: str
    findings: tuple[Finding, ...]

    def count(self, level: Level) -> int:
        """Number of findings of a level."""
        return sum(finding.level == level for finding in self.findings)


def diagnose(
    config: str = "published",
    overrides: Sequence[str] = (),
    *,
    videos: Sequence[Path] = (),
    cache: Path = Path("pose_cache"),
    thorough: bool = False,
    online: bool = False,
    progress: Progress | None = None,
) -> list[Diagnosis]:
    """Check this installation and machine, and whether they have what a config needs.

    Whatever is wrong is a finding, also a config that cannot be read, and a check that fails, ends its
    process or does not return. Nothing is installed, downloaded, repaired or deleted.

    Args:
        config: name or path of the config.
        overrides: of its settings, ``extraction.key.path=value`` or ``experiment.key.path=value``.
        videos: that are to be extracted, as for `find_videos`; their number and length determine the need.
        cache: folder of the pose cache, which need not exist.
        thorough: read every cached sequence, instead of a sample.
        online: try whether weights that are missing can be downloaded.
        progress: shows the checks that are running.

    Returns:
        The findings by subject, in a fixed order.
    """
    setup = Setup(
        config,
        tuple(overrides),
        tuple(videos),
        cache,
        thorough=thorough,
        online=online,
        encoding=getattr(sys.stdout, "encoding", None) or "ascii",
    )
    found = run_checks(_TOGETHER, setup, progress or Progress(quiet=True))
    return [
        Diagnosis(title, tuple(found[subject])) for subject, title in SUBJECTS.items() if subject in found
    ]


def run_checks(
    together: Sequence[Sequence[str]], setup: Setup, progress: Progress, *, seconds: float = _SECONDS
) -> dict[str, list[Finding]]:
    """The findings by subject.

    Args:
        together: names of the modules whose checks run in one process.
        setup: what is diagnosed.
        progress: shows the checks that are running.
        seconds: after which a process that sends no message is ended.
    """
    messages: Messages = queue.SimpleQueue()
    running = [_Process(subjects, setup, seconds) for subjects in together]
    found: dict[str, list[Finding]] = {subject: [] for subjects in together for subject in subjects}
    begun = 0
    try:
        for each in running:
            each.start(messages)
        with progress.task("checking", unit="checks") as task:
            while running:
                try:
                    left = min(each.deadline for each in running) - time.monotonic()
                    process, line = messages.get(timeout=max(0.0, left))
                except queue.Empty:
                    for each in running:
                        each.end_if_silent()
                    continue
                if line:
                    begun += process.receive(line, found)
                elif process.is_finished(found):
                    running.remove(process)
                else:
                    process.start(messages)
                task.advance_to(begun, ", ".join(each.check for each in running if each.check))
    finally:
        for each in running:
            each.end()
    return found


@dataclass(eq=False)
class _Process:
    """Runs the checks of some subjects; after a check that ends the process, another process goes on.

    Attributes:
        subjects: names of the modules.
        setup: what is diagnosed.
        seconds: after which the process is ended if it sends no message.
        check: the check that is running; empty between checks.
        deadline: time at which the process is ended, in seconds of the monotonic clock.
    """

    subjects: Sequence[str]
    setup: Setup
    seconds: float
    check: str = ""
    deadline: float = 0.0
    _subject: str = ""
    _begun: list[tuple[str, str]] = field(default_factory=list)
    _is_silent: bool = False
    _process: subprocess.Popen[bytes] | None = None
    _errors: IO[bytes] | None = None

    def start(self, messages: Messages) -> None:
        """Start a process for the checks that have not begun; its lines, then "", are put into the queue."""
        self.check, self._subject, self._is_silent = "", self.subjects[0], False
        self.deadline = time.monotonic() + self.seconds
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `end`
        same_imports = os.pathsep.join(each or str(Path.cwd()) for each in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "skdpipe.doctor.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": same_imports},
        )
        threading.Thread(target=self._forward, args=(messages,), daemon=True).start()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(pickle.dumps((self.subjects, self._begun, self.setup)))

    def _forward(self, messages: Messages) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                messages.put((self, line.decode()))
        messages.put((self, ""))

    def receive(self, line: str, found: dict[str, list[Finding]]) -> bool:
        """Keep what a message contains; whether it is the start of a check."""
        self.deadline = time.monotonic() + self.seconds
        match json.loads(line):
            case ["begin", str(subject), str(check)]:
                self._subject, self.check = subject, check
                self._begun.append((subject, check))
                return True
            case ["finding", dict(values)]:
                found[self._subject].append(Finding(**{**values, "clips": tuple(values["clips"])}))
            case ["end"]:
                self.check = ""
        return False

    def end_if_silent(self) -> None:
        """End the process if its time is over."""
        if time.monotonic() >= self.deadline and self._process is not None:
            self._is_silent, self.deadline = True, time.monotonic() + self.seconds
            self._process.kill()

    def is_finished(self, found: dict[str, list[Finding]]) -> bool:
        """Whether no checks are left when the process has ended; a check that ended it is a finding."""
        assert self._process is not None
        code = self._process.wait()
        if code == 0 and not self.check:
            self.end()
            return True
        last_line = self._last_error()
        reason = (
            f"no answer in {self.seconds:g} s"
            if self._is_silent
            else f"its process ended with exit code {code}" + (f" ({last_line})" if last_line else "")
        )
        found[self._subject].append(failed(self.check or "all-checks", reason))
        self.end()
        return not self.check  # not a check has ended it: so would the next process

    def _last_error(self) -> str:
        assert self._errors is not None
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")

    def end(self) -> None:
        """End the process if it runs, and close what belongs to it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._errors is not None:
            self._errors.close()
            self._errors = None
