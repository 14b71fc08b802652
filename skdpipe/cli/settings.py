"""Commands about configs."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from skdpipe.cli.app import SETTINGS, ConfigName, Overrides, app, print_lines, stdout

config = typer.Typer(
    help="List configs, show their settings with documentation, or print a JSON schema.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(config, name="config", rich_help_panel=SETTINGS)


@config.command("list")
def list_names() -> None:
    """List the configs that come with skdpipe."""
    from skdpipe import list_configs

    table = Table("name", "summary", box=None)
    for each in list_configs():
        table.add_row(each.name, each.summary)
    stdout.print(table)


@config.command()
def show(
    name: ConfigName,
    section: Annotated[str, typer.Option(help="Show this section only.")] = "",
    overrides: Overrides = None,
) -> None:
    """Print a config as YAML, with the value, range, default and documentation of every setting."""
    from skdpipe import describe_config

    print_lines(describe_config(name, section=section, overrides=overrides or ()).rstrip())


@config.command()
def schema(
    kind: Annotated[
        str,
        typer.Argument(
            help="A section (experiment, extraction...), estimator, estimator-noise, pose-training."
        ),
    ] = "",
) -> None:
    """Print the JSON schema of config files, or of one section, for the completion of an editor."""
    from skdpipe import config_schema

    print_lines(json.dumps(config_schema(kind), indent=2, ensure_ascii=False))
