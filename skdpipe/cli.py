"""The command line: each command reads its settings, calls one public function, and prints.

Nothing heavy is imported before a command runs, so that ``skdpipe --help`` answers at once.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from skdpipe.errors import SkdpipeError

if TYPE_CHECKING:
    import torch

    from skdpipe.distill import DistillationResult
    from skdpipe.extract import ExtractionReport
    from skdpipe.predict import Prediction

_INTERRUPTED = 130  # what typer makes of a KeyboardInterrupt

app = typer.Typer(
    help="From raw video to action labels: make the cheap skeletons nearly as good as the dear ones.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
# Paths and labels are printed as they are: "[1]" is no markup and ":x:" no emoji.
out = Console(markup=False, emoji=False)
err = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)

Config = Annotated[
    str, typer.Option("--config", "-c", help="A config's name (published, paper, demo) or file.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: key.path=value; may be repeated.")
]
Cache = Annotated[Path, typer.Option("--cache", envvar="SKDPIPE_CACHE", help="Where skeletons are kept.")]
Models = Annotated[Path, typer.Option("--models", help="Where trained networks are kept.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1...; the GPU if there is one.")]


def main() -> None:
    """Run a command; a user's mistake is one line and exit code 1, an interruption 130."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for file names that are not UTF-8
    try:
        app()
    except (SkdpipeError, OSError) as error:  # or a disk that is full, a folder that may not be written
        _say("red", "error", error)
        sys.exit(1)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            err.print("interrupted; the same command goes on where it stopped")
        raise


def _tell(line: str) -> None:
    """An answer, in one line however long."""
    out.print(line, soft_wrap=True)


def _say(colour: str, what: str, about: object) -> None:
    """A complaint, in one line."""
    err.print(Text.assemble((f"{what}:", colour), f" {about}"))


def _print_json(answer: dict[str, object]) -> None:
    print(json.dumps(answer), flush=True)  # noqa: T201


@app.command()
def extract(
    videos: Annotated[
        Path, typer.Argument(help="A video, a folder (of class folders), or a CSV: path,label.")
    ],
    config: Config = "published",
    overrides: Overrides = None,
    cache: Cache = Path("pose_cache"),
    device: Device = "",
    shard: Annotated[
        str, typer.Option(help="Do part i of n: i/n, for several machines on one cache.")
    ] = "1/1",
) -> None:
    """Find the people of every video, in high and in low quality, and keep their skeletons."""
    from skdpipe.cache import PoseCache
    from skdpipe.config import Extraction, config_path, load_config
    from skdpipe.extract import extract, open_sources
    from skdpipe.listing import find_videos, shard_of
    from skdpipe.progress import Progress

    settings = load_config(Extraction, config_path(config), overrides or (), section="extraction")
    items = shard_of(find_videos(videos), shard)
    report = extract(
        items,
        open_sources(settings, _device(device)),
        PoseCache(cache),
        people=settings.people,
        batch=settings.batch,
        progress=Progress(err),
    )
    _print_extraction(report, cache)
    if report.failed:
        raise typer.Exit(1)


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
        experiment, PoseCache(cache), models, device=_device(device), progress=Progress(err), teacher=teacher
    )
    _print_results(result)


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
    predictor = Predictor(load_bundle(path), _device(device), other)
    if not as_json:
        err.print(f"bundle: {path}")
    failed = False
    for item in [item for clip in clips for item in find_videos(clip)]:
        try:
            _print_prediction(predictor.predict(item.path), top, as_json=as_json)
        except SkdpipeError as error:
            failed = True
            if as_json:
                _print_json({"source": str(item.path), "error": str(error)})
            _say("red", "error", error)
    if failed:
        raise typer.Exit(1)


@app.command("import")
def import_(
    what: Annotated[Literal["penn"], typer.Argument(help="The format.")],
    folder: Annotated[Path, typer.Argument(help="Where the data set is.")],
    quality: Annotated[Literal["high", "low"], typer.Option("--as", help="Which quality it is.")] = "high",
    cache: Cache = Path("pose_cache"),
) -> None:
    """Read a data set's own skeletons into the cache."""
    from skdpipe.cache import PoseCache
    from skdpipe.formats.penn import find_penn, load_penn
    from skdpipe.imports import import_files
    from skdpipe.progress import Progress

    assert what == "penn"
    settings, files = "penn-action", find_penn(folder)
    done, failed = import_files(files, load_penn, PoseCache(cache), quality, settings, Progress(err))
    _tell(f"{done} sequences in {cache}/{quality}/{settings}")
    for reason in failed:
        _say("red", "failed", reason)
    if failed:
        raise typer.Exit(1)


@app.command("train-pose")
def train_pose(
    config: Annotated[str, typer.Argument(help="Backbone, data and recipe: a YAML file or a config's name.")],
    output: Annotated[Path, typer.Argument(help="The safetensors file to write.")],
    overrides: Overrides = None,
    device: Device = "",
) -> None:
    """Train an OpenPifPaf network on a COCO keypoint file or on the actors."""
    from skdpipe.config import PoseTraining, config_path, load_config
    from skdpipe.progress import Progress
    from skdpipe.train_pose import train_pose

    settings = load_config(PoseTraining, config_path(config), overrides or ())
    train_pose(settings, output, device=_device(device), progress=Progress(err))
    _tell(f"weights of {settings.backbone} in {output}")


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
    from skdpipe.train_pose import measure_pose

    settings = load_config(Extraction, config_path(config), overrides or (), section="extraction")
    chosen = settings.high if quality == "high" else settings.low
    estimator = load_estimator(chosen, _device(device))
    accuracy, rate = measure_pose(estimator, pictures=pictures, seed=seed, batch=settings.batch)
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
    out.print(table)


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
    from skdpipe.demo import demo
    from skdpipe.memory import keep_freed_memory
    from skdpipe.progress import Progress

    keep_freed_memory()
    result = demo(
        folder, config_path(config), overrides or (), device=_device(device), progress=Progress(err)
    )
    _print_extraction(result.extraction, folder / "pose_cache")
    _print_results(result.distillation)
    table = Table("unseen clip", "truth", "prediction", "probability", title="Unseen clips of unseen actors")
    for truth, prediction in result.predictions:
        label = prediction.label or "no person found"
        probability = f"{prediction.probabilities[0][1]:.2f}" if prediction.label else ""
        colour = "green" if label == truth else "red"
        table.add_row(Path(prediction.source).name, truth, Text(label, colour), probability)
    out.print(table)
    right = sum(prediction.label == truth for truth, prediction in result.predictions)
    _tell(f"{right} of {len(result.predictions)} right; look at {result.picture}")


def _device(name: str) -> torch.device:
    import torch

    from skdpipe.errors import ConfigError

    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"cannot use device '{name}' ({str(error).splitlines()[0]}); try cpu") from error
    return device


def _print_extraction(report: ExtractionReport, cache: Path) -> None:
    _tell(
        f"{cache}: {report.done} videos extracted, {report.skipped} there already, "
        f"{len(report.failed)} failed"
    )
    if report.pairs:
        matched = sum(pair.matched for pair in report.pairs)
        people = sum(pair.people_high for pair in report.pairs)
        _tell(f"people matched between the qualities: {matched} of {people}, mean OKS {report.oks:.3f}")
    for path in report.deserted:
        _say("yellow", "nobody seen", path)
    for _, reason in report.failed:
        _say("red", "failed", reason)


def _print_results(result: DistillationResult) -> None:
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
    _tell(f"{len(result.manifest.classes)} classes, {train} training clips, {test} test clips")
    for reason, count in result.manifest.left_out.items():
        _tell(f"left out: {count} with {reason}")
    if result.recovered_gap is not None:
        _tell(f"recovered gap: {result.recovered_gap:.0%}")


def _print_prediction(prediction: Prediction, top: int, *, as_json: bool) -> None:
    if as_json:
        _print_json(
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
        _tell(f"{prediction.source}: no person found in {prediction.frames} frames")
        return
    labels = ", ".join(f"{label} {probability:.3f}" for label, probability in prediction.probabilities[:top])
    _tell(f"{prediction.source}: {labels}")
