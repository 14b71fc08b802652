"""The command that tests trained networks on cached clips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from skdpipe.cli.app import (
    EXPERIMENTS,
    Cache,
    Device,
    LocalCommand,
    Overrides,
    app,
    device_of,
    print_line,
    stdout,
)


class _SeveralWeights(LocalCommand):
    """Accepts ``--weights 2 2 1`` as ``--weights 2 --weights 2 --weights 1``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        expanded: list[str] = []
        for word in args:
            another = expanded[-2:-1] == ["--weights"] and _is_number(word)
            expanded += ["--weights", word] if another else [word]
        return super().parse_args(ctx, expanded)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


@app.command(cls=_SeveralWeights, rich_help_panel=EXPERIMENTS)
def evaluate(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles of the same classes and split.")],
    weights: Annotated[
        list[float] | None,
        typer.Option(help="Weight of each bundle in the fusion, e.g. 2 2 1 1; by default equal."),
    ] = None,
    high: Annotated[
        str, typer.Option(help="Settings folder of high quality; by default that of the training.")
    ] = "",
    low: Annotated[
        str, typer.Option(help="Settings folder of low quality; by default that of the training.")
    ] = "",
    quality: Annotated[
        Literal["high", "low"] | None,
        typer.Option(help="Quality of the test clips; by default that of the training."),
    ] = None,
    overrides: Overrides = None,
    cache: Cache = Path("pose_cache"),
    device: Device = "",
) -> None:
    """Test bundles on the cached test clips, separately and with fused scores."""
    from skdpipe import PoseCache, evaluate_bundles

    folders = [f"{name}={folder}" for name, folder in (("high", high), ("low", low)) if folder]
    result = evaluate_bundles(
        bundles,
        PoseCache(cache),
        weights=weights or (),
        quality=quality,
        overrides=[*folders, *(overrides or ())],
        device=device_of(device),
    )
    table = Table("", "tested on", "weight", "top-1 %", "top-5 %")
    for path, figures, tested_on, weight in zip(
        bundles, result.figures, result.qualities, result.weights, strict=True
    ):
        table.add_row(
            f"{path.parent.name}/{path.stem}",
            tested_on,
            f"{weight:g}",
            f"{figures.top1:.2f}",
            f"{figures.top5:.2f}",
        )
    if len(bundles) > 1:
        table.add_row("fused", "", "", f"{result.top1:.2f}", f"{result.top5:.2f}")
    stdout.print(table)
    print_line(f"{result.clips} test clips")
