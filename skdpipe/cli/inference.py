"""Commands that use a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table
from typer.core import TyperCommand

from skdpipe.cli.app import (
    Cache,
    Config,
    Device,
    Models,
    Overrides,
    app,
    device_of,
    print_json,
    print_line,
    print_problem,
    stderr,
    stdout,
)
from skdpipe.errors import SkdpipeError

if TYPE_CHECKING:
    from skdpipe.inference import Prediction


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
    from skdpipe.config import Estimator, load_config
    from skdpipe.extraction.video_list import find_videos
    from skdpipe.predict import load_predictor, newest_bundle

    path = bundle or newest_bundle(models)
    other = load_config(Estimator, estimator) if estimator else None
    predictor = load_predictor(path, device=device_of(device), estimator=other)
    if not as_json:
        stderr.print(f"bundle: {path}")
    failed = False
    for item in [item for clip in clips for item in find_videos(clip)]:
        try:
            _print_prediction(predictor.predict(item.path), top, as_json=as_json)
        except SkdpipeError as error:
            failed = True
            if as_json:
                print_json({"source": str(item.path), "error": str(error)})
            print_problem("red", "error", error)
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
        print_line(f"{prediction.source}: no person found in {prediction.frames} frames")
        return
    labels = ", ".join(f"{label} {probability:.3f}" for label, probability in prediction.probabilities[:top])
    print_line(f"{prediction.source}: {labels}")


class _NumbersInARow(TyperCommand):
    """Takes ``--weights 2 2 1`` for ``--weights 2 --weights 2 --weights 1``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        spelt_out: list[str] = []
        for word in args:
            one_more = spelt_out[-2:-1] == ["--weights"] and _is_number(word)
            spelt_out += ["--weights", word] if one_more else [word]
        return super().parse_args(ctx, spelt_out)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


@app.command(cls=_NumbersInARow)
def evaluate(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles of the same classes and split.")],
    weights: Annotated[
        list[float] | None, typer.Option(help="Of each bundle in the fusion: 2 2 1 1; equal if not given.")
    ] = None,
    high: Annotated[str, typer.Option(help="Settings folder of the high quality; else as trained.")] = "",
    low: Annotated[str, typer.Option(help="Settings folder of the low quality; else as trained.")] = "",
    quality: Annotated[
        Literal["high", "low"] | None, typer.Option(help="Test all on this one; else as trained.")
    ] = None,
    overrides: Overrides = None,
    cache: Cache = Path("pose_cache"),
    device: Device = "",
) -> None:
    """Test trained bundles on the cached test clips, each by itself and their scores added."""
    from skdpipe.cache import PoseCache
    from skdpipe.ensemble import evaluate_bundles

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
        progress=Progress(stderr),
        beside=beside or (),
    )
    print_line(f"{path}")
