"""Commands about the layouts of joints, and about the skeletons in a file or folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from skdpipe.cli.app import ELSEWHERE, app, print_line, print_lines, print_problem, stderr, stdout
from skdpipe.cli.poses import (
    Images,
    Labels,
    Rate,
    Size,
    SourceFormat,
    SourceLayout,
    Space,
    Split,
    end_reading,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skdpipe.skeleton import PoseSequence


@app.command(rich_help_panel=ELSEWHERE)
def layouts(
    name: Annotated[str, typer.Argument(help="A layout to print as YAML; by default all are listed.")] = "",
) -> None:
    """List the layouts of joints, or print one as the YAML file that describes it."""
    import yaml

    from skdpipe.config import to_plain
    from skdpipe.skeleton import LAYOUTS, describe_layout, layout_named

    if name:
        plain = to_plain(describe_layout(layout_named(name)), only_changed=True)
        print_lines(yaml.safe_dump(plain, sort_keys=False, default_flow_style=None, width=100).rstrip())
        return
    table = Table("layout", "joints", "root", "first joints")
    for layout in LAYOUTS.values():
        table.add_row(layout.name, str(len(layout)), layout.root, " ".join(layout.joints[:3]) + " ...")
    stdout.print(table)


@app.command(rich_help_panel=ELSEWHERE)
def info(
    path: Annotated[Path, typer.Argument(help="Skeletons: a file or folder, e.g. pose_cache/high/NAME.")],
    format_name: Annotated[
        SourceFormat | None,
        typer.Option("--format", help="Format; needed if the files do not show it."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Picture to write.")] = Path("skeletons.png"),
    split: Split = None,
    layout: SourceLayout = None,
    labels: Labels = None,
    size: Size = None,
    fps: Rate = None,
    images: Images = None,
    space: Space = None,
) -> None:
    """Describe skeletons and draw their mean pose with joint names, to see a wrong layout early."""
    from skdpipe.formats.format import FormatOptions, refuse_useless
    from skdpipe.formats.reading import ReadingReport, read_clips, reading_of
    from skdpipe.formats.recognise import format_of
    from skdpipe.overlay import draw_summary, write_image
    from skdpipe.progress import Progress
    from skdpipe.skeleton.mean_pose import summarise_poses

    options = FormatOptions(split, layout, labels, size, fps, images, space=space)
    known = format_of(path, format_name)
    refuse_useless(options, [known])
    reading, report, counts = reading_of(known, path, options, None, None), ReadingReport(), Counter[str]()

    def counted() -> Iterator[PoseSequence]:
        for _, sequence in read_clips(reading, report, Progress(stderr)):
            counts["labelled"] += sequence.origin.label is not None
            counts["frames"] += len(sequence.frame_index)
            counts["empty"] += sequence.is_empty
            yield sequence

    summary = summarise_poses(counted())
    print_line(
        f"{path}: {summary.clips} clips, {counts['labelled']} with a label, "
        f"{counts['empty']} without people, {counts['frames'] / summary.clips:.0f} frames each on average"
    )
    print_line(
        f"layout {summary.layout.name}: {len(summary.layout)} joints in {summary.coordinates} coordinates; "
        f"{summary.poses} poses"
    )
    for joint, share in zip(summary.layout.joints, summary.mean[:, -1], strict=True):
        if share == 0:
            print_problem("yellow", "never seen", joint)
    write_image(output, draw_summary(summary))
    print_line(f"mean pose: {output}")
    end_reading(report)
