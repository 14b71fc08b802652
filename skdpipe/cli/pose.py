"""Commands about pose estimators."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from skdpipe.cli.app import (
    ESTIMATORS,
    ConfigName,
    ConfigOption,
    Device,
    Overrides,
    app,
    device_of,
    print_line,
    stderr,
    stdout,
)


@app.command("train-pose", rich_help_panel=ESTIMATORS)
def train_pose(
    config: ConfigName,
    output: Annotated[Path, typer.Argument(help="Safetensors file to write.")],
    overrides: Overrides = None,
    device: Device = "",
) -> None:
    """Train an OpenPifPaf network on a COCO keypoint file or on rendered actors."""
    from skdpipe import PoseTraining, Progress, load_config, train_pose

    settings = load_config(PoseTraining, config, overrides or ())
    train_pose(settings, output, device=device_of(device), progress=Progress(stderr))
    print_line(f"weights of {settings.backbone} in {output}")


@app.command("measure-pose", rich_help_panel=ESTIMATORS)
def measure_pose(
    config: ConfigOption = "demo",
    quality: Annotated[Literal["high", "low"], typer.Option(help="Which estimator of the config.")] = "high",
    overrides: Overrides = None,
    images: Annotated[int, typer.Option("--images", help="Number of images.", min=1)] = 500,
    seed: Annotated[int, typer.Option(help="Random seed of the rendered people.")] = 99,
    device: Device = "",
) -> None:
    """Measure an estimator on rendered people not in its training, whose joints are known exactly."""
    from skdpipe import Extraction, load_config, load_estimator, measure_pose

    settings = load_config(Extraction, config, overrides or (), section="extraction")
    chosen = settings.high if quality == "high" else settings.low
    estimator = load_estimator(chosen, device_of(device))
    accuracy, rate = measure_pose(estimator, images=images, seed=seed, batch=settings.batch)
    table = Table("estimator", "PCK@0.1", "of found", "OKS", "people found", "extra a frame", "frames/s")
    table.add_row(
        estimator.fingerprint.split(" seed")[0],
        f"{accuracy.pck:.3f}",
        f"{accuracy.pck_found:.3f}",
        f"{accuracy.oks:.3f}",
        f"{accuracy.found:.1%}",
        f"{accuracy.extra:.2f}",
        f"{rate:.1f}",
    )
    stdout.print(table)


pose_weights = typer.Typer(
    help="List the weights for estimators (offline), or download some.", pretty_exceptions_enable=False
)
app.add_typer(pose_weights, name="pose-weights", rich_help_panel=ESTIMATORS)


@pose_weights.callback(invoke_without_command=True)
def list_weights(context: typer.Context) -> None:
    """List the weights for estimators (offline), or download some."""
    if context.invoked_subcommand is not None:
        return
    from skdpipe import list_pose_weights

    for weights in list_pose_weights():
        ap = f"AP {weights.ap:.1f}, " if weights.ap else ""
        present = "present" if weights.path.is_file() else "not present"
        print_line(
            f"{weights.name:20} {weights.backbone:16} {present:12} {ap}{weights.megabytes:.3g} MB, "
            f"{weights.license}, {weights.source}"
        )
    print_line("AP on COCO as published; `skdpipe pose-weights fetch NAME` downloads weights")


@pose_weights.command("fetch")
def fetch_weights(
    names: Annotated[list[str], typer.Argument(help="Names from `skdpipe pose-weights`.")],
) -> None:
    """Download weights, verify their checksums, and convert them to safetensors; no code is executed."""
    from skdpipe import Progress, fetch_pose_weights

    for name, path in zip(names, fetch_pose_weights(names, Progress(stderr)), strict=True):
        print_line(f"weights of {name} in {path}")
