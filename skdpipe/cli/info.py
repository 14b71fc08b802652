"""The command that says what a file or folder is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skdpipe.cli.app import EVERYDAY, app, print_json, print_line, print_lines, print_problem, stderr
from skdpipe.cli.poses import Images, Labels, Rate, Size, SourceFormat, SourceLayout, Space, Split
from skdpipe.errors import ConfigError
from skdpipe.storage import Place, place_of

if TYPE_CHECKING:
    from skdpipe.info import Description


@app.command(rich_help_panel=EVERYDAY)
def info(
    path: Annotated[
        Place,
        typer.Argument(
            parser=place_of,
            metavar="PATH",
            help="A bundle, run, comparison, export, pose cache, weights, config, skeletons or video.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the same as one JSON object.")] = False,
    format_name: Annotated[
        SourceFormat | None,
        typer.Option("--format", help="Format of skeletons; needed if the files do not show it."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Picture of the mean pose of skeletons; by default skeletons.png.")
    ] = None,
    split: Split = None,
    layout: SourceLayout = None,
    labels: Labels = None,
    size: Size = None,
    fps: Rate = None,
    images: Images = None,
    space: Space = None,
) -> None:
    """Say what a file or folder is, how it was made, what it fits, and whether it is intact.

    Of skeletons the mean pose is drawn with the names of the joints, so that a wrong layout is noticed early.
    """
    from skdpipe import Progress, describe_path
    from skdpipe.formats.format import FormatOptions

    options = FormatOptions(split, layout, labels, size, fps, images, space=space)
    found = describe_path(path, format=format_name, options=options, progress=Progress(stderr))
    picture = _draw(found, output)
    if as_json:
        print_json({**found.to_plain(), "mean_pose": None if picture is None else str(picture)})
    else:
        print_lines(found.to_text())
        if picture is not None:
            print_line(f"mean pose: {picture}")
    for note in found.notes:
        print_problem("yellow", "note", note)
    for problem in found.problems:
        print_problem("red", "problem", problem)
    if found.problems:
        raise typer.Exit(1)


def _draw(found: Description, output: Path | None) -> Path | None:
    """Draw the mean pose of skeletons; nothing is drawn of anything else."""
    if found.poses is None:
        if output is not None:
            raise ConfigError(f"{found.path} is a {found.kind}; --output draws skeletons: leave it out")
        return None
    from skdpipe.overlay import draw_summary, write_image

    picture = output or Path("skeletons.png")
    write_image(picture, draw_summary(found.poses))
    return picture
