"""What the commands share: the application, its options, its consoles, and the output of errors."""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand
from typer.rich_utils import rich_format_error

from skdpipe.errors import ConfigError, ProcessError, SkdpipeError, explaining_missing_extras, in_one_line
from skdpipe.launched import is_first_process, launched_processes, reported_once
from skdpipe.printable import printable
from skdpipe.storage import Place, place_of, require_path
from skdpipe.strict_json import to_strict_json

if TYPE_CHECKING:
    import torch

EVERYDAY: Final = "Everyday"
ELSEWHERE: Final = "Skeletons from elsewhere"
EXPERIMENTS: Final = "Experiments"
ESTIMATORS: Final = "Pose estimators"
SETTINGS: Final = "Settings"

_OF_SEVERAL_PROCESSES: Final = ("distill", "finetune")
_NO_READER: Final = 141  # the exit code that a shell gives a command that SIGPIPE ends


class LocalCommand(TyperCommand):
    """A command that refuses the address of a store where it expects a path."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            ConfigError: if an option or argument of a path is an address.
        """
        for name, value in ctx.params.items():
            for each in value if isinstance(value, list | tuple) else [value]:
                if isinstance(each, Path):
                    require_path(each, name)
        return super().invoke(ctx)


class PlainConsole(Console):
    """Prints a str, also in a table, as it is: "[1]" is no markup, ":x:" no emoji, a line break is escaped.

    A `Text` is printed with its line breaks and colours; names from files in it must be `printable`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """The text as it is printed."""
        return super().render_str(printable(text), **options)

    def on_broken_pipe(self) -> None:
        """End if nobody reads the output any more, as after ``skdpipe layouts | head -1``."""
        _end_without_reader()


app = typer.Typer(
    help="From raw video to action labels, with a low-cost pose estimator and a distilled student.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
stdout = PlainConsole()
stderr = PlainConsole(stderr=True, highlight=False, soft_wrap=True)


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
EstimatorConfig = Annotated[
    str,
    typer.Option(
        help="Config of another estimator than the bundle's: a YAML file or a name.",
        autocompletion=complete_config,
    ),
]
RuntimeName = Annotated[
    Literal["auto", "torch", "onnx", "openvino"],
    typer.Option(help="What runs the networks; auto takes the fastest that is installed."),
]
_CACHE_HELP = "Folder of the pose cache"
Cache = Annotated[
    Place,
    typer.Option(
        "--cache",
        envvar="SKDPIPE_CACHE",
        parser=place_of,
        metavar="PATH",
        help=f"{_CACHE_HELP}, also in a store: s3://bucket/folder.",
    ),
]
LocalCache = Annotated[Path, typer.Option("--cache", envvar="SKDPIPE_CACHE", help=f"{_CACHE_HELP}.")]
Models = Annotated[Path, typer.Option("--models", help="Folder of the trained networks.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1...; by default a GPU if present.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print_line(f"skdpipe {version('skdpipe')}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    _, count = launched_processes()
    if count > 1 and context.invoked_subcommand not in _OF_SEVERAL_PROCESSES:
        error = ConfigError(
            f"{count} processes run {context.invoked_subcommand}; expected one, because only "
            f"{' and '.join(_OF_SEVERAL_PROCESSES)} share their work under torchrun: run it without torchrun"
        )
        raise reported_once(error)


def run() -> NoReturn:
    """Run a command and exit: 0, 1 with one line about a user's mistake, or 2 if the command is unknown."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an encoding without all characters
    try:
        with _warnings_as_lines(), explaining_missing_extras():
            sys.exit(app(standalone_mode=False))
    except SkdpipeError as error:
        if not (isinstance(error, ProcessError) and error.reported):
            print_problem("red", "error", error)
        sys.exit(1)
    except OSError as error:  # a full disk, a folder without write permission
        print_problem("red", "error", _describe(error))
        sys.exit(1)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        error.message = printable(error.message)  # type: ignore[attr-defined]  # may contain a file's name
        rich_format_error(error)  # type: ignore[arg-type]  # a ClickException, typer has a copy of the class
        sys.exit(error.exit_code)  # type: ignore[attr-defined]


def _describe(error: OSError) -> str:
    """An error of the system that names the file, with a remedy."""
    if error.filename is None or error.strerror is None:
        return in_one_line(error)
    remedy = (
        "free some space" if error.errno == errno.ENOSPC else "expected a place that can be read and written"
    )
    return f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}; {remedy}"


def _end_without_reader() -> NoReturn:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())  # what is still in a buffer
    sys.exit(_NO_READER)


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Print each warning once, in one line; deprecations inside libraries are left out."""
    printed: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        line = " ".join(str(message).split())
        if line not in printed and is_first_process():
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


def print_lines(text: str) -> None:
    """Print several lines, without wrapping."""
    for line in text.split("\n"):
        print_line(line)


def print_note(what: str, about: str) -> None:
    """Print what is used, in one line on stderr."""
    stderr.print(Text(f"{what}: {printable(about)}"), soft_wrap=True)


def print_problem(colour: str, what: str, about: object) -> None:
    """Print an error or a warning in one line on stderr."""
    stderr.print(Text.assemble((f"{what}:", colour), " ", printable(str(about))))


def print_json(value: dict[str, object] | list[dict[str, object]]) -> None:
    """Print one JSON value in one line of ASCII; a number that is not finite is null."""
    print_plain(to_strict_json(value).replace("\x7f", r"\u007f"))


def print_plain(line: str) -> None:
    """Print a line that is printable already, as fast as possible."""
    try:
        print(line, flush=True)  # noqa: T201
    except BrokenPipeError:
        _end_without_reader()


def device_name(name: str) -> str:
    """As `device_of`, without importing torch where there is no GPU."""
    from skdpipe.runtimes import has_nvidia_gpu

    if name == "cpu" or (not name and not has_nvidia_gpu()):
        return "cpu"
    return str(device_of(name))


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
