"""Commands about pose estimators."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from skdpipe.cli.app import Config, Device, Overrides, app, device_of, print_line, stderr, stdout


@app.command("train-pose")
def train_pose(
    config: Annotated[str, typer.Argument(help="Backbone, data and recipe: a YAML file or a config's name.")],
    output: Annotated[Path, typer.Argument(help="The safetensors file to write.")],
    overrides: Overrides = None,
    device: Device = "",
) -> None:
    """Train an OpenPifPaf network on a COCO keypoint file or on the actors."""
    from skdpipe.config import PoseTraining, config_path, load_config
    from skdpipe.pose_training import train_pose
    from skdpipe.progress import Progress

    settings = load_config(PoseTraining, config_path(config), overrides or ())
    train_pose(settings, output, device=device_of(device), progress=Progress(stderr))
    print_line(f"weights of {settings.backbone} in {output}")


@app.command("measure-pose")
def measure_pose(
    config: Config = "demo",
    quality: Annotated[
        Literal["high", "low"], typer.Option(help="Which of the config's estimators.")
    ] = "high",
    overrides: Overrides = None,
    pictures: Annotated[int, typer.Option(help="How many pictures of unseen actors.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the unseen actors.")] = 99,
    device: Device = "",
) -> None:
    """Measure an estimator on unseen actors, whose joints are known exactly."""
    from skdpipe.config import Extraction, config_path, load_config
    from skdpipe.pose.load import load_estimator
    from skdpipe.pose_training import measure_pose

    settings = load_config(Extraction, config_path(config), overrides or (), section="extraction")
    chosen = settings.high if quality == "high" else settings.low
    estimator = load_estimator(chosen, device_of(device))
    accuracy, rate = measure_pose(estimator, images=pictures, seed=seed, batch=settings.batch)
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
    help="List the weights that exist for estimators (no network needed), or fetch some.",
    pretty_exceptions_enable=False,
)
app.add_typer(pose_weights, name="pose-weights")


@pose_weights.callback(invoke_without_command=True)
def list_pose_weights(context: typer.Context) -> None:
    """List the weights that exist for estimators (no network needed), or fetch some."""
    if context.invoked_subcommand is not None:
        return
    from skdpipe.pose.openpifpaf.weights import available

    for weights in available():
        ap = f"AP {weights.ap:.1f}, " if weights.ap else ""
        present = "present" if weights.path.is_file() else "not present"
        print_line(
            f"{weights.name:20} {weights.backbone:16} {present:12} {ap}{weights.megabytes:.3g} MB, "
            f"{weights.license}, {weights.source}"
        )
    print_line("AP on COCO as published; `skdpipe pose-weights fetch NAME` downloads what is not present")


@pose_weights.command("fetch")
def fetch_pose_weights(
    names: Annotated[list[str], typer.Argument(help="As `skdpipe pose-weights` lists them.")],
) -> None:
    """Download weights, check them, and convert them to safetensors without running anything in them."""
    from skdpipe.pose.openpifpaf.weights import fetch, find
    from skdpipe.progress import Progress

    for published in [find(name) for name in names]:
        print_line(f"weights of {published.name} in {fetch(published, Progress(stderr))}")
