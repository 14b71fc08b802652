"""The command line: each command reads its settings, calls one public function, and prints the result.

Modules with torch are imported when a command runs, so ``skdpipe --help`` is fast.
"""

__all__ = ["main"]


def main() -> None:
    """Run the command of ``sys.argv`` and exit, also on a signal."""
    from skdpipe.cli.interruption import ending_on_signals

    with ending_on_signals():
        from skdpipe.cli.commands import run

        run()
