"""The command line: each command reads its settings, calls one public function, and prints the result.

Modules with torch are imported when a command runs, so ``skdpipe --help`` is fast.
"""

import signal

__all__ = ["main"]


def main() -> None:
    """Run the command of ``sys.argv`` and exit, also on a signal."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback from the following imports
    try:
        from skdpipe.cli.interruption import ending_on_signals

        with ending_on_signals():
            from skdpipe.cli.commands import run

            run()
    finally:
        signal.signal(signal.SIGINT, before)
