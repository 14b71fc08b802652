"""The command that checks the installation and the machine."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from skdpipe.cli.app import (
    SETTINGS,
    Config,
    LocalCache,
    Overrides,
    app,
    print_json,
    print_line,
    stderr,
    stdout,
)
from skdpipe.cli.interruption import starting_over
from skdpipe.printable import printable

if TYPE_CHECKING:
    from skdpipe.doctor import Diagnosis
    from skdpipe.finding import Finding

_COLOURS: Final = {"fine": "green", "note": "cyan", "warning": "yellow", "problem": "red"}


@app.command(rich_help_panel=SETTINGS)
def doctor(
    videos: Annotated[
        list[Path] | None, typer.Argument(help="Videos, folders or CSV files that you will extract.")
    ] = None,
    config: Config = "published",
    overrides: Overrides = None,
    cache: LocalCache = Path("pose_cache"),
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Read every entry of the cache, not a sample.")
    ] = False,
    online: Annotated[
        bool, typer.Option("--online", help="Try whether missing weights can be downloaded.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 also for a warning.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as a JSON array.")] = False,
) -> None:
    """Check this installation and machine, each finding with a remedy; exit code 1 if there is a problem.

    A problem stops a command or makes results wrong; a warning may slow it down or stop it later.

    A note is about what is not there and need not be. With --strict, a warning gives exit code 1 too.

    The settings of --set start with the section of the config: extraction. or experiment.
    """
    from skdpipe import Progress, diagnose

    with starting_over():
        diagnoses = diagnose(
            config,
            overrides or (),
            videos=videos or (),
            cache=cache,
            thorough=thorough,
            online=online,
            progress=Progress(stderr),
        )
    counts = {level: sum(each.count(level) for each in diagnoses) for level in ("problem", "warning", "note")}
    if json:
        print_json([_to_plain(each.subject, finding) for each in diagnoses for finding in each.findings])
    else:
        for each in diagnoses:
            _print(each)
        print_line(", ".join(f"{level}s: {count}" for level, count in counts.items()))
    if counts["problem"] or (strict and counts["warning"]):
        sys.exit(1)


def _to_plain(subject: str, finding: Finding) -> dict[str, object]:
    values = asdict(finding)
    del values["clips"]  # which only the checks of data have
    return {"subject": subject, **values}


def _print(diagnosis: Diagnosis) -> None:
    if not diagnosis.findings:
        return
    stdout.print(Text(diagnosis.subject, style="bold"))
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in diagnosis.findings:
        level = Text(finding.level, style=_COLOURS[finding.level])
        table.add_row(level, finding.name, Text(printable(finding.text)))
        if finding.remedy:
            table.add_row("", "", Text(f"→ {printable(finding.remedy)}", style="dim"))
    stdout.print(table)
