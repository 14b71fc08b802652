"""The command about the layouts of joints."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from skdpipe.cli.app import ELSEWHERE, app, print_lines, stdout


@app.command(rich_help_panel=ELSEWHERE)
def layouts(
    name: Annotated[str, typer.Argument(help="A layout to print as YAML; by default all are listed.")] = "",
) -> None:
    """List the layouts of joints, or print one as the YAML file that describes it."""
    import yaml

    from skdpipe.config import to_plain
    from skdpipe.skeleton import LAYOUTS, describe_layout, layout_named

    if name:
        plain = to_plain(describe_layout(layout_named(name)), only_changed=True)
        print_lines(yaml.safe_dump(plain, sort_keys=False, default_flow_style=None, width=100).rstrip())
        return
    table = Table("layout", "joints", "root", "first joints")
    for layout in LAYOUTS.values():
        table.add_row(layout.name, str(len(layout)), layout.root, " ".join(layout.joints[:3]) + " ...")
    stdout.print(table)
