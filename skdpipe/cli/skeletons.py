"""Commands that fill the cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from skdpipe.cli.app import Cache, Config, Device, Overrides, app, complain, device_of, err, tell

if TYPE_CHECKING:
    from skdpipe.extract import ExtractionReport


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
        open_sources(settings, device_of(device)),
        PoseCache(cache),
        people=settings.people,
        batch=settings.batch,
        progress=Progress(err),
    )
    print_extraction(report, cache)
    if report.failed:
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
    tell(f"{done} sequences in {cache}/{quality}/{settings}")
    for reason in failed:
        complain("red", "failed", reason)
    if failed:
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
    from skdpipe.noise import fit_noise_of_cache, save_noise

    noise = fit_noise_of_cache(PoseCache(cache), high, low, layout)
    save_noise(noise, output)
    tell(f"noise in {output}")


def print_extraction(report: ExtractionReport, cache: Path) -> None:
    tell(
        f"{cache}: {report.done} videos extracted, {report.skipped} there already, "
        f"{len(report.failed)} failed"
    )
    if report.pairs:
        matched = sum(pair.matched for pair in report.pairs)
        people = sum(pair.people_high for pair in report.pairs)
        tell(f"people matched between the qualities: {matched} of {people}, mean OKS {report.oks:.3f}")
    for path in report.deserted:
        complain("yellow", "nobody seen", path)
    for _, reason in report.failed:
        complain("red", "failed", reason)
