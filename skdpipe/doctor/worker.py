"""The process that runs checks: ``python -m skdpipe.doctor.worker``.

It is given the subjects, the checks to leave out, and the setup, on standard input. It writes a JSON array a
line: ``["begin", subject, check]``, ``["finding", {...}]``, ``["alive"]``, ``["end"]`` of the check. What
libraries print goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import sys
from collections.abc import Collection, Iterator
from dataclasses import asdict
from typing import TextIO

from skdpipe.doctor.setup import Check, Setup
from skdpipe.errors import SkdpipeError, in_one_line
from skdpipe.finding import Finding


def serve() -> None:
    """Run the checks that standard input names."""
    subjects, leave_out, setup = pickle.load(sys.stdin.buffer)  # from the process that started this one
    with os.fdopen(os.dup(1), "w", encoding="ascii") as out:
        os.dup2(2, 1)
        for subject in subjects:
            _run(subject, leave_out, setup, out)


def _run(subject: str, leave_out: Collection[tuple[str, str]], setup: Setup, out: TextIO) -> None:
    def send(*message: object) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    checks: dict[str, Check] = importlib.import_module(f"skdpipe.doctor.{subject}").CHECKS
    for name, check in checks.items():
        if (subject, name) not in leave_out:
            send("begin", subject, name)
            for finding in guarded(name, check, setup):
                send(*(["alive"] if finding is None else ["finding", asdict(finding)]))
            send("end")


def guarded(name: str, check: Check, setup: Setup) -> Iterator[Finding | None]:
    """The findings of a check; an error of the check is its last finding."""
    try:
        yield from check(setup)
    except SkdpipeError as error:
        yield Finding(name, "problem", str(error), "follow the message, and run `skdpipe doctor` again")
    except Exception as error:
        yield failed(name, in_one_line(error))


def failed(name: str, reason: str) -> Finding:
    """The finding that a check itself failed."""
    return Finding(
        name,
        "problem",
        f"this check failed: {reason}",
        "reinstall the package that the message names; if none is named, report it with the output of "
        "`skdpipe doctor --json`",
    )


if __name__ == "__main__":
    serve()
