"""What the commands share: the application, its options, its consoles, and the output of errors."""

from __future__ import annotations

import io
import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from skdpipe.errors import ConfigError, SkdpipeError, in_one_line

if TYPE_CHECKING:
    import torch

EVERYDAY: Final = "Everyday"
ELSEWHERE: Final = "Skeletons from elsewhere"
EXPERIMENTS: Final = "Experiments"
ESTIMATORS: Final = "Pose estimators"
SETTINGS: Final = "Settings"

_INTERRUPTED = 130  # typer's exit code of a KeyboardInterrupt

app = typer.Typer(
    help="From raw video to action labels, with a low-cost pose estimator and a distilled student.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
# Paths and labels are printed verbatim: "[1]" is not markup and ":x:" is not an emoji.
stdout = Console(markup=False, emoji=False)
stderr = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)


def complete_config(incomplete: str) -> list[tuple[str, str]]:
    """The names of configs that start with a text, with their summaries, for shell completion."""
    from skdpipe import list_configs

    return [(each.name, each.summary) for each in list_configs() if each.name.startswith(incomplete)]


_CONFIG_HELP = "Name of a config (`skdpipe config list`), or a YAML file."
ConfigName = Annotated[str, typer.Argument(help=_CONFIG_HELP, autocompletion=complete_config)]
ConfigOption = Annotated[
    str, typer.Option("--config", "-c", help=_CONFIG_HELP, autocompletion=complete_config)
]
Config = Annotated[
    str,
    typer.Option(
        "--config", "-c", envvar="SKDPIPE_CONFIG", help=_CONFIG_HELP, autocompletion=complete_config
    ),
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: key.path=value; may be repeated.")
]
Cache = Annotated[Path, typer.Option("--cache", envvar="SKDPIPE_CACHE", help="Folder of the pose cache.")]
Models = Annotated[Path, typer.Option("--models", help="Folder of the trained networks.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1...; by default a GPU if present.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print_line(f"skdpipe {version('skdpipe')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run a command; a user's mistake is one line and exit code 1, an interruption exit code 130."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for file names that are not UTF-8
    try:
        with _warnings_as_lines():
            app()
    except (SkdpipeError, OSError) as error:  # OSError: a full disk, a folder without write permission
        print_problem("red", "error", error)
        sys.exit(1)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            stderr.print("interrupted; the same command continues where it stopped")
        raise


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Print each warning once, in one line; deprecations inside libraries are left out."""
    printed: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        line = " ".join(str(message).split())
        if line not in printed:
            printed.add(line)
            print_problem("yellow", "warning", line)

    with warnings.catch_warnings():
        warnings.simplefilter("always", FutureWarning)
        for of_libraries in (DeprecationWarning, PendingDeprecationWarning):
            warnings.simplefilter("ignore", of_libraries)
        warnings.showwarning = show
        yield


def print_line(line: str) -> None:
    """Print a result in one line, without wrapping."""
    stdout.print(line, soft_wrap=True)


def print_problem(colour: str, what: str, about: object) -> None:
    """Print an error or a warning in one line on stderr."""
    stderr.print(Text.assemble((f"{what}:", colour), f" {about}"))


def print_json(value: dict[str, object] | list[dict[str, object]]) -> None:
    """Print one JSON value in one line."""
    print(json.dumps(value), flush=True)  # noqa: T201


def device_of(name: str) -> torch.device:
    """The device of that name; if empty, a GPU if present, otherwise the CPU.

    Raises:
        ConfigError: if it cannot be used.
    """
    import torch

    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"cannot use device '{name}' ({in_one_line(error)}); try cpu") from error
    return device
