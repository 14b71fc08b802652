"""Commands that train networks on skeletons."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from skdpipe.cli.app import Cache, Config, Device, Models, Overrides, app, device_of, err, out, tell

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
    from skdpipe.distill import distill
    from skdpipe.memory import keep_freed_memory
    from skdpipe.progress import Progress

    keep_freed_memory()
    experiment = load_config(Experiment, config_path(config), overrides or (), section="experiment")
    result = distill(
        experiment,
        PoseCache(cache),
        models,
        device=device_of(device),
        progress=Progress(err),
        teacher=teacher,
    )
    print_results(result)


def print_results(result: DistillationResult) -> None:
    from skdpipe.distill import NAMES

    table = Table("", "top-1 %", "top-5 %", "parameters", "GFLOPs", "ms a clip", title=f"{result.folder}")
    for method, figures in result.figures.items():
        table.add_row(
            NAMES[method],
            f"{figures.top1:.2f}",
            f"{figures.top5:.2f}",
            f"{figures.parameters:,}",
            f"{figures.gflops:.3f}",
            f"{figures.milliseconds:.1f}",
        )
    out.print(table)
    train, test = (len(result.manifest.part(train=side)) for side in (True, False))
    tell(f"{len(result.manifest.classes)} classes, {train} training clips, {test} test clips")
    alone = [clip.qualities[0] for clip in result.manifest.clips if len(clip.qualities) == 1]
    if alone:
        tell(f"of one quality alone: {alone.count('high')} training clips high, {alone.count('low')} low")
    for reason, count in result.manifest.left_out.items():
        tell(f"left out: {count} with {reason}")
    if result.recovered_gap is not None:
        tell(f"recovered gap: {result.recovered_gap:.0%}")
