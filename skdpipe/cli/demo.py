"""The command that runs the whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from skdpipe.cli.app import (
    EVERYDAY,
    ConfigOption,
    Device,
    Overrides,
    app,
    device_of,
    print_line,
    stderr,
    stdout,
)
from skdpipe.cli.extraction import print_extraction
from skdpipe.cli.training import print_results


@app.command(rich_help_panel=EVERYDAY)
def demo(
    folder: Annotated[
        Path, typer.Argument(help="Folder for videos, skeletons, networks and the image.")
    ] = Path("demo_output"),
    config: ConfigOption = "demo",
    overrides: Overrides = None,
    device: Device = "",
) -> None:
    """Run the whole pipeline on rendered videos: skeletons of two qualities, teacher, student, labels."""
    from skdpipe import Progress, config_path, run_demo
    from skdpipe.memory import keep_freed_memory

    keep_freed_memory()
    result = run_demo(
        folder, config_path(config), overrides or (), device=device_of(device), progress=Progress(stderr)
    )
    print_extraction(result.extraction, folder / "pose_cache")
    print_results(result.distillation)
    table = Table(
        "test clip", "true label", "prediction", "probability", title="Test clips of people not in training"
    )
    for truth, prediction in result.predictions:
        label = prediction.label or "no person found"
        probability = f"{prediction.probabilities[0][1]:.2f}" if prediction.label else ""
        colour = "green" if label == truth else "red"
        table.add_row(Path(prediction.source).name, truth, Text(label, colour), probability)
    stdout.print(table)
    right = sum(prediction.label == truth for truth, prediction in result.predictions)
    print_line(f"{right} of {len(result.predictions)} right; see {result.overlay}")
