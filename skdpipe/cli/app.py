"""What the commands share: the application, its consoles, its options, and what becomes of errors."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from skdpipe.errors import SkdpipeError

if TYPE_CHECKING:
    import torch

_INTERRUPTED = 130  # what typer makes of a KeyboardInterrupt

app = typer.Typer(
    help="From raw video to action labels: make the cheap skeletons nearly as good as the dear ones.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
# Paths and labels are printed as they are: "[1]" is no markup and ":x:" no emoji.
stdout = Console(markup=False, emoji=False)
stderr = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)

Config = Annotated[
    str, typer.Option("--config", "-c", help="A config's name (published, paper, demo) or file.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: key.path=value; may be repeated.")
]
Cache = Annotated[Path, typer.Option("--cache", envvar="SKDPIPE_CACHE", help="Where skeletons are kept.")]
Models = Annotated[Path, typer.Option("--models", help="Where trained networks are kept.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1...; the GPU if there is one.")]


def main() -> None:
    """Run a command; a user's mistake is one line and exit code 1, an interruption 130."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for file names that are not UTF-8
    try:
        app()
    except (SkdpipeError, OSError) as error:  # or a disk that is full, a folder that may not be written
        print_problem("red", "error", error)
        sys.exit(1)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            stderr.print("interrupted; the same command goes on where it stopped")
        raise


def print_line(line: str) -> None:
    """An answer, in one line however long."""
    stdout.print(line, soft_wrap=True)


def print_problem(colour: str, what: str, about: object) -> None:
    """A complaint, in one line."""
    stderr.print(Text.assemble((f"{what}:", colour), f" {about}"))


def print_json(answer: dict[str, object]) -> None:
    print(json.dumps(answer), flush=True)  # noqa: T201


def device_of(name: str) -> torch.device:
    import torch

    from skdpipe.errors import ConfigError

    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"cannot use device '{name}' ({str(error).splitlines()[0]}); try cpu") from error
    return device
