"""A signal ends the command line soon, with one line, the exit code of the signal and no children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="children are found in /proc")

LINE = "interrupted; the same command continues where it stopped\n"
# The work is in place of the commands; "ready" is printed when it has begun.
PROGRAM = """
import signal, subprocess, sys, time, threading
import skdpipe.cli
commands = type(sys)("skdpipe.cli.commands")
def ready():
    print("ready", flush=True)
def run():
{work}
commands.run = run
sys.modules["skdpipe.cli.commands"] = commands
skdpipe.cli.main()
"""
WAITS = "ready(); time.sleep(60)"
CLEANS_UP = """
try:
    ready(); time.sleep(60)
finally:
    print("cleaned up", flush=True)
"""
IN_A_LIBRARY = """
import ctypes
ready(); ctypes.CDLL(None).poll(None, 0, 60_000); time.sleep(60)
while ctypes.CDLL(None).poll(None, 0, 60_000): pass
"""
IGNORES = """
ready()
while True:
    try: time.sleep(60)
    except BaseException: pass
"""
WITH_A_THREAD = """
threading.Thread(target=time.sleep, args=[60]).start()
ready(); time.sleep(60)
"""
IN_A_FINALISER = """
class Slow:
    def __del__(self):
        ready(); time.sleep(60)
slow = Slow()
del slow
time.sleep(60)
"""
WITH_CHILDREN = """
starts_another = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
sleeps = "import time; time.sleep(60)"
for program in (sleeps, f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {sleeps}"):
    subprocess.Popen([sys.executable, "-c", starts_another, program])
time.sleep(1); ready(); time.sleep(60)
"""
IN_A_WORKER = """
from torch.utils.data import DataLoader
class Slow:
    def __len__(self): return 100
    def __getitem__(self, index): time.sleep(0.05); return index
for batch in DataLoader(Slow(), num_workers=2):
    if batch[0] == 4: ready()
"""  # fmt: skip
ENDS_A_CHILD = """
import multiprocessing
child = multiprocessing.get_context("fork").Process(target=time.sleep, args=[60])
child.start(); ready(); time.sleep(0.5); child.terminate(); child.join(); time.sleep(1.5)
print(child.exitcode); sys.exit(7)
"""
FAILS_BECAUSE_OF_IT = """
try:
    ready(); time.sleep(60)
except BaseException as error:
    raise RuntimeError("a library's own error") from error
"""


class End(NamedTuple):
    code: int
    out: str
    err: str
    seconds: float
    left: list[str]


def processes_of(session: int) -> list[str]:
    """The processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        state, _, _, its_session, *_ = text.rpartition(")")[2].split()
        if int(its_session) == session and state not in "ZX":
            found.append(text)
    return found


def interrupt(work: str, signals: Sequence[int], *, group: bool = False, **options: object) -> End:
    """Start work, send signals when it has begun, and wait for the end."""
    indented = "".join(f"    {line}\n" for line in work.strip().splitlines())
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(work=indented)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    start = time.monotonic()
    for number in signals:
        (os.killpg if group else os.kill)(process.pid, number)
        time.sleep(0.1)
    out, err = process.communicate(timeout=60)
    seconds, last = time.monotonic() - start, time.monotonic() + 5
    while (left := processes_of(process.pid)) and time.monotonic() < last:
        time.sleep(0.05)
    return End(process.returncode, out, err, seconds, left)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_exit_code_is_that_of_the_signal(number: signal.Signals) -> None:
    end = interrupt(CLEANS_UP, [number])
    assert (end.code, end.out, end.err, end.left) == (128 + number, "cleaned up\n", LINE, [])


@pytest.mark.parametrize(
    "work", [IN_A_LIBRARY, IGNORES, WITH_A_THREAD, IN_A_FINALISER, WITH_CHILDREN, FAILS_BECAUSE_OF_IT]
)
def test_it_ends_whatever_it_does(work: str) -> None:
    end = interrupt(work, [signal.SIGTERM])
    assert (end.code, end.err, end.left) == (143, LINE, [])
    assert end.seconds < 10  # two, if the machine has nothing else to do


def test_a_second_signal_ends_at_once_with_the_code_of_the_first() -> None:
    end = interrupt(IGNORES, [signal.SIGINT, signal.SIGTERM])
    assert (end.code, end.err, end.left) == (130, LINE, [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_that_read_clips_end_too(number: signal.Signals) -> None:
    end = interrupt(IN_A_WORKER, [number], group=True)  # Ctrl+C reaches the workers as well
    assert (end.code, end.err, end.left) == (128 + number, LINE, [])


def test_a_signal_for_a_worker_is_not_one_for_the_command() -> None:
    end = interrupt(ENDS_A_CHILD, [])
    assert (end.code, end.out, end.err) == (7, "-15\n", "")


def test_what_is_ignored_stays_ignored() -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does

    end = interrupt("ready(); time.sleep(2); sys.exit(3)", [signal.SIGHUP], preexec_fn=ignore)
    assert (end.code, end.err) == (3, "")


def test_nobody_needs_to_read_the_line() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while os.write(writing, b"x" * 4096):
            pass
    except BlockingIOError:
        os.set_blocking(writing, True)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(work=f"    {WAITS}")], stdout=subprocess.PIPE, stderr=writing
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    assert process.wait(60) == 143
    for end in (reading, writing):
        os.close(end)


def test_nothing_is_printed_after_the_reader_has_gone() -> None:
    command = f"{sys.executable} -m skdpipe config show demo | head -1"
    done = subprocess.run(
        ["bash", "-c", f"{command}; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[1] == "141"
    assert done.stderr == ""
