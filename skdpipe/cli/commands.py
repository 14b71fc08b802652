"""All commands, in the order of the help."""

from skdpipe.cli import (  # noqa: F401, I001
    extraction,
    poses,
    layouts,
    check,
    training,
    predict,
    evaluate,
    export,
    info,
    demo,
    webapp,
    experiments,
    profile,
    pose,
    cache,
    settings,
    doctor,
)
from skdpipe.cli.app import app, run

__all__ = ["app", "run"]
