"""The command that measures estimators and trained networks on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from skdpipe.cli.app import (
    EXPERIMENTS,
    ConfigOption,
    Device,
    Models,
    Overrides,
    app,
    device_of,
    print_json,
    print_line,
    print_problem,
    stderr,
    stdout,
)

if TYPE_CHECKING:
    from skdpipe.profile import Profile
    from skdpipe.speed import Timing


@app.command(rich_help_panel=EXPERIMENTS)
def profile(
    video: Annotated[
        Path | None, typer.Argument(help="A clip of some seconds; by default a rendered actor.")
    ] = None,
    config: ConfigOption = "demo",
    overrides: Overrides = None,
    qualities: Annotated[
        list[str] | None,
        typer.Option(
            "--quality", help="Estimator of the config: high, low; may be repeated; by default both."
        ),
    ] = None,
    long_edges: Annotated[
        list[int] | None,
        typer.Option("--long-edge", help="Pixels of the longer side; may be repeated.", min=1),
    ] = None,
    sampling: Annotated[
        list[int] | None, typer.Option("--every", help="One frame in so many; may be repeated.", min=1)
    ] = None,
    runtimes: Annotated[
        list[str] | None,
        typer.Option(
            "--runtime", help="What runs the pose network: auto, torch, onnx, openvino; may be repeated."
        ),
    ] = None,
    precisions: Annotated[
        list[str] | None,
        typer.Option(
            "--precision", help="In which it computes: float32, bfloat16, float16; may be repeated."
        ),
    ] = None,
    budget: Annotated[
        str, typer.Option(help="Time of a frame, e.g. 20ms: prints the most accurate network within it.")
    ] = "",
    models: Models = Path("models"),
    output: Annotated[Path, typer.Option(help="Folder for profile.json and profile.png.")] = Path("profile"),
    rounds: Annotated[int, typer.Option(help="Number of rounds in which all are timed in turn.", min=1)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of tables.")] = False,
    device: Device = "",
) -> None:
    """Measure what estimators cost on this machine, by stage, beside the accuracy of trained networks."""
    from skdpipe import Extraction, Progress, load_config, profile_estimators
    from skdpipe.profile import list_variants, parse_budget, profile_as_plain, write_profile

    seconds = parse_budget(budget) if budget else None
    extraction = load_config(Extraction, config, overrides or (), section="extraction")
    changes = {
        "long_edge": long_edges or (),
        "every": sampling or (),
        "runtime": runtimes or (),
        "precision": precisions or (),
    }
    found = profile_estimators(
        list_variants(extraction, qualities or ("high", "low"), changes),
        video,
        models=models,
        people=extraction.people,
        batch=extraction.batch,
        rounds=rounds,
        device=device_of(device),
        progress=Progress(stderr),
    )
    files = write_profile(found, output, seconds)
    for what, reason in found.left_out.items():
        print_problem("yellow", "left out", f"{what}: {reason}")
    if as_json:
        print_json(profile_as_plain(found, seconds))
        return
    _print_tables(found)
    if seconds is not None:
        _print_budget(found, seconds)
    print_line(f"written: {', '.join(map(str, files))}")
    if len(files) == 1:
        print_line('no picture without matplotlib; `pip install "skdpipe[report]"` installs it')


def _print_tables(found: Profile) -> None:
    width, height = found.size
    print_line(
        f"{found.clip}: {found.frames} frames of {width}x{height}, {found.frames / found.fps:.2f} s at "
        f"{found.fps:g} fps; {found.machine}"
    )
    for number, each in enumerate(found.estimators, 1):
        title = f"{number} {each.name}"
        table = Table("stage", "ms a frame [range]", "ms a clip [range]", title=title, title_justify="left")
        for stage, time in each.stages.items():
            table.add_row(stage, _of_a_frame(found, time), time.in_milliseconds())
        table.add_section()
        table.add_row("whole", _of_a_frame(found, each.whole), each.whole.in_milliseconds())
        stdout.print(table)
    stdout.print(_sizes(found))
    if found.networks:
        stdout.print(_networks(found))
    if len({each.test for each in found.networks}) > 1:
        print_line("networks of runs with other clips are not compared: each has a front of its own")


def _sizes(found: Profile) -> Table:
    headings = (
        "estimator",
        "runtime",
        "images",
        "parameters",
        "GMAC\nan image",
        "peak\nMB",
        "real-time\nfactor",
    )
    table = _table(headings)
    for number, each in enumerate(found.estimators, 1):
        network, peak = each.network, each.peak_memory
        table.add_row(
            f"{number} {each.name}",
            each.runtime,
            f"{each.images}",
            f"{network.parameters:,}" if network else "unknown",
            f"{network.multiply_adds / 1e9:.3f}" if network else "unknown",
            f"{peak / 1e6:.0f}" if peak is not None else "unknown",
            f"{found.real_time_factor(each.whole):.2f}",
        )
    return table


def _networks(found: Profile) -> Table:
    """The trained networks, the cheapest first; an estimator is named by its number."""
    numbers = {each.name: f"{number}" for number, each in enumerate(found.estimators, 1)}
    headings = (
        "network", "esti-\nmator", "top-1 [95 %]", "network:\nms a clip", "all: ms a frame\n[range]",
        "real-time\nfactor", "Pareto\nfront",
    )  # fmt: skip
    table = _table(headings)
    for each in sorted(found.networks, key=lambda each: each.cost.median):
        table.add_row(
            each.network,
            numbers[each.estimator],
            each.top1.in_words("%"),
            each.student.in_milliseconds(),
            _of_a_frame(found, each.cost),
            f"{found.real_time_factor(each.cost):.2f}",
            "yes" if each.on_front else "",
        )
    return table


def _table(headings: Sequence[str]) -> Table:
    table = Table()
    for heading in headings:
        table.add_column(Text(heading))
    return table


def _of_a_frame(found: Profile, time: Timing) -> str:
    return (time / found.frames).in_milliseconds()


def _print_budget(found: Profile, seconds: float) -> None:
    from skdpipe.profile import answer_budget

    limit = f"{1000 * seconds:g} ms a frame"
    for answer in answer_budget(found.networks, seconds * found.frames):
        named = answer.best or answer.cheapest
        accuracy, time = named.top1.in_words("%"), _of_a_frame(found, named.cost)
        text = f"{named.network} with {named.estimator}: {accuracy} at {time} ms a frame"
        if answer.best:
            print_line(f"the most accurate within {limit}: {text}")
        else:
            print_line(f"no network costs at most {limit}; the cheapest is {text}")
    if not found.networks:
        cheapest = min(found.estimators, key=lambda each: each.whole.median)
        time = _of_a_frame(found, cheapest.whole)
        print_line(
            f"no trained network has one of these estimators: of what costs at most {limit}, no accuracy is "
            f"known; the cheapest estimator is {cheapest.name} at {time} ms a frame"
        )
