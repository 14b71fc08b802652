"""Commands that train a network on skeletons."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from skdpipe.cli.app import (
    EVERYDAY,
    EXPERIMENTS,
    Cache,
    Config,
    Device,
    Models,
    Overrides,
    app,
    device_of,
    print_line,
    stderr,
    stdout,
)

if TYPE_CHECKING:
    from skdpipe.distill import DistillationResult


@app.command(rich_help_panel=EVERYDAY)
def distill(
    config: Config = "published",
    overrides: Overrides = None,
    cache: Cache = Path("pose_cache"),
    models: Models = Path("models"),
    device: Device = "",
    teacher: Annotated[
        Path | None, typer.Option(help="Bundle of a trained teacher, to use instead of training one.")
    ] = None,
) -> None:
    """Train teacher, baselines and student on the cached skeletons."""
    from skdpipe import Experiment, PoseCache, Progress, distill_student, load_config
    from skdpipe.memory import keep_freed_memory

    keep_freed_memory()
    experiment = load_config(Experiment, config, overrides or (), section="experiment")
    result = distill_student(
        experiment,
        PoseCache(cache),
        models,
        device=device_of(device),
        progress=Progress(stderr),
        teacher=teacher,
    )
    print_results(result)


@app.command(rich_help_panel=EXPERIMENTS)
def finetune(
    bundle: Annotated[Path, typer.Argument(help="Bundle of the trained network.")],
    config: Config = "published",
    overrides: Overrides = None,
    cache: Cache = Path("pose_cache"),
    models: Models = Path("models"),
    device: Device = "",
) -> None:
    """Finetune a trained network on other classes, with low-quality skeletons alone."""
    from skdpipe import Experiment, PoseCache, Progress, finetune_student, load_config
    from skdpipe.memory import keep_freed_memory

    keep_freed_memory()
    experiment = load_config(Experiment, config, overrides or (), section="experiment")
    print_results(
        finetune_student(
            bundle, experiment, PoseCache(cache), models, device=device_of(device), progress=Progress(stderr)
        )
    )


def print_results(result: DistillationResult) -> None:
    """Print the table of methods, the numbers of clips, and the recovered gap."""
    from skdpipe.dataset import BOTH
    from skdpipe.distill.methods import method_named

    table = Table("", "top-1 %", "top-5 %", "parameters", "GFLOPs", "ms per clip", title=f"{result.folder}")
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
    unpaired = [clip.qualities[0] for clip in result.manifest.clips if len(clip.qualities) == 1]
    if unpaired:
        print_line(
            f"unpaired training clips: {unpaired.count('high')} of high quality, "
            f"{unpaired.count('low')} of low quality"
        )
    if any(clip.labelled != clip.qualities for clip in result.manifest.clips):
        high, low = (len(result.manifest.part(train=True, quality=each, labelled=True)) for each in BOTH)
        print_line(f"labelled training clips: {high} of high quality, {low} of low quality")
    for reason, count in result.manifest.left_out.items():
        print_line(f"left out: {count} with {reason}")
    if result.recovered_gap is not None:
        print_line(f"recovered gap: {result.recovered_gap:.0%}")
