"""The command line: each command reads its settings, calls one public function, and prints the result.

Modules with torch are imported when a command runs, so ``skdpipe --help`` is fast.
"""

from skdpipe.cli import (  # noqa: F401, I001  # in the order of the help
    extraction,
    poses,
    layouts,
    check,
    training,
    inference,
    demo,
    experiments,
    pose,
    settings,
)
from skdpipe.cli.app import app, main

__all__ = ["app", "main"]
