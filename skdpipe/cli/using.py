"""Commands that use a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skdpipe.cli.app import (
    Cache,
    Config,
    Device,
    Models,
    Overrides,
    app,
    complain,
    device_of,
    err,
    print_json,
    tell,
)
from skdpipe.errors import SkdpipeError

if TYPE_CHECKING:
    from skdpipe.predict import Prediction


@app.command()
def predict(
    clips: Annotated[list[Path], typer.Argument(help="Videos, or folders of videos.")],
    bundle: Annotated[Path | None, typer.Option(help="A student's bundle; the newest if not given.")] = None,
    models: Models = Path("models"),
    estimator: Annotated[
        Path | None, typer.Option(help="YAML of another estimator than the bundle's own.")
    ] = None,
    top: Annotated[int, typer.Option(help="How many labels to print.", min=1)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a clip, a line each.")] = False,
    device: Device = "",
) -> None:
    """Label videos with the cheap estimator and the student alone."""
    from skdpipe.bundle import load_bundle
    from skdpipe.config import Estimator, load_config
    from skdpipe.listing import find_videos
    from skdpipe.predict import Predictor, newest_bundle

    path = bundle or newest_bundle(models)
    other = load_config(Estimator, estimator) if estimator else None
    predictor = Predictor(load_bundle(path), device_of(device), other)
    if not as_json:
        err.print(f"bundle: {path}")
    failed = False
    for item in [item for clip in clips for item in find_videos(clip)]:
        try:
            _print_prediction(predictor.predict(item.path), top, as_json=as_json)
        except SkdpipeError as error:
            failed = True
            if as_json:
                print_json({"source": str(item.path), "error": str(error)})
            complain("red", "error", error)
    if failed:
        raise typer.Exit(1)


def _print_prediction(prediction: Prediction, top: int, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "source": prediction.source,
                "label": prediction.label,
                "probabilities": dict(prediction.probabilities),
                "people": prediction.people,
                "frames": prediction.frames,
            }
        )
        return
    if prediction.label is None:
        tell(f"{prediction.source}: no person found in {prediction.frames} frames")
        return
    labels = ", ".join(f"{label} {probability:.3f}" for label, probability in prediction.probabilities[:top])
    tell(f"{prediction.source}: {labels}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run's folder, models/NAME.")],
    output: Annotated[
        Path | None, typer.Option(help="The HTML file; report.html in the run's folder if not given.")
    ] = None,
    beside: Annotated[
        list[Path] | None, typer.Option(help="Another run to compare with; may be repeated.")
    ] = None,
    config: Config = "report",
    overrides: Overrides = None,
    cache: Cache = Path("pose_cache"),
    device: Device = "",
) -> None:
    """Write one HTML file about a run: its table and figures, computed anew from networks and cache."""
    from skdpipe.cache import PoseCache
    from skdpipe.config import Report, config_path, load_config
    from skdpipe.progress import Progress
    from skdpipe.report import write_report

    settings = load_config(Report, config_path(config), overrides or (), section="report")
    path = output or run / "report.html"
    write_report(
        run,
        PoseCache(cache),
        path,
        settings,
        device=device_of(device),
        progress=Progress(err),
        beside=beside or (),
    )
    tell(f"{path}")
