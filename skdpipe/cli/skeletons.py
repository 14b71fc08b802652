"""Commands that fill the cache, or write skeletons elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from skdpipe.cli.app import (
    Cache,
    Config,
    Device,
    Overrides,
    app,
    device_of,
    print_line,
    print_problem,
    stderr,
)

if TYPE_CHECKING:
    from skdpipe.extraction import ExtractionReport
    from skdpipe.formats.reading import ReadingReport

ForeignFormat = Literal["penn", "ntu", "kinetics", "openpose", "pyskl", "openpifpaf", "coco", "st-gcn", "skd"]
SourceFormat = Literal["cache", ForeignFormat]
TargetFormat = Literal["pyskl", "st-gcn", "openpifpaf", "coco", "openpose", "kinetics"]
Split = Annotated[str | None, typer.Option(help="Which pair of splits, e.g. xsub, cross-view.")]
SourceLayout = Annotated[str | None, typer.Option("--layout", help="What the joints are.")]
Labels = Annotated[Path | None, typer.Option(help="The classes' names, a line each, class 0 first.")]
Size = Annotated[tuple[int, int] | None, typer.Option(help="Width and height of the picture in pixels.")]
Rate = Annotated[float | None, typer.Option(help="Frames per second, where no file says.", min=0.001)]
Images = Annotated[Path | None, typer.Option(help="COCO's images: ids and file names.")]
VideoFolder = Annotated[
    Path | None, typer.Option("--videos", help="The clips' videos; skeletons extracted from them pair.")
]
Skip = Annotated[Path | None, typer.Option(help="A text file: names of clips to leave out, a line each.")]


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
    from skdpipe.extraction import extract_videos, open_sources
    from skdpipe.extraction.video_list import find_videos, shard_of
    from skdpipe.progress import Progress

    settings = load_config(Extraction, config_path(config), overrides or (), section="extraction")
    items = shard_of(find_videos(videos), shard)
    report = extract_videos(
        items,
        open_sources(settings, device_of(device)),
        PoseCache(cache),
        people=settings.people,
        batch=settings.batch,
        progress=Progress(stderr),
    )
    print_extraction(report, cache)
    if report.failed:
        raise typer.Exit(1)


@app.command("import")
def import_(
    what: Annotated[ForeignFormat, typer.Argument(help="The format.")],
    path: Annotated[Path, typer.Argument(help="The data set: a file or a folder.")],
    quality: Annotated[Literal["high", "low"], typer.Option("--as", help="Which quality it is.")] = "high",
    cache: Cache = Path("pose_cache"),
    split: Split = None,
    layout: SourceLayout = None,
    labels: Labels = None,
    size: Size = None,
    fps: Rate = None,
    images: Images = None,
    videos: VideoFolder = None,
    skip: Skip = None,
) -> None:
    """Read a data set's own skeletons into the cache."""
    from skdpipe.cache import PoseCache
    from skdpipe.formats.catalogue import format_named
    from skdpipe.formats.format import FormatOptions, refuse_useless
    from skdpipe.formats.importing import import_poses
    from skdpipe.formats.reading import reading_of
    from skdpipe.progress import Progress

    options, known = FormatOptions(split, layout, labels, size, fps, images), format_named(what)
    refuse_useless(options, [known])
    reading = reading_of(known, path, options, videos, skip)
    report = import_poses(reading, PoseCache(cache), quality, Progress(stderr))
    _print_reading(report, f"{cache}/{quality}/{reading.settings}", "imported")


@app.command()
def convert(
    source: Annotated[SourceFormat, typer.Argument(help="The format to read.")],
    path: Annotated[Path, typer.Argument(help="What to read; of the cache a folder: pose_cache/high/NAME.")],
    target: Annotated[TargetFormat, typer.Argument(help="The format to write.")],
    out: Annotated[Path, typer.Argument(help="Where: a file (pyskl, coco) or a folder.")],
    target_layout: Annotated[str | None, typer.Option(help="Map the joints to this layout.")] = None,
    split: Split = None,
    layout: SourceLayout = None,
    labels: Labels = None,
    size: Size = None,
    fps: Rate = None,
    images: Images = None,
    frames: Annotated[int | None, typer.Option(help="Frames of an st-gcn array (300).", min=1)] = None,
    people: Annotated[int | None, typer.Option(help="People of an st-gcn array (2).", min=1)] = None,
    videos: VideoFolder = None,
    skip: Skip = None,
) -> None:
    """Write skeletons, foreign ones or the cache's, in another format."""
    from skdpipe.formats.catalogue import format_named, target_named
    from skdpipe.formats.convert import convert_poses
    from skdpipe.formats.format import FormatOptions, refuse_useless
    from skdpipe.formats.reading import reading_of
    from skdpipe.progress import Progress
    from skdpipe.skeleton import layout_named

    options = FormatOptions(split, layout, labels, size, fps, images, frames, people)
    known, wanted = format_named(source), target_named(target)
    refuse_useless(options, [known, wanted])
    reading = reading_of(known, path, options, videos, skip)
    mapped = layout_named(target_layout) if target_layout else None
    report = convert_poses(reading, wanted, out, options, Progress(stderr), layout=mapped)
    _print_reading(report, str(out), "written")


def _print_reading(report: ReadingReport, where: str, done: str) -> None:
    """One line of figures, and a line for each failure, which is exit code 1."""
    counts = [f"{report.done} clips {done}", f"{report.skipped} there already" * (done == "imported")]
    counts += [f"{report.left_out} left out" * bool(report.left_out), f"{len(report.failed)} failed"]
    print_line(f"{where}: {', '.join(filter(None, counts))}")
    if report.without_video:
        print_problem(
            "yellow", "without a video", f"{report.without_video} clips, known by their names alone"
        )
    for reason in report.failed:
        print_problem("red", "failed", reason)
    if report.failed:
        raise typer.Exit(1)


@app.command("fit-noise")
def fit_noise(
    output: Annotated[Path, typer.Argument(help="The YAML file to write, for derive_low.noise.")],
    cache: Cache = Path("pose_cache"),
    high: Annotated[str, typer.Option(help="Settings of the good skeletons, if there are several.")] = "",
    low: Annotated[str, typer.Option(help="Settings of the poor skeletons, if there are several.")] = "",
    layout: Annotated[str, typer.Option(help="Whose joints the noise is about.")] = "coco-17",
) -> None:
    """Find out how a poor estimator errs, from videos in the cache that a good one has seen too."""
    from skdpipe.cache import PoseCache
    from skdpipe.degradation import fit_noise_of_cache, save_noise

    noise = fit_noise_of_cache(PoseCache(cache), high, low, layout)
    save_noise(noise, output)
    print_line(f"noise in {output}")


def print_extraction(report: ExtractionReport, cache: Path) -> None:
    print_line(
        f"{cache}: {report.done} videos extracted, {report.skipped} there already, "
        f"{len(report.failed)} failed"
    )
    if report.pairs:
        matched = sum(pair.matched for pair in report.pairs)
        people = sum(pair.people_high for pair in report.pairs)
        print_line(
            f"people matched between the qualities: {matched} of {people}, mean OKS {report.oks:.3f} "
            "(videos extracted now)"
        )
    for path in report.without_people:
        print_problem("yellow", "nobody seen", path)
    for _, reason in report.failed:
        print_problem("red", "failed", reason)
