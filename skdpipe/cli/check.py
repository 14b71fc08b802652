"""The command that checks data before training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from skdpipe.cli.app import EVERYDAY, Cache, Config, Overrides, app, print_line, stderr, stdout

_COLOURS: Final = {"fine": "green", "warning": "yellow", "problem": "red"}


@app.command(rich_help_panel=EVERYDAY)
def check(
    config: Config = "published",
    overrides: Overrides = None,
    cache: Cache = Path("pose_cache"),
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check skeletons, labels and split before training; exit code 1 if there is a problem."""
    from rich.text import Text

    from skdpipe import Experiment, PoseCache, Progress, check_data, load_config
    from skdpipe.check.finding import listed

    experiment = load_config(Experiment, config, overrides or (), section="experiment")
    report = check_data(PoseCache(cache), experiment, Progress(stderr))
    if json:
        print_line(report.to_json())
    else:
        table = Table("check", "", "finding and remedy", show_lines=False)
        for finding in report.findings:
            lines = [finding.text]
            lines += [f"→ {finding.remedy}"] if finding.remedy and finding.level != "fine" else []
            lines += [f"  {listed(finding.clips)}"] if finding.clips else []
            level = Text(finding.level, style=_COLOURS[finding.level])
            table.add_row(finding.name, level, Text("\n".join(lines)))
        stdout.print(table)
        print_line(f"{report.count('problem')} problems, {report.count('warning')} warnings")
    if report.count("problem"):
        sys.exit(1)
