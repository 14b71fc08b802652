"""Commands that train a network on skeletons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from skdpipe.cli.app import (
    EVERYDAY,
    EXPERIMENTS,
    Cache,
    Config,
    Device,
    Models,
    Overrides,
    app,
    device_of,
    print_line,
    print_problem,
    stderr,
    stdout,
)

if TYPE_CHECKING:
    import torch

    from skdpipe.config import Experiment
    from skdpipe.distill import DistillationResult, Processes
    from skdpipe.distill.results import Results
    from skdpipe.progress import Progress
    from skdpipe.speed import Timing

_TOP_5: Final = 5  # with as many classes it is always 100 %

Log = Annotated[
    list[str] | None,
    typer.Option(
        help="Write losses, accuracies and times of each epoch into METHOD.training.csv or "
        "tensorboard/METHOD in the run's folder; may be repeated. The result is the same without it.",
        metavar="[csv|tensorboard]",
    ),
]
TestEvery = Annotated[
    int,
    typer.Option(
        help="Number of epochs after which the accuracy on the test clips is measured, for the curves only: "
        "nothing is chosen by it. 0: never.",
        min=0,
    ),
]


@app.command(rich_help_panel=EVERYDAY)
def distill(
    config: Config = "published",
    overrides: Overrides = None,
    cache: Cache = Path("pose_cache"),
    models: Models = Path("models"),
    device: Device = "",
    teacher: Annotated[
        Path | None, typer.Option(help="Bundle of a trained teacher, to use instead of training one.")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            help="Number of parts of a cross-validation, for the table; 0: none. By default 5 (or as many as "
            "there are) with fewer than 200 test clips.",
            min=0,
        ),
    ] = None,
    log: Log = None,
    test_every: TestEvery = 0,
) -> None:
    """Train teacher, baselines and student on the cached skeletons."""
    from skdpipe import PoseCache, cross_validate, distill_student
    from skdpipe.distill import default_folds
    from skdpipe.errors import DataError, ProcessError

    with _prepared_training(config, overrides, device) as training:
        training.processes.of_first(lambda: _require_folds(folds, teacher))
        result = distill_student(
            training.experiment,
            PoseCache(cache),
            models,
            device=training.device,
            progress=training.progress,
            teacher=teacher,
            log=log or (),
            test_every=test_every,
            processes=training.processes,
        )
        parts, validated, reason = folds, None, None
        if parts is None:
            parts = 0 if teacher else default_folds(result.manifest)
        if parts:
            try:
                validated = cross_validate(
                    training.experiment,
                    PoseCache(cache),
                    models,
                    parts,
                    device=training.device,
                    progress=training.progress,
                    processes=training.processes,
                )
            except (DataError, ProcessError) as error:
                found_by_first = isinstance(error, DataError) or error.reported
                if folds is not None or not found_by_first:
                    raise
                reason = error
        if training.processes.is_first:
            print_results(result, training.device, validated)
            if reason is not None:
                print_problem("yellow", "not cross-validated", f"{reason}; --folds 0 skips it")


@dataclass(frozen=True)
class _Training:
    """What a training needs in this process."""

    experiment: Experiment
    device: torch.device
    progress: Progress
    processes: Processes


@contextmanager
def _prepared_training(config: str, overrides: list[str] | None, device: str) -> Iterator[_Training]:
    from skdpipe import Experiment, Progress, load_config
    from skdpipe.distill import device_of_process, joined_processes
    from skdpipe.memory import keep_freed_memory

    keep_freed_memory()
    on = device_of(device_of_process(device))
    with joined_processes(on) as processes:
        experiment = processes.of_first(
            lambda: load_config(Experiment, config, overrides or (), section="experiment")
        )
        yield _Training(experiment, on, Progress(stderr), processes)


def _require_folds(folds: int | None, teacher: Path | None) -> None:
    from skdpipe.errors import ConfigError

    if folds == 1:
        raise ConfigError("--folds 1: a cross-validation has two or more parts, or 0 for none")
    if folds and teacher:
        raise ConfigError(
            "--folds trains a teacher for each part, so that none is tested on its training clips; leave out "
            "--folds or --teacher"
        )


@app.command(rich_help_panel=EXPERIMENTS)
def finetune(
    bundle: Annotated[Path, typer.Argument(help="Bundle of the trained network.")],
    config: Config = "published",
    overrides: Overrides = None,
    cache: Cache = Path("pose_cache"),
    models: Models = Path("models"),
    device: Device = "",
    log: Log = None,
    test_every: TestEvery = 0,
) -> None:
    """Finetune a trained network on other classes, with low-quality skeletons alone."""
    from skdpipe import PoseCache, finetune_student

    with _prepared_training(config, overrides, device) as training:
        result = finetune_student(
            bundle,
            training.experiment,
            PoseCache(cache),
            models,
            device=training.device,
            progress=training.progress,
            log=log or (),
            test_every=test_every,
            processes=training.processes,
        )
        if training.processes.is_first:
            print_results(result, training.device)


def print_results(result: DistillationResult, device: torch.device, validated: Results | None = None) -> None:
    """Print conclusions, the table of methods and forests, and the numbers of clips.

    Args:
        result: of the run.
        device: on which the networks of the table are timed.
        validated: results of a cross-validation; they replace the accuracies on the run's test clips.
    """
    from skdpipe.dataset import BOTH
    from skdpipe.distill.conclusions import conclude
    from skdpipe.distill.methods import title_of

    shown = validated or result.results
    conclusions = conclude(shown)
    for conclusion in conclusions:
        if conclusion.level == "problem":
            print_problem("red", "problem", conclusion.text)
    stdout.print(_results_table(result, shown, validated, result.time_networks(device)))
    train, test = (len(result.manifest.part(train=side)) for side in (True, False))
    any_result = next(iter(shown.values()))
    tested = f"each of {len(any_result.label)} clips tested once" if validated else f"{test} test clips"
    classes = len(result.manifest.classes)
    print_line(f"{classes} classes, {train} training clips, {tested}, chance {any_result.chance:.1f} %")
    if validated:
        print_line(
            f"the networks in {result.folder} are those of the split: {train} training and {test} test clips"
        )
    if result.choice:
        print_line(result.choice)
    for name, calibration in result.calibrations.items():
        print_line(f"probabilities of {title_of(name)}: {calibration.in_words}")
    unpaired = [clip.qualities[0] for clip in result.manifest.clips if len(clip.qualities) == 1]
    if unpaired:
        print_line(
            f"unpaired training clips: {unpaired.count('high')} of high quality, "
            f"{unpaired.count('low')} of low quality"
        )
    if any(clip.labelled != clip.qualities for clip in result.manifest.clips):
        high, low = (len(result.manifest.part(train=True, quality=each, labelled=True)) for each in BOTH)
        print_line(f"labelled training clips: {high} of high quality, {low} of low quality")
    for reason, count in result.manifest.left_out.items():
        print_line(f"left out: {count} with {reason}")
    for conclusion in conclusions:
        if conclusion.level == "note":
            print_line(conclusion.text)


def _results_table(
    result: DistillationResult, shown: Results, validated: Results | None, times: Mapping[str, Timing]
) -> Table:
    tested = "cross-validation" if validated else "test clips"
    table = Table(title=f"{result.folder}: accuracy on {tested}")
    table.add_column(no_wrap=True)
    with_top5 = len(result.manifest.classes) > _TOP_5
    for heading, is_shown in (
        ("top-1 % [95 %]", True),
        ("split\n%", validated is not None),
        ("train\n%", True),
        ("top-5\n%", with_top5),
        ("params", True),
        ("GFLOPs", True),
        ("ms per clip\n[range]", True),
    ):
        if is_shown:
            table.add_column(Text(heading), no_wrap=heading in ("params", "GFLOPs"))
    for name, each in shown.items():
        top1, cells = each.top1, [each.title]
        cells.append(f"{top1.estimate:.2f} [{top1.low:.0f}, {top1.high:.0f}]")
        if validated is not None:
            cells.append(f"{result.results[name].top1.estimate:.2f}")
        figures = result.figures.get(name)
        if figures is not None:
            cells.append("" if each.training_top1 is None else f"{each.training_top1:.2f}")
            cells += [f"{figures.top5:.2f}"] if with_top5 else []
            cells += [f"{figures.parameters:,}", f"{figures.gflops:.3f}", times[name].in_milliseconds()]
        table.add_row(*cells)
    return table
