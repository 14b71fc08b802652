"""Commands that train networks on skeletons."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from skdpipe.cli.app import (
    Cache,
    Config,
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

if TYPE_CHECKING:
    from skdpipe.distill import DistillationResult


@app.command()
def distill(
    config: Config = "published",
    overrides: Overrides = None,
    cache: Cache = Path("pose_cache"),
    models: Models = Path("models"),
    device: Device = "",
    teacher: Annotated[Path | None, typer.Option(help="A teacher's bundle, instead of training one.")] = None,
) -> None:
    """Train teacher, baselines and student on the cached skeletons and write their bundles."""
    from skdpipe.cache import PoseCache
    from skdpipe.config import Experiment, config_path, load_config
    from skdpipe.distill import distill_student
    from skdpipe.memory import keep_freed_memory
    from skdpipe.progress import Progress

    keep_freed_memory()
    experiment = load_config(Experiment, config_path(config), overrides or (), section="experiment")
    result = distill_student(
        experiment,
        PoseCache(cache),
        models,
        device=device_of(device),
        progress=Progress(stderr),
        teacher=teacher,
    )
    print_results(result)


@app.command()
def finetune(
    bundle: Annotated[Path, typer.Argument(help="The trained network to begin with.")],
    config: Config = "published",
    overrides: Overrides = None,
    cache: Cache = Path("pose_cache"),
    models: Models = Path("models"),
    device: Device = "",
) -> None:
    """Go on with a trained network on other classes, on the cheap skeletons alone."""
    from skdpipe.cache import PoseCache
    from skdpipe.config import Experiment, config_path, load_config
    from skdpipe.distill import finetune_student
    from skdpipe.memory import keep_freed_memory
    from skdpipe.progress import Progress

    keep_freed_memory()
    experiment = load_config(Experiment, config_path(config), overrides or (), section="experiment")
    print_results(
        finetune_student(
            bundle, experiment, PoseCache(cache), models, device=device_of(device), progress=Progress(stderr)
        )
    )


@app.command()
def compare(
    config: Annotated[str, typer.Argument(help="A YAML file or a config's name: experiment and comparison.")],
    overrides: Overrides = None,
    cache: Cache = Path("pose_cache"),
    models: Models = Path("models"),
    devices: Annotated[
        list[str] | None, typer.Option("--device", help="cpu, cuda:0...; repeat it for several GPUs.")
    ] = None,
    processes: Annotated[int, typer.Option(help="Runs at a time on each device.", min=1)] = 1,
) -> None:
    """Train and test over scenarios, students and seeds, and put it all in a table."""
    from skdpipe.compare import HEADINGS, cells_of, columns_of, run_comparison
    from skdpipe.config import config_path
    from skdpipe.progress import Progress

    chosen = [str(device_of(device)) for device in devices or [""]]
    result = run_comparison(
        config_path(config),
        overrides or (),
        cache,
        models,
        devices=chosen,
        processes=processes,
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


def print_results(result: DistillationResult) -> None:
    from skdpipe.dataset import BOTH
    from skdpipe.distill import method_named

    table = Table("", "top-1 %", "top-5 %", "parameters", "GFLOPs", "ms a clip", title=f"{result.folder}")
    for method, figures in result.figures.items():
        table.add_row(
            method_named(method).title,
            f"{figures.top1:.2f}",
            f"{figures.top5:.2f}",
            f"{figures.parameters:,}",
            f"{figures.gflops:.3f}",
            f"{figures.milliseconds:.1f}",
        )
    stdout.print(table)
    train, test = (len(result.manifest.part(train=side)) for side in (True, False))
    print_line(f"{len(result.manifest.classes)} classes, {train} training clips, {test} test clips")
    alone = [clip.qualities[0] for clip in result.manifest.clips if len(clip.qualities) == 1]
    if alone:
        print_line(
            f"of one quality alone: {alone.count('high')} training clips high, {alone.count('low')} low"
        )
    if any(clip.labelled != clip.qualities for clip in result.manifest.clips):
        high, low = (len(result.manifest.part(train=True, quality=each, labelled=True)) for each in BOTH)
        print_line(f"with a label: {high} training clips high, {low} low")
    for reason, count in result.manifest.left_out.items():
        print_line(f"left out: {count} with {reason}")
    if result.recovered_gap is not None:
        print_line(f"recovered gap: {result.recovered_gap:.0%}")
