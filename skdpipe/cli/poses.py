"""Commands about skeletons of other tools and data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from skdpipe.cli.app import ELSEWHERE, Cache, app, print_line, print_problem, stderr

if TYPE_CHECKING:
    from skdpipe.formats.reading import ReadingReport

ForeignFormat = Literal[
    "penn",
    "ntu",
    "kinetics",
    "openpose",
    "pyskl",
    "openpifpaf",
    "coco",
    "st-gcn",
    "skd",
    "nw-ucla",
    "utd-mhad",
]
SourceFormat = Literal["cache", ForeignFormat]
TargetFormat = Literal["pyskl", "st-gcn", "openpifpaf", "coco", "openpose", "kinetics"]
SKELETONS: Final = "Skeletons"
Split = Annotated[
    str | None, typer.Option(help="Name of the split, e.g. xsub, cross-view.", rich_help_panel=SKELETONS)
]
SourceLayout = Annotated[
    str | None,
    typer.Option(
        "--layout",
        help="Joint layout of the input: a name of `skdpipe layouts`, or a YAML file.",
        rich_help_panel=SKELETONS,
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(help="File with the class names, one per line, class 0 first.", rich_help_panel=SKELETONS),
]
Size = Annotated[
    tuple[int, int] | None,
    typer.Option(help="Width and height of the frames in pixels.", rich_help_panel=SKELETONS),
]
Rate = Annotated[
    float | None,
    typer.Option(
        help="Frames per second, if the files do not contain them.", min=0.001, rich_help_panel=SKELETONS
    ),
]
Images = Annotated[
    Path | None,
    typer.Option(help="COCO file with the ids and names of the images.", rich_help_panel=SKELETONS),
]
VideoFolder = Annotated[
    Path | None,
    typer.Option(
        "--videos",
        help="Folder of the clips' videos: for keys, sizes and frame rates.",
        rich_help_panel=SKELETONS,
    ),
]
Space = Annotated[
    Literal["image", "camera"] | None,
    typer.Option(
        help="image: pixels; camera: x, y, z in the unit of the sensor (ntu, st-gcn, skd).",
        rich_help_panel=SKELETONS,
    ),
]
Skip = Annotated[Path | None, typer.Option(help="File with the names of clips to leave out, one per line.")]


@app.command("import", rich_help_panel=ELSEWHERE)
def import_(
    what: Annotated[ForeignFormat, typer.Argument(help="Format of the data set.")],
    path: Annotated[Path, typer.Argument(help="File or folder of the data set.")],
    quality: Annotated[
        Literal["high", "low"], typer.Option("--as", help="Quality as which it is stored.")
    ] = "high",
    cache: Cache = Path("pose_cache"),
    split: Split = None,
    layout: SourceLayout = None,
    labels: Labels = None,
    size: Size = None,
    fps: Rate = None,
    images: Images = None,
    space: Space = None,
    videos: VideoFolder = None,
    skip: Skip = None,
) -> None:
    """Import the skeletons of a data set or another tool into the pose cache."""
    from skdpipe.cache import PoseCache
    from skdpipe.formats.catalogue import format_named
    from skdpipe.formats.format import FormatOptions, refuse_useless
    from skdpipe.formats.importing import import_poses
    from skdpipe.formats.reading import reading_of
    from skdpipe.progress import Progress

    options, known = FormatOptions(split, layout, labels, size, fps, images, space=space), format_named(what)
    refuse_useless(options, [known])
    reading = reading_of(known, path, options, videos, skip)
    report = import_poses(reading, PoseCache(cache), quality, Progress(stderr))
    _print_reading(report, f"{cache}/{quality}/{reading.settings}", "imported")


@app.command(rich_help_panel=ELSEWHERE)
def convert(
    source: Annotated[SourceFormat, typer.Argument(help="The format to read.")],
    path: Annotated[Path, typer.Argument(help="File or folder to read; for cache pose_cache/high/NAME.")],
    target: Annotated[TargetFormat, typer.Argument(help="The format to write.")],
    out: Annotated[Path, typer.Argument(help="File (pyskl, coco) or folder to write.")],
    target_layout: Annotated[
        str | None, typer.Option(help="Map the joints to this layout: a name or a YAML file.")
    ] = None,
    split: Split = None,
    layout: SourceLayout = None,
    labels: Labels = None,
    size: Size = None,
    fps: Rate = None,
    images: Images = None,
    space: Space = None,
    frames: Annotated[
        int | None, typer.Option(help="Frames of an st-gcn array; by default 300.", min=1)
    ] = None,
    people: Annotated[
        int | None, typer.Option(help="People of an st-gcn array; by default 2.", min=1)
    ] = None,
    videos: VideoFolder = None,
    skip: Skip = None,
) -> None:
    """Convert skeletons, of another tool or of the pose cache, to another format."""
    from skdpipe.formats.catalogue import format_named, target_named
    from skdpipe.formats.convert import convert_poses
    from skdpipe.formats.format import FormatOptions, refuse_useless
    from skdpipe.formats.reading import reading_of
    from skdpipe.progress import Progress
    from skdpipe.skeleton import layout_named

    options = FormatOptions(split, layout, labels, size, fps, images, frames, people, space)
    known, wanted = format_named(source), target_named(target)
    refuse_useless(options, [known, wanted])
    reading = reading_of(known, path, options, videos, skip)
    mapped = layout_named(target_layout) if target_layout else None
    report = convert_poses(reading, wanted, out, options, Progress(stderr), layout=mapped)
    _print_reading(report, str(out), "written")


def _print_reading(report: ReadingReport, where: str, done: str) -> None:
    """Print the counts and a line for each note and failure; exit code 1 if there is a failure."""
    counts = [f"{report.done} clips {done}", f"{report.skipped} already present" * (done == "imported")]
    for count, what in (
        (report.replaced, "replaced"),
        (report.relabelled, "labels changed"),
        (report.corrected, "corrected labels kept"),
        (report.left_out, "left out"),
    ):
        counts += [f"{count} {what}"] * bool(count)
    counts += [f"{report.failures} failed"]
    print_line(f"{where}: {', '.join(filter(None, counts))}")
    if report.without_video:
        print_problem("yellow", "without a video", f"{report.without_video} clips, identified by their names")
    end_reading(report)


def end_reading(report: ReadingReport) -> None:
    """Print a line for each note and failure; exit code 1 if there is a failure."""
    for what, count in report.notes.items():
        print_problem("yellow", "note", f"{count} {what}")
    for reason in report.failed:
        print_problem("red", "failed", reason)
    if report.failures:
        raise typer.Exit(1)


@app.command("fit-noise", rich_help_panel=ELSEWHERE)
def fit_noise(
    output: Annotated[Path, typer.Argument(help="YAML file to write, for the setting derive_low.noise.")],
    cache: Cache = Path("pose_cache"),
    high: Annotated[str, typer.Option(help="Settings folder of high quality, if there are several.")] = "",
    low: Annotated[str, typer.Option(help="Settings folder of low quality, if there are several.")] = "",
    layout: Annotated[str, typer.Option(help="Joint layout of the noise.")] = "coco-17",
) -> None:
    """Measure the errors of a low-cost estimator on clips that the cache contains in both qualities."""
    from skdpipe import PoseCache, fit_noise_of_cache, save_noise

    noise = fit_noise_of_cache(PoseCache(cache), high, low, layout)
    save_noise(noise, output)
    print_line(f"noise settings in {output}")
