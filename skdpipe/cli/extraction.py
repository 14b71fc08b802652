"""The command that extracts skeletons from videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skdpipe.cli.app import (
    EVERYDAY,
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


@app.command(rich_help_panel=EVERYDAY)
def extract(
    videos: Annotated[
        Path, typer.Argument(help="A video, a folder (of class folders), or a CSV: path,label.")
    ],
    config: Config = "published",
    overrides: Overrides = None,
    cache: Cache = Path("pose_cache"),
    device: Device = "",
    shard: Annotated[
        str, typer.Option(help="Process part i of n: i/n, for several machines with one cache.")
    ] = "1/1",
) -> None:
    """Extract the skeletons of all videos, in high and in low quality, into the pose cache."""
    from skdpipe import (
        Extraction,
        PoseCache,
        Progress,
        extract_videos,
        find_videos,
        load_config,
        open_sources,
    )
    from skdpipe.extraction.video_list import shard_of

    settings = load_config(Extraction, config, overrides or (), section="extraction")
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


def print_extraction(report: ExtractionReport, cache: Path) -> None:
    """Print the number of videos, how well the people of both qualities match, and the problems."""
    print_line(
        f"{cache}: {report.done} videos extracted, {report.skipped} already present, "
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
        print_problem("yellow", "no person detected", path)
    for _, reason in report.failed:
        print_problem("red", "failed", reason)
