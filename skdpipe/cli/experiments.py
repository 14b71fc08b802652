"""Commands that compare and report experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from skdpipe.cli.app import (
    EXPERIMENTS,
    Cache,
    ConfigName,
    ConfigOption,
    Device,
    Models,
    Overrides,
    app,
    device_of,
    print_line,
    print_problem,
    stderr,
    stdout,
)
from skdpipe.cli.engines import Cpus, EngineName, Gpus, ray_engine
from skdpipe.errors import ConfigError


@app.command(rich_help_panel=EXPERIMENTS)
def compare(
    config: ConfigName,
    overrides: Overrides = None,
    cache: Cache = Path("pose_cache"),
    models: Models = Path("models"),
    devices: Annotated[
        list[str] | None, typer.Option("--device", help="cpu, cuda:0...; may be repeated for several GPUs.")
    ] = None,
    processes: Annotated[int, typer.Option(help="Number of simultaneous runs on each device.", min=1)] = 1,
    engine: EngineName = "local",
    workers: Annotated[
        int,
        typer.Option(help="Simultaneous runs on Ray; 0 takes as many as its cluster has room for.", min=0),
    ] = 0,
    cpus: Cpus = None,
    gpus: Gpus = None,
) -> None:
    """Train and test over scenarios, students and seeds, and write a table."""
    from skdpipe import LocalEngine, Progress, config_path, run_comparison
    from skdpipe.compare import HEADINGS, cells_of, columns_of

    cluster = ray_engine(engine, workers, cpus, gpus, only_local=bool(devices) or processes > 1)
    if workers and not cluster:
        raise ConfigError("--workers is for runs on Ray; use --processes, or add --engine ray")
    chosen = [str(device_of(device)) for device in devices or [""]]
    result = run_comparison(
        config_path(config),
        overrides or (),
        cache,
        models,
        engine=cluster or LocalEngine(tuple(chosen) * processes),
        progress=Progress(stderr),
    )
    columns = columns_of(result.rows)
    table = Table("scenario", "student", *columns, *HEADINGS, title=str(result.folder))
    for row in result.rows:
        table.add_row(*cells_of(row, columns))
    stdout.print(table)
    print_line(f"table in {result.folder}/comparison.md, .csv and .json")
    for reason in result.failed:
        print_problem("red", "failed", reason)
    if result.failed:
        raise typer.Exit(1)


@app.command(rich_help_panel=EXPERIMENTS)
def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run, models/NAME.")],
    output: Annotated[
        Path | None, typer.Option(help="HTML file; by default report.html in the run's folder.")
    ] = None,
    beside: Annotated[
        list[Path] | None, typer.Option(help="Folder of another run to compare with; may be repeated.")
    ] = None,
    config: ConfigOption = "report",
    overrides: Overrides = None,
    cache: Cache = Path("pose_cache"),
    device: Device = "",
) -> None:
    """Write an HTML file about a run, with its table and figures."""
    from skdpipe import PoseCache, Progress, Report, load_config, write_report

    settings = load_config(Report, config, overrides or (), section="report")
    path = output or run / "report.html"
    write_report(
        run,
        PoseCache(cache),
        path,
        settings,
        device=device_of(device),
        progress=Progress(stderr),
        beside=beside or (),
    )
    print_line(f"{path}")
