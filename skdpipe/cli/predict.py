"""The command that labels videos, footage and skeletons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from skdpipe.cli.app import (
    EVERYDAY,
    Device,
    EstimatorConfig,
    Models,
    RuntimeName,
    app,
    device_name,
    print_note,
)
from skdpipe.cli.clips import Refused, each_clip, find_sources
from skdpipe.cli.labelling import Labelling, Wanted
from skdpipe.cli.live import LiveOptions, label_live
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
from skdpipe.cli.results import Results, print_refused
from skdpipe.errors import ConfigError

if TYPE_CHECKING:
    from skdpipe.inference import Predictor

_FOOTAGE: Final = "Footage: long video, several people"
_FILES: Final = "Files"
_LIVE: Final = "Live video"


@app.command(rich_help_panel=EVERYDAY)
def predict(
    clips: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Videos, folders of videos, a CSV: path,label; or skeletons in any format of `import`."
        ),
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="Bundle of a student; by default the newest.")] = None,
    models: Models = Path("models"),
    estimator: EstimatorConfig = "",
    runtime: RuntimeName = "auto",
    top: Annotated[int, typer.Option(help="Number of labels to print for a clip.", min=1)] = 5,
    min_probability: Annotated[
        float | None,
        typer.Option(
            help="Lowest probability of a label; below it the result is unsure. By default 0.5 in footage, 0 "
            "for a clip.",
            min=0,
            max=1,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per clip and line.")] = False,
    device: Device = "",
    segments: Annotated[
        bool | None,
        typer.Option(
            "--segments/--one-label",
            help="Print segments, or one label for the whole; by default segments of what is longer than the "
            "training clips.",
            rich_help_panel=_FOOTAGE,
        ),
    ] = None,
    per_person: Annotated[
        bool | None,
        typer.Option(
            "--per-person/--together",
            help="Label each person apart, for people who act by themselves; or the people of a window "
            "together, for actions of two people. By default together, if the student takes two people.",
            rich_help_panel=_FOOTAGE,
        ),
    ] = None,
    window: Annotated[
        float | None,
        typer.Option(
            help="Seconds of a window; by default the length of the training clips.", rich_help_panel=_FOOTAGE
        ),
    ] = None,
    stride: Annotated[
        float | None,
        typer.Option(
            help="Seconds from one window to the next; by default a quarter of the window.",
            rich_help_panel=_FOOTAGE,
        ),
    ] = None,
    continual: Annotated[
        bool,
        typer.Option(
            help="Compute each frame once, not in each window: for small strides. ST-GCN family, each person "
            "apart; labels come later and may be less accurate.",
            rich_help_panel=_FOOTAGE,
        ),
    ] = False,
    source: Annotated[
        str,
        typer.Option(
            help="Number of a camera, an address (rtsp://, http://, ...), or - for video on standard input.",
            rich_help_panel=_LIVE,
        ),
    ] = "",
    raw: Annotated[
        tuple[int, int] | None,
        typer.Option(
            help="Width and height of frames without a container on standard input, RGB; with --fps.",
            rich_help_panel=_LIVE,
        ),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(help="Seconds after which a live source is left.", min=0, rich_help_panel=_LIVE),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write all segments as a table.", rich_help_panel=_FILES)
    ] = None,
    vtt: Annotated[
        Path | None,
        typer.Option(help="Write WebVTT subtitles: a file, or a folder for several.", rich_help_panel=_FILES),
    ] = None,
    elan: Annotated[
        Path | None,
        typer.Option(
            help="Write annotations for ELAN: a file (.eaf), or a folder for several.", rich_help_panel=_FILES
        ),
    ] = None,
    overlay: Annotated[
        Path | None,
        typer.Option(
            help="Write a video with skeletons, labels and a timeline: a file (.mp4), or a folder.",
            rich_help_panel=_FILES,
        ),
    ] = None,
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
    """Label videos with the low-cost estimator and the student, or skeletons with the student.

    A video as long as the training clips gets one label; a longer one, or a live source, is footage, with a
    label for each segment.
    """
    from skdpipe import load_estimator_settings, load_predictor, newest_bundle
    from skdpipe.extraction import VideoItem
    from skdpipe.formats.format import FormatOptions

    if bool(clips) == bool(source):
        found = "clips and --source" if source else "nothing to label"
        raise typer.BadParameter(f"{found}; expected videos, skeletons or a live source", param_hint="clips")
    if source:
        of_recordings = {"csv": csv, "vtt": vtt, "elan": elan, "overlay": overlay}
        of_skeletons: dict[str, object] = {"format": format_name, "split": split, "layout": layout}
        of_skeletons |= {"size": size, "images": images, "space": space, "videos": videos}
        refuse(
            of_recordings | {"one-label": True if segments is False else None},
            "with --source: a live source has no end; use --json and keep its lines, or label a recording",
        )
        refuse(of_skeletons, "with --source: it is for files of skeletons; leave it out")
    else:
        of_live = {"raw": raw, "duration": duration}
        refuse(of_live, "without --source: it is for live video; add --source, or leave it out")
    path = bundle or newest_bundle(models)
    other = load_estimator_settings(estimator) if estimator else None

    def open_predictor(*, poses_only: bool) -> Predictor:
        predictor = load_predictor(
            path,
            device=device_name(device),
            estimator=other,
            runtime=runtime,
            poses_only=poses_only,
            continual=continual,
        )
        if not as_json:
            print_note("bundle", f"{path}, runtime: {predictor.runtime.name}")
        return predictor

    wanted = Wanted(segments, min_probability, window, stride, per_person, continual)
    if source:
        live = LiveOptions(source, raw, fps, duration, as_json)
        return label_live(open_predictor(poses_only=False), wanted.footage, live)
    options = FormatOptions(split, layout, size=size, fps=fps, images=images, space=space)
    sources = find_sources(clips or [], format_name, options, videos)
    results = Results(top, as_json, csv, vtt, elan, overlay)
    if len(sources) > 1:
        results.require_folders()
    poses_only = not other and not any(isinstance(each, VideoItem) for each in sources)
    labelling = Labelling(open_predictor(poses_only=poses_only), wanted, results)
    failed = False
    for clip in each_clip(sources):
        refused = clip if isinstance(clip, Refused) else labelling.label(clip)
        if refused is not None:
            failed = True
            print_refused(refused, as_json=as_json)
    if failed:
        raise typer.Exit(1)
    return None


def refuse(options: Mapping[str, object], why: str) -> None:
    """Check that options are not given that would have no effect.

    Raises:
        ConfigError: if one is.
    """
    for name, value in options.items():
        if value is not None:
            raise ConfigError(f"--{name} {why}")
