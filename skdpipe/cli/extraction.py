"""The command that extracts skeletons from videos."""

from __future__ import annotations

from collections.abc import Sequence
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
    device_name,
    print_line,
    print_note,
    print_problem,
    stderr,
)
from skdpipe.cli.engines import Cpus, EngineName, Gpus, ray_engine
from skdpipe.errors import DataError
from skdpipe.storage import Place, place_of

if TYPE_CHECKING:
    from skdpipe.engines import Engine
    from skdpipe.extraction import ExtractionReport, Source, VideoItem


@app.command(rich_help_panel=EVERYDAY)
def extract(
    videos: Annotated[
        list[Place],
        typer.Argument(
            parser=place_of,
            metavar="VIDEOS...",
            help="Videos, folders (of class folders), or a CSV: path,label; also in a store: "
            "s3://bucket/folder.",
        ),
    ],
    config: Config = "published",
    overrides: Overrides = None,
    cache: Cache = Path("pose_cache"),
    device: Device = "",
    workers: Annotated[
        int,
        typer.Option(
            help="Videos at once, each in a process of its own; 0 chooses for this machine, or takes as many "
            "as the Ray cluster has room for.",
            min=0,
        ),
    ] = 0,
    engine: EngineName = "local",
    cpus: Cpus = None,
    gpus: Gpus = None,
    shard: Annotated[
        str, typer.Option(help="Process part i of n: i/n, for several machines with one cache.")
    ] = "1/1",
) -> None:
    """Extract the skeletons of all videos, in high and in low quality, into the pose cache."""
    from skdpipe import (
        Extraction,
        LocalEngine,
        PoseCache,
        Progress,
        extract_videos,
        load_config,
        open_sources,
    )
    from skdpipe.extraction import choose_workers
    from skdpipe.extraction.video_list import shard_of

    settings = load_config(Extraction, config, overrides or (), section="extraction")
    cluster = ray_engine(engine, workers, cpus, gpus, only_local=bool(device))
    items, not_found = find_all(videos)
    failed = bool(not_found)
    if items:
        items = shard_of(items, shard)
        # On Ray the estimators of this process only name the folders of the cache.
        used = "cpu" if cluster and not gpus else device_name(device)
        sources = open_sources(settings, used)
        count = 0 if cluster else workers or choose_workers(sources, len(items))
        chosen = cluster or LocalEngine((used,) * count)
        print_machine(sources, chosen)
        report = extract_videos(
            items,
            sources,
            PoseCache(cache),
            people=settings.people,
            batch=settings.batch,
            engine=None if count == 1 else chosen,
            progress=Progress(stderr),
        )
        print_extraction(report, cache)
        failed |= bool(report.failed)
    for _, error in not_found:
        print_problem("red", "error", error)
    if failed:
        raise typer.Exit(1)


def print_machine(sources: Sequence[Source], engine: Engine) -> None:
    """Print what runs the estimators, and in which workers."""
    from skdpipe.pose.protocol import runtime_of

    for source in sources:
        runtime = runtime_of(source.estimator)
        print_note(f"{source.quality} quality", f"{source.estimator.fingerprint}{runtime and f', {runtime}'}")
    print_note("workers", engine.describe())


def find_all(paths: Sequence[Place]) -> tuple[list[VideoItem], list[tuple[Place, DataError]]]:
    """The videos of several paths, and the paths without a video, each with the error.

    What is left out is printed.
    """
    from skdpipe import find_videos

    items: list[VideoItem] = []
    errors: list[tuple[Place, DataError]] = []
    for path in paths:
        try:
            found = find_videos(path)
        except DataError as error:
            errors.append((path, error))
            continue
        items += found
        for line in found.left_out:
            print_problem("yellow", "left out", line)
    return items, errors


def print_extraction(report: ExtractionReport, cache: Place) -> None:
    """Print the number of videos, how well the people of both qualities match, and the problems."""
    changed = f"{report.relabelled} labels changed, " if report.relabelled else ""
    changed += f"{report.corrected} corrected labels kept, " if report.corrected else ""
    print_line(
        f"{cache}: {report.done} videos extracted, {report.skipped} already present, {changed}"
        f"{len(report.failed)} failed"
    )
    if report.pairs:
        matched = sum(pair.matched for pair in report.pairs)
        people = sum(pair.people_high for pair in report.pairs)
        oks = f", mean OKS {report.oks:.3f}" if matched else ""
        print_line(f"people matched between the qualities: {matched} of {people}{oks} (videos extracted now)")
    for path in report.without_people:
        print_problem("yellow", "no person detected", path)
    for _, reason in report.failed:
        print_problem("red", "failed", reason)
