"""The command that exports a student for other machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from skdpipe.cli.app import (
    EVERYDAY,
    Cache,
    app,
    complete_config,
    print_line,
    print_problem,
    stderr,
    stdout,
)

if TYPE_CHECKING:
    from skdpipe import ExportReport


@app.command(rich_help_panel=EVERYDAY)
def export(
    bundle: Annotated[Path, typer.Argument(help="Bundle of a student.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder to write; by default NAME-export beside the bundle.")
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="Format beside ONNX, which is always written: openvino, litert; may be repeated; by default "
            "all that are installed; onnx for ONNX alone.",
        ),
    ] = None,
    cache: Cache = Path("pose_cache"),
    skeletons: Annotated[
        Path | None,
        typer.Option(
            help="Skeletons in any format of `import`, on which the export is compared with the bundle; by "
            "default its test clips in the cache."
        ),
    ] = None,
    pose: Annotated[bool, typer.Option("--pose", help="Export the estimator's network as well.")] = False,
    estimator: Annotated[
        str,
        typer.Option(
            help="Config of another estimator than the bundle's, for --pose: a YAML file or a name.",
            autocompletion=complete_config,
        ),
    ] = "",
    video: Annotated[
        Path | None,
        typer.Option(
            help="Video with people, on which the pose network is compared; by default those of the clips."
        ),
    ] = None,
) -> None:
    """Write a student as ONNX, OpenVINO and LiteRT, for phones and machines without PyTorch.

    Each file is compared with the bundle on real skeletons, and nothing is written if one differs by more
    than rounding.
    """
    from skdpipe import PoseCache, Progress, export_student, load_estimator_settings, load_poses

    if (estimator or video) and not pose:
        unused = "estimator" if estimator else "video"
        raise typer.BadParameter("it is for the pose network; add --pose", param_hint=f"--{unused}")
    report = export_student(
        bundle,
        output,
        formats=formats or (),
        cache=PoseCache(cache),
        skeletons=load_poses(skeletons) if skeletons else None,
        pose=pose,
        estimator=load_estimator_settings(estimator) if estimator else None,
        video=video,
        progress=Progress(stderr),
    )
    _print_report(report)


def _print_report(report: ExportReport) -> None:
    table = Table("file", "kB", "batch", "difference", "equal labels")
    table.columns[0].no_wrap = True
    for each in report.compared:
        difference, equal = each.parity.largest_difference, each.parity.equal
        kilobytes = report.size_of(each.file) / 1000
        table.add_row(each.file, f"{kilobytes:.0f}", f"{each.batch}", f"{difference:.1e}", f"{equal:.2%}")
    stdout.print(table)
    print_line(
        f"logits of up to {report.largest_logit:.3g} in PyTorch, on {report.skeletons}; differences up to "
        f"{report.bound:.1e} are rounding"
    )
    if report.pose is not None:
        parity = report.pose.parity
        print_line(
            f"pose network: the same people in {parity.equal:.0%} of {parity.clips} frames of "
            f"{report.pose.videos} videos, joints at most {parity.largest_difference:.1e} pixels apart "
            f"(accepted: {report.pose.bound:.2g})"
        )
    for note in report.notes:
        print_problem("yellow", "left out", note)
    print_line(f"written: {report.folder}")
