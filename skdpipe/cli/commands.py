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
from typer import Typer

from skdpipe.cli.app import LocalCommand, app, run

__all__ = ["app", "run"]


def _refuse_addresses(family: Typer) -> None:
    for command in family.registered_commands:
        if command.cls is None or not issubclass(command.cls, LocalCommand):
            command.cls = LocalCommand
    for group in family.registered_groups:
        if group.typer_instance is not None:
            _refuse_addresses(group.typer_instance)


_refuse_addresses(app)
