"""Commands that run a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table
from typer.core import TyperCommand

from skdpipe.cli.app import (
    EVERYDAY,
    EXPERIMENTS,
    Cache,
    Device,
    Models,
    Overrides,
    app,
    complete_config,
    device_name,
    device_of,
    print_json,
    print_line,
    print_note,
    print_problem,
    stdout,
)
from skdpipe.cli.clips import Refused, each_clip, find_sources
from skdpipe.cli.poses import (
    SKELETONS,
    Images,
    Rate,
    Size,
    SourceFormat,
    SourceLayout,
    Space,
    Split,
    VideoFolder,
)
from skdpipe.errors import SkdpipeError

if TYPE_CHECKING:
    from skdpipe.inference import Prediction, Predictor
    from skdpipe.skeleton import PoseSequence


@app.command(rich_help_panel=EVERYDAY)
def predict(
    clips: Annotated[
        list[Path],
        typer.Argument(
            help="Videos or skeletons (of any format of `import`), folders, or a CSV: path,label."
        ),
    ],
    bundle: Annotated[Path | None, typer.Option(help="Bundle of a student; by default the newest.")] = None,
    models: Models = Path("models"),
    estimator: Annotated[
        str,
        typer.Option(
            help="Config of another estimator than the bundle's: a YAML file or a name.",
            autocompletion=complete_config,
        ),
    ] = "",
    runtime: Annotated[
        Literal["auto", "torch", "onnx", "openvino"],
        typer.Option(help="What runs the networks; auto takes the fastest that is installed."),
    ] = "auto",
    top: Annotated[int, typer.Option(help="Number of labels to print.", min=1)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per clip and line.")] = False,
    device: Device = "",
    format_name: Annotated[
        SourceFormat | None,
        typer.Option("--format", help="Format, if the files do not show it.", rich_help_panel=SKELETONS),
    ] = None,
    split: Split = None,
    layout: SourceLayout = None,
    size: Size = None,
    fps: Rate = None,
    images: Images = None,
    space: Space = None,
    videos: VideoFolder = None,
) -> None:
    """Label videos with the low-cost estimator and the student, or skeletons with the student."""
    from skdpipe import load_estimator_settings, load_predictor, newest_bundle
    from skdpipe.extraction import VideoItem
    from skdpipe.formats.format import FormatOptions

    path = bundle or newest_bundle(models)
    other = load_estimator_settings(estimator) if estimator else None
    options = FormatOptions(split, layout, size=size, fps=fps, images=images, space=space)
    sources = find_sources(clips, format_name, options, videos)
    needs_estimator = bool(other) or any(isinstance(each, VideoItem) for each in sources)
    predictor = load_predictor(
        path, device=device_name(device), estimator=other, runtime=runtime, poses_only=not needs_estimator
    )
    if not as_json:
        print_note("bundle", f"{path}, runtime: {predictor.runtime.name}")
    known, failed = {predictor.metadata.fingerprint}, False
    for clip in each_clip(sources):
        result = clip if isinstance(clip, Refused) else _label(clip, predictor, known)
        if isinstance(result, Refused):
            failed = True
            _print_refused(result, as_json=as_json)
        else:
            _print_prediction(result, top, as_json=as_json)
    if failed:
        raise typer.Exit(1)


def _label(clip: Path | PoseSequence, predictor: Predictor, known: set[str]) -> Prediction | Refused:
    """The label of a clip; a note is printed once for each estimator of skeletons that is not yet known."""
    if isinstance(clip, Path):
        try:
            return predictor.predict(clip)
        except SkdpipeError as error:
            return Refused(str(clip), str(error))
    source, estimator = clip.origin.source, clip.origin.estimator
    try:
        prediction = predictor.predict(clip)
    except SkdpipeError as error:
        return Refused(source, str(error) if source in str(error) else f"{source}: {error}")
    if estimator not in known:
        known.add(estimator)
        trained = predictor.metadata.fingerprint
        about = (
            f"poses by {estimator or 'an unknown estimator'}; the student was trained on poses by {trained}"
        )
        print_problem("yellow", "note", f"{about}; accuracy may be lower")
    return prediction


def _print_refused(refused: Refused, *, as_json: bool) -> None:
    if as_json:
        print_json({"source": refused.source, "error": refused.reason})
    print_problem("red", "error", refused.reason)


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


class _SeveralWeights(TyperCommand):
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
