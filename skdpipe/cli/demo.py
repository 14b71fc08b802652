"""The whole film in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from skdpipe.cli.app import Config, Device, Overrides, app, device_of, print_line, stderr, stdout
from skdpipe.cli.skeletons import print_extraction
from skdpipe.cli.training import print_results


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where videos, skeletons, networks and picture go.")] = Path(
        "demo_output"
    ),
    config: Config = "demo",
    overrides: Overrides = None,
    device: Device = "",
) -> None:
    """See the whole film: actors, skeletons of two qualities, teacher and student, labels."""
    from skdpipe.config import config_path
    from skdpipe.demo import run_demo
    from skdpipe.memory import keep_freed_memory
    from skdpipe.progress import Progress

    keep_freed_memory()
    result = run_demo(
        folder, config_path(config), overrides or (), device=device_of(device), progress=Progress(stderr)
    )
    print_extraction(result.extraction, folder / "pose_cache")
    print_results(result.distillation)
    table = Table("unseen clip", "truth", "prediction", "probability", title="Unseen clips of unseen actors")
    for truth, prediction in result.predictions:
        label = prediction.label or "no person found"
        probability = f"{prediction.probabilities[0][1]:.2f}" if prediction.label else ""
        colour = "green" if label == truth else "red"
        table.add_row(Path(prediction.source).name, truth, Text(label, colour), probability)
    stdout.print(table)
    right = sum(prediction.label == truth for truth, prediction in result.predictions)
    print_line(f"{right} of {len(result.predictions)} right; see {result.overlay}")
