"""The end of a command by a signal: within two seconds, with one line, and without children left."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from skdpipe.launched import is_first_process

_LINE: Final = "interrupted; the same command continues where it stopped\n"
_FINAL_LINE: Final = "interrupted\n"
_GRACE: Final = 1.0  # seconds for an orderly end
_PATIENCE: Final = 0.3  # seconds for the last line or for the end of children
_INTERRUPTED: Final = 130  # the exit code that typer gives a KeyboardInterrupt
_SHOW_CURSOR: Final = "\x1b[?25h\n"  # a progress bar hides it


class NothingToContinue(SystemExit):
    """Raised for a KeyboardInterrupt by a command that does not continue where it stopped."""

    def __init__(self) -> None:
        super().__init__(_INTERRUPTED)


@contextmanager
def starting_over() -> Iterator[None]:
    """What a command does that starts over the next time.

    Raises:
        NothingToContinue: after an interruption.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise NothingToContinue from None


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """End the process on SIGINT, SIGTERM or SIGHUP during the ``with`` block; exit code 128 + signal.

    The first signal raises KeyboardInterrupt in the main thread. If the process is still there a second
    later, for instance in a long call of a library, or if another signal arrives, it ends at once, which
    loses nothing because every file is written atomically. SIGHUP stays ignored under nohup; SIGINT counts
    also where a script's shell has started the command in the background, with SIGINT ignored.
    """
    signals = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # not on Windows
        signals.append(signal.SIGHUP)
    ending = _Ending(signals)
    with ending.prepared():
        try:
            yield
        except BaseException as end:
            interrupted = isinstance(end, KeyboardInterrupt) or (
                isinstance(end, SystemExit) and end.code == _INTERRUPTED
            )
            if ending.signal is None and not interrupted:
                raise
            ending.in_order(_FINAL_LINE if isinstance(end, NothingToContinue) else _LINE)
        finally:
            ending.is_over = True


class _Ending:
    """How this process ends after one of several signals."""

    def __init__(self, signals: list[signal.Signals]) -> None:
        self.signal: int | None = None
        self.is_over = False
        self._signals = signals
        self._printed = threading.Lock()

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Handle the signals during the block."""
        reading, writing = socket.socketpair()
        writing.setblocking(False)
        hooks = sys.unraisablehook, threading.excepthook
        sys.unraisablehook, threading.excepthook = (self._unless_ending(hook) for hook in hooks)
        fd = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        handlers = {each: signal.signal(each, self._interrupt) for each in self._signals}
        threading.Thread(target=self._watch, args=[reading], daemon=True).start()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)
        try:
            yield
        finally:
            for each, handler in handlers.items():
                signal.signal(each, handler)
            signal.set_wakeup_fd(fd)
            sys.unraisablehook, threading.excepthook = hooks
            writing.close()
            atexit.register(signal.signal, signal.SIGINT, signal.SIG_DFL)  # Python ends without traceback

    def _interrupt(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None or self.is_over:
            self._at_once(self.signal or number)
        self.signal = number
        raise KeyboardInterrupt

    def _watch(self, reading: socket.socket) -> None:
        """Wait for one of the signals, which Python writes even while the main thread is in a library."""
        while number := reading.recv(1):
            if number[0] in self._signals:
                time.sleep(_GRACE)
                self._at_once(number[0])

    def _unless_ending(self, hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A hook that prints no errors of threads and finalisers after a signal."""
        return lambda error: None if self.signal is not None else hook(error)

    def _forget(self) -> None:
        """In a forked child: SIGTERM ends it, an interruption is the parent's matter."""
        for each in self._signals:
            if signal.getsignal(each) == self._interrupt:
                signal.set_wakeup_fd(-1)
                signal.signal(each, signal.SIG_IGN if each == signal.SIGINT else signal.SIG_DFL)

    def in_order(self, line: str) -> NoReturn:
        """End the children and then this process, with the line."""
        if hasattr(signal, "SIGCHLD"):
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's handler reports killed children
        _end_descendants()
        self._print(line)
        if self.signal is None:
            sys.exit(_INTERRUPTED)
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        atexit._run_exitfuncs()  # the remaining end of Python may wait for threads
        os._exit(128 + self.signal)

    def _at_once(self, number: int) -> NoReturn:
        _end_descendants()
        is_terminal = os.isatty(2) and os.environ.get("TERM") != "dumb"
        text = (_SHOW_CURSOR if is_terminal else "") + _LINE
        printing = threading.Thread(target=self._print, args=[text], daemon=True)
        printing.start()
        printing.join(_PATIENCE)  # not for ever: nobody may be reading
        os._exit(128 + number)

    def _print(self, text: str) -> None:
        if is_first_process() and self._printed.acquire(blocking=False):
            with suppress(OSError, ValueError):  # closed
                sys.stderr.write(text)
                sys.stderr.flush()


def _end_descendants() -> None:
    """Kill the processes below this one, where /proc lists them; elsewhere they end by themselves."""
    me = os.getpid()
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = stat.read_text(errors="replace").rpartition(")")[2].split()[1]
            children.setdefault(int(parent), []).append(int(stat.parent.name))
    found = [me]
    for each in found:
        found += children.get(each, [])
    for each in found[1:]:
        with suppress(OSError):
            os.kill(each, signal.SIGKILL)
    last = time.monotonic() + _PATIENCE
    for each in children.get(me, []):
        with suppress(OSError):  # waited for elsewhere
            while os.waitpid(each, os.WNOHANG)[0] == 0 and time.monotonic() < last:
                time.sleep(0.005)
