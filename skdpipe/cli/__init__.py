"""The command line: each command reads its settings, calls one public function, and prints.

Nothing heavy is imported before a command runs, so that ``skdpipe --help`` answers at once.
"""

from skdpipe.cli import skeletons, training, inference, pose, demo  # noqa: F401, I001  # in the order of the help
from skdpipe.cli.app import app, main

__all__ = ["app", "main"]
