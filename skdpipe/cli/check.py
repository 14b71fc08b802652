"""The command that checks data before training."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from skdpipe.cli.app import EVERYDAY, Cache, Config, Overrides, app, print_json, print_line, stderr, stdout
from skdpipe.printable import printable

_COLOURS: Final = {"fine": "green", "warning": "yellow", "problem": "red"}


@app.command(rich_help_panel=EVERYDAY)
def check(
    config: Config = "published",
    overrides: Overrides = None,
    cache: Cache = Path("pose_cache"),
    json: Annotated[bool, typer.Option("--json", help="Print the findings as a JSON array.")] = False,
) -> None:
    """Check skeletons, labels and split before training; exit code 1 if there is a problem."""
    from skdpipe import Experiment, PoseCache, Progress, check_data, load_config
    from skdpipe.finding import first_few

    experiment = load_config(Experiment, config, overrides or (), section="experiment")
    report = check_data(PoseCache(cache), experiment, Progress(stderr))
    if json:
        print_json([asdict(finding) for finding in report.findings])
    else:
        table = Table("check", "level", "finding")
        for finding in report.findings:
            lines = [finding.text]
            if finding.clips:
                lines.append(first_few(finding.clips))
            if finding.remedy:
                lines.append(f"→ {finding.remedy}")
            level = Text(finding.level, style=_COLOURS[finding.level])
            table.add_row(finding.name, level, Text("\n".join(map(printable, lines))))
        stdout.print(table)
        print_line(f"problems: {report.count('problem')}, warnings: {report.count('warning')}")
    if report.count("problem"):
        sys.exit(1)
