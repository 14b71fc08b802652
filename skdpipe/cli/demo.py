"""The command that runs the whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from skdpipe.printable import printable

if TYPE_CHECKING:
    from skdpipe.demo import Outcome


@app.command(rich_help_panel=EVERYDAY)
def demo(
    folder: Annotated[
        Path, typer.Argument(help="Folder for videos, skeletons, networks and the image.")
    ] = Path("demo_output"),
    config: ConfigOption = "demo",
    overrides: Overrides = None,
    device: Device = "",
) -> None:
    """Run the whole pipeline on synthetic people: skeletons of two qualities, teacher, student, labels."""
    from skdpipe import Progress, config_path, run_demo
    from skdpipe.demo.outcome import conclude
    from skdpipe.memory import keep_freed_memory

    keep_freed_memory()
    result = run_demo(
        folder, config_path(config), overrides or (), device=device_of(device), progress=Progress(stderr)
    )
    print_extraction(result.extraction, folder / "pose_cache")
    simulation = result.simulation
    print_line(
        f"{simulation.done} clips simulated, {simulation.skipped} already present, with errors fitted on "
        f"{simulation.fitted} rendered training clips: {folder}/noise-high.yaml, noise-low.yaml"
    )
    print_results(result.distillation, device_of(device))
    table = Table(
        "test clip", "true label", "prediction", "probability", title="Test clips of people not in training"
    )
    for truth, prediction in result.predictions:
        label = prediction.label or "no person found"
        probability = f"{prediction.probabilities[0][1]:.2f}" if prediction.label else ""
        colour = "green" if label == truth else "red"
        table.add_row(Path(prediction.source).name, truth, Text(printable(label), colour), probability)
    stdout.print(table)
    right = sum(prediction.label == truth for truth, prediction in result.predictions)
    print_line(f"{right} of {len(result.predictions)} right; see {result.overlay}")
    stdout.print(_accuracies(result.outcome))
    print_line(conclude(result.outcome))


def _accuracies(outcome: Outcome) -> Table:
    """Mean and standard deviation of each method's accuracy over the runs."""
    from skdpipe.compare.table import mean_and_spread
    from skdpipe.distill.methods import title_of

    groups = {"extracted": outcome.extracted, "simulated": outcome.simulated, "all": outcome.clips}
    groups = {name: clips for name, clips in groups.items() if clips}
    headings = [f"{name} ({len(clips):,})" for name, clips in groups.items()]
    table = Table("", *headings, title=f"Top-1 % on the test clips, {outcome.runs} seeds")
    for method in outcome.correct:
        cells = [mean_and_spread(outcome.top1(method, clips)) for clips in groups.values()]
        table.add_row(title_of(method), *cells)
    return table
