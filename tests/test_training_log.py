"""Logs of a training, the table beside its progress bar, and the warning that it learns nothing."""

from __future__ import annotations

import csv
import io
import json
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from distillation_setup import CPU, InterruptionError, equal_states, interrupt_at, state_of
from moving_body import fill, tiny_experiment
from recording_progress import RecordingProgress
from rich.console import Console

from skdpipe.bundle import Bundle, load_bundle, save_bundle
from skdpipe.cache import PoseCache
from skdpipe.config import Augmentation, Recipe, to_plain
from skdpipe.distill import DistillationResult, distill_student, finetune_student
from skdpipe.distill.methods import STUDENT
from skdpipe.distill.run_folder import RunFolder
from skdpipe.distill.standstill import describe_standstill, epoch_of_judgement
from skdpipe.distill.training_log import CsvLog, TensorBoardLog, training_log
from skdpipe.distill.training_state import Curve
from skdpipe.distill.training_table import training_table
from skdpipe.errors import ConfigError, MissingDependencyError
from skdpipe.inference.metadata import read_metadata
from skdpipe.progress import Progress

NAMES = ("teacher", "baseline", "student")
EXPERIMENT = tiny_experiment(methods=NAMES, recipe=Recipe(epochs=4, batch=4, augment=Augmentation()))
BOTH = ("csv", "tensorboard")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    return fill(PoseCache(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def plain(cache: PoseCache, tmp_path_factory: pytest.TempPathFactory) -> DistillationResult:
    """A run without logs and tests."""
    return distill_student(EXPERIMENT, cache, tmp_path_factory.mktemp("plain"), device=CPU)


@pytest.fixture(scope="module")
def logged(cache: PoseCache, tmp_path_factory: pytest.TempPathFactory) -> DistillationResult:
    """The same run with both logs, tested after every second epoch."""
    models = tmp_path_factory.mktemp("logged")
    return distill_student(EXPERIMENT, cache, models, device=CPU, log=BOTH, test_every=2)


def curves_of(folder: Path, method: str) -> tuple[Curve, ...]:
    return RunFolder(folder).read_results()[method].curves


def values_of(curve: Curve) -> dict[str, float]:
    """The values of a curve by their names in a log, without those that are not known."""
    named = asdict(curve)
    grouped = {
        f"{group}/{name}": value
        for group, values in (("loss", "losses"), ("cosine", "cosines"), ("revised", "revised"))
        for name, value in named.pop(values).items()
    }
    named["clips_per_second"] = named["clips"] / named["seconds"]
    return {name: value for name, value in {**named, **grouped}.items() if value is not None}


def read_csv(path: Path) -> list[dict[str, float]]:
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
    return [{name: float(value) for name, value in row.items() if value} for row in rows]


def read_events(folder: Path) -> list[dict[str, float]]:
    """What TensorBoard shows of a run: the value of each scalar by step; a repeated step is an error."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    steps: dict[int, dict[str, float]] = {}
    for name in events.Tags()["scalars"]:
        for event in events.Scalars(name):
            values = steps.setdefault(event.step, {})
            assert name not in values
            values[name] = event.value
    return [{"epoch": step, **steps[step]} for step in sorted(steps)]


def require_complete_logs(folder: Path, method: str, epochs: int = 4) -> None:
    """The logs have the values of the curves, each epoch once."""
    curves = curves_of(folder, method)
    assert len(curves) == epochs
    expected = [{"epoch": epoch, **values_of(curve)} for epoch, curve in enumerate(curves, 1)]
    assert read_csv(folder / f"{method}.training.csv") == expected
    for found, wanted in zip(read_events(folder / "tensorboard" / method), expected, strict=True):
        assert found == pytest.approx(wanted, rel=1e-6)  # single precision


# Curves


def test_the_curve_of_an_epoch(logged: DistillationResult) -> None:
    for method in NAMES:
        curves = curves_of(logged.folder, method)
        assert [curve.clips for curve in curves] == [8] * 4
        assert all(curve.training_top1 in np.arange(9) * 12.5 for curve in curves)
        assert [curve.test_top1 is not None for curve in curves] == [False, True, False, True]
        assert curves[-1].test_top1 == logged.figures[method].top1
        # half a cosine over eight steps; each curve has the rate of its second step
        steps = np.array([1, 3, 5, 7]) / 8
        rates = EXPERIMENT.recipe.learning_rate * (1 + np.cos(np.pi * steps)) / 2
        assert [curve.learning_rate for curve in curves] == pytest.approx(rates)


def test_logs_and_tests_do_not_change_the_networks(
    plain: DistillationResult, logged: DistillationResult
) -> None:
    for method in NAMES:
        one, other = (
            state_of(load_bundle(each.folder / f"{method}.safetensors").network) for each in (plain, logged)
        )
        assert equal_states(one, other)
        untested = [replace(curve, test_top1=None) for curve in curves_of(logged.folder, method)]
        assert untested == [*curves_of(plain.folder, method)]
        predictions = [each.folder / f"{method}.predictions.json" for each in (plain, logged)]
        assert predictions[0].read_bytes() == predictions[1].read_bytes()


def test_equal_runs_give_equal_bundles_but_for_times(
    plain: DistillationResult, cache: PoseCache, tmp_path: Path
) -> None:
    again = distill_student(EXPERIMENT, cache, tmp_path / "models", device=CPU)
    files = []
    for number, folder in enumerate((plain.folder, again.folder)):
        bundle = load_bundle(folder / "student.safetensors")
        run = json.loads(json.dumps(bundle.metadata.run))
        run["figures"]["milliseconds"] = 0
        for curve in run["curves"]:
            curve["seconds"] = 0
        files.append(tmp_path / f"{number}.safetensors")
        save_bundle(Bundle(bundle.network, replace(bundle.metadata, run=run)), files[-1])
    assert files[0].read_bytes() == files[1].read_bytes()


def test_curves_of_earlier_versions_are_read(plain: DistillationResult, tmp_path: Path) -> None:
    folder = shutil.copytree(plain.folder, tmp_path / "tiny")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    former = ("losses", "cosines", "revised", "seconds")
    for record in results.values():
        record["curves"] = [{name: curve[name] for name in former} for curve in record["curves"]]
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    (curve, *_) = curves_of(folder, "student")
    assert (curve.learning_rate, curve.clips, curve.training_top1, curve.clips_per_second) == (None,) * 4
    assert curve.losses == curves_of(plain.folder, "student")[0].losses
    log = CsvLog(tmp_path / "log.csv")
    log.write([curve])
    assert read_csv(log.path) == [
        {"epoch": 1, "seconds": curve.seconds,
         **{f"loss/{name}": each for name, each in curve.losses.items()},
         **{f"cosine/{name}": each for name, each in curve.cosines.items()},
         **{f"revised/{name}": each for name, each in curve.revised.items()}}
    ]  # fmt: skip


# Logs


def test_logs_have_the_values_of_the_curves(logged: DistillationResult) -> None:
    for method in NAMES:
        require_complete_logs(logged.folder, method)
    assert {each.name for each in logged.folder.iterdir()} >= {"tensorboard", "student.training.csv"}


def test_without_the_option_nothing_is_logged(plain: DistillationResult) -> None:
    assert not list(plain.folder.rglob("*.csv"))
    assert not list(plain.folder.rglob("*tfevents*"))


def test_the_settings_are_logged_as_text(logged: DistillationResult) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logged.folder / "tensorboard/student"))
    events.Reload()
    (event,) = events.Tensors("settings/text_summary")
    text = event.tensor_proto.string_val[0].decode()
    assert "    name: tiny\n" in text
    assert "      epochs: 4\n" in text
    assert all(line.startswith("    ") for line in text.splitlines())


def test_a_finished_run_is_logged_from_its_bundles(
    plain: DistillationResult, cache: PoseCache, tmp_path: Path
) -> None:
    folder = shutil.copytree(plain.folder, tmp_path / "tiny")
    progress = RecordingProgress()
    for _ in range(2):
        distill_student(EXPERIMENT, cache, tmp_path, device=CPU, log=BOTH, progress=progress)
        for method in NAMES:
            require_complete_logs(folder, method)
    assert not progress.tasks


@pytest.mark.parametrize("before", [(), BOTH])
def test_an_interrupted_run_continues_its_logs(
    plain: DistillationResult, cache: PoseCache, tmp_path: Path, before: Sequence[str]
) -> None:
    """Also if it was started without logs, and if it is continued without them and again with them."""
    for at, log in ((1.5, before), (2.5, ()), (3.5, BOTH), (9, BOTH)):
        progress = RecordingProgress(interrupt_at(at, f"training {STUDENT.title}"))
        try:
            distill_student(EXPERIMENT, cache, tmp_path, device=CPU, log=log, progress=progress)
        except InterruptionError:
            if log:
                epochs = list(range(1, int(at) + 1))
                assert [row["epoch"] for row in read_csv(tmp_path / "tiny/student.training.csv")] == epochs
                assert [row["epoch"] for row in read_events(tmp_path / "tiny/tensorboard/student")] == epochs
    for method in NAMES:
        require_complete_logs(tmp_path / "tiny", method)
    assert list(curves_of(tmp_path / "tiny", "student")) == list(curves_of(plain.folder, "student"))


KILLED = """
import json, os, signal, sys, torch
from contextlib import contextmanager
from pathlib import Path
from skdpipe.cache import PoseCache
from skdpipe.config import Experiment, parse_config
from skdpipe.distill import distill_student
from skdpipe.progress import Progress, Task

class Killing(Task):
    def advance_to(self, done, note=""):
        if done >= 2.5:
            os.kill(os.getpid(), signal.SIGKILL)

class KillingProgress(Progress):
    @contextmanager
    def task(self, name, total=None, *, unit=""):
        yield Killing() if name == "training HQS-T" else Task()

torch.set_num_threads(int(sys.argv[4]))
experiment = parse_config(Experiment, json.loads(sys.argv[3]), "test")
distill_student(
    experiment, PoseCache(Path(sys.argv[1])), Path(sys.argv[2]), device=torch.device("cpu"),
    progress=KillingProgress(quiet=True), log=("csv", "tensorboard"),
)
"""


def test_a_killed_run_has_complete_logs(cache: PoseCache, tmp_path: Path) -> None:
    settings, threads = json.dumps(to_plain(EXPERIMENT)), str(torch.get_num_threads())
    command = [sys.executable, "-c", KILLED, str(cache.root), str(tmp_path), settings, threads]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    folder = tmp_path / "tiny"
    assert [row["epoch"] for row in read_csv(folder / "teacher.training.csv")] == [1, 2]
    assert [row["epoch"] for row in read_events(folder / "tensorboard/teacher")] == [1, 2]
    distill_student(EXPERIMENT, cache, tmp_path, device=CPU, log=BOTH)
    for method in NAMES:
        require_complete_logs(folder, method)


def test_a_finetuning_is_logged(plain: DistillationResult, cache: PoseCache, tmp_path: Path) -> None:
    tuned = replace(EXPERIMENT, name="tuned")
    bundle = plain.folder / "student.safetensors"
    result = finetune_student(bundle, tuned, cache, tmp_path, device=CPU, log=BOTH, test_every=1)
    require_complete_logs(result.folder, "baseline")
    assert all(curve.test_top1 is not None for curve in curves_of(result.folder, "baseline"))


def test_names_of_losses_are_shown_as_they_are(tmp_path: Path) -> None:
    """A bundle from elsewhere may name a loss at will."""
    hostile = '=1\n"\x1b[31m\u202e,' + "x" * 1000
    curves = [Curve({"task": 1.0, hostile: 2.0}, seconds=1.0)]
    with training_log(BOTH, RunFolder(tmp_path), STUDENT, EXPERIMENT) as log:
        log.write(curves)
    (row,) = read_csv(tmp_path / "student.training.csv")
    (name,) = [each for each in row if each.startswith("loss/=")]
    assert name.startswith(r'loss/=1\n"\x1b[31m\u202e,xxx')
    assert len(name) < 200
    assert read_events(tmp_path / "tensorboard/student") == [row]


# Logs that cannot be written


@contextmanager
def one_warning(start: str) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    (found,) = (str(each.message) for each in caught if each.category is UserWarning)
    assert found.startswith(start)
    assert "\n" not in found


def test_a_log_that_cannot_be_written_does_not_end_the_training(
    plain: DistillationResult, cache: PoseCache, tmp_path: Path
) -> None:
    """Something else is in its place."""
    table = tmp_path / "tiny/teacher.training.csv"
    (table / "x").mkdir(parents=True)
    (tmp_path / "tiny/tensorboard").write_text("a file")
    only_teacher = replace(EXPERIMENT, methods=("teacher",))
    with one_warning(f"{table}: cannot log the training (Is a directory); it goes on without this log"):
        distill_student(only_teacher, cache, tmp_path, device=CPU, log=("csv",))
    weights = [each / "teacher.safetensors" for each in (plain.folder, tmp_path / "tiny")]
    assert equal_states(*(state_of(load_bundle(each).network) for each in weights))
    with one_warning(f"{tmp_path}/tiny/tensorboard/teacher: cannot log the training (Not a directory)"):
        distill_student(only_teacher, cache, tmp_path, device=CPU, log=("tensorboard",))


def test_a_log_on_a_full_disk_is_given_up(tmp_path: Path) -> None:
    """The limit of a file's size has the same effect: a write fails in the middle."""
    curves = [Curve({"task": 1.0}, seconds=1.0)] * 400
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for each in BOTH:
        with training_log([each], RunFolder(tmp_path), STUDENT, EXPERIMENT) as log:
            log.write(curves[:1])
            place = "student.training.csv" if each == "csv" else "tensorboard/student"
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
            try:
                with one_warning(f"{tmp_path}/{place}: cannot log the training (File too large)"):
                    log.write(curves)
                    log.write(curves)  # is not tried again
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        if each == "csv":
            assert len(read_csv(tmp_path / place)) == 1
        with training_log([each], RunFolder(tmp_path), STUDENT, EXPERIMENT) as log:
            log.write(curves)
    assert len(read_csv(tmp_path / "student.training.csv")) == 400
    assert len(read_events(tmp_path / "tensorboard/student")) == 400


def test_an_unknown_log_or_a_missing_package_is_found_before_the_training(
    cache: PoseCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"^unknown log 'xml'; expected csv or tensorboard$"):
        distill_student(EXPERIMENT, cache, tmp_path, device=CPU, log=["xml"])
    monkeypatch.setattr("skdpipe.errors.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r'^tensorboard not found; .*"skdpipe\[tensorboard\]"`$'):
        distill_student(EXPERIMENT, cache, tmp_path, device=CPU, log=["tensorboard"])
    assert not list(tmp_path.iterdir())


def test_another_program_may_follow_the_events(tmp_path: Path) -> None:
    """A reader that has loaded an earlier start of the training shows each epoch once afterwards."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0})
    curves = [Curve({"task": float(number)}, seconds=1e-6) for number in range(5)]
    first = TensorBoardLog(tmp_path, EXPERIMENT)
    first.write(curves[:2])
    reader.Reload()
    assert [each.value for each in reader.Scalars("loss/task")] == [0, 1]
    second = TensorBoardLog(tmp_path, EXPERIMENT)
    second.write(curves[:1])
    second.write(curves)
    reader.Reload()
    assert [(each.step, each.value) for each in reader.Scalars("loss/task")] == [
        (number + 1, number) for number in range(5)
    ]
    times = [each.wall_time for each in reader.Scalars("loss/task")]
    assert times == sorted(times)
    third = TensorBoardLog(tmp_path, EXPERIMENT)
    third.write(curves)
    assert len(list(tmp_path.iterdir())) == 2
    assert [row["epoch"] for row in read_events(tmp_path)] == [1, 2, 3, 4, 5]
    for log in (first, second, third):
        log.close()


# The table on a terminal


def course(*accuracies: float, loss: float = 1.0, **losses: float) -> list[Curve]:
    return [
        Curve({"task": loss, **losses}, seconds=1.0, learning_rate=0.05, clips=8, training_top1=accuracy)
        for accuracy in accuracies
    ]


def test_the_table_shows_the_last_epoch_and_the_best_of_earlier_methods() -> None:
    earlier = {
        "HQS-T": course(20, 62.5, 50, loss=2.0),
        "LQS-S": [],
        "old": [Curve({"task": 3}), Curve({"task": 2})],
    }
    headings, rows = training_table("SKD", course(50, 12.5, node=0.01234, kl=1e-5), 60, earlier)
    assert headings == ["", "epoch", "loss", "node", "kl", "train %", "rate"]
    assert rows == [
        ["HQS-T", "best 2/3", "2.00", "", "", "62.5", "0.05"],
        ["old", "best 2/2", "2.00", "", "", "", ""],
        ["SKD", "2/60", "1.00", "0.012", "1.0e-05", "12.5", "0.05"],
    ]
    assert training_table("SKD", [], 60, {}).rows == [["SKD", "0/60", "", ""]]
    tested = [replace(curve, test_top1=40.0) for curve in course(50)]
    assert training_table("SKD", tested, 1, {}).headings == ["", "epoch", "loss", "train %", "test %", "rate"]


LONG = {
    title: [replace(each, test_top1=66.6) for each in course(*range(100), kl=0.012, node=0.12, edge=1.25)]
    for title in ("HQS-T", "LQS-S", "LQS-SWA-S", "SKD")
}


def wait_for(text: str, console: Console) -> None:
    """Wait until the display, which is drawn ten times a second, has shown a text."""
    last = time.monotonic() + 20
    while text not in console.file.getvalue() and time.monotonic() < last:  # type: ignore[attr-defined]
        time.sleep(0.05)


@pytest.mark.parametrize("width", [80, 200])
def test_the_table_fits_the_terminal(width: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=40, color_system=None)
    with Progress(console).task("training SKD*", 100, unit="epochs") as task:
        task.show_table(*training_table("SKD*", LONG["SKD"], 100, LONG))
        task.advance_to(50, "loss 0.123")
        wait_for("rate", console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    shown = text.replace("\r", "\n").replace("\x1b[2K", "").replace("\x1b[1A", "").splitlines()
    assert max(map(len, shown)) <= width
    assert "                  epoch  loss     kl   node  edge  train %  test %  rate" in shown
    assert "LQS-SWA-S  best 100/100  1.00  0.012  0.120  1.25     99.0    66.6  0.05" in shown
    assert text.endswith("\x1b[?25h")
    *_, before, last, _ = shown
    assert "training SKD*" in last
    assert "LQS" not in last + before  # removed at the end


def test_cells_of_the_table_are_shown_as_they_are() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    with Progress(console).task("training", 1) as task:
        task.show_table(["[red]name\x1b[31m"], [["[b]\u202e\n"]])
        wait_for("[red]", console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert r"[red]name\x1b[31m" in text
    assert r"[b]\u202e\n" in text


def test_there_is_no_table_where_lines_are_printed() -> None:
    console = Console(file=io.StringIO(), width=80)
    with Progress(console).task("training SKD", 2, unit="epochs") as task:
        task.show_table(["", "epoch"], [["SKD", "1/2"]])
        task.advance_to(2, "loss 0.123")
    (line,) = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert line.startswith("training SKD: 2 of 2 epochs")
    assert line.endswith("loss 0.123")


# Does it learn?


@pytest.mark.parametrize(
    ("epochs", "steps", "expected"), [(60, 10, 20), (61, 10, 21), (60, 1, 50), (3, 2, 25), (5, 400, 2)]
)
def test_learning_is_judged_after_a_third_of_the_epochs(epochs: int, steps: int, expected: int) -> None:
    assert epoch_of_judgement(epochs, steps) == expected


LABELS = [0, 1, 2, 3] * 25


def judge(curves: Sequence[Curve], labels: Sequence[int] = LABELS, balanced: bool = False) -> str:
    return describe_standstill("SKD", curves, 60, labels, balanced=balanced)


def test_a_training_accuracy_at_chance_is_named() -> None:
    """Even if the loss falls, as it does to that of equal probabilities."""
    falling = [*course(*[26.0] * 5, loss=2.0), *course(*[24.0, 26.0] * 5, loss=1.39)]
    assert judge(falling) == (
        "SKD has learned nothing in 15 of 60 epochs: it classifies 25.2 % of its training clips, and chance "
        "is 25.0 %; likely too few steps (recipe.steps), an unsuitable learning rate, or wrong labels. Run "
        "`skdpipe check`."
    )


def test_chance_is_that_of_the_clips_of_an_epoch() -> None:
    uneven = [0] * 70 + [1] * 30 + [-1] * 500
    assert "chance is 70.0 %" in judge(course(*[70.0] * 9), uneven)
    assert "chance is 50.0 %" in judge(course(*[50.0] * 9), uneven, balanced=True)


def test_a_constant_loss_and_accuracy_are_named() -> None:
    constant = [*course(*[40.0] * 3, loss=1.0), *course(*[41.0] * 6, loss=0.995)]
    found = judge(constant)
    assert "its loss was 1 and is 0.995, its training accuracy was 40.0 % and is 41.0 %; likely" in found


@pytest.mark.parametrize(
    "curves",
    [
        [*course(*[40.0] * 3, loss=1.0), *course(*[41.0] * 6, loss=0.9)],  # the loss falls
        [*course(*[40.0] * 3), *course(*[50.0] * 6)],  # the accuracy rises
        course(*[95.0] * 9),  # learned from the start
        [Curve({"task": 1.0})] * 9,  # of an earlier version
        course(90.0),
    ],
)
def test_a_training_that_learns_is_not_named(curves: list[Curve]) -> None:
    assert judge(curves) == ""


def training_warnings(cache: PoseCache, models: Path, recipe: Recipe) -> list[str]:
    experiment = tiny_experiment(methods=("teacher",), recipe=recipe, seed=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        distill_student(experiment, cache, models, device=CPU)
    return [str(each.message) for each in caught if each.category is UserWarning]


def test_a_training_that_stands_still_is_named_once(cache: PoseCache, tmp_path: Path) -> None:
    stuck = Recipe(epochs=80, batch=4, learning_rate=1e-30, augment=Augmentation())
    (found,) = training_warnings(cache, tmp_path / "stuck", stuck)
    assert found.startswith("HQS-T has learned nothing in 27 of 80 epochs: ")
    assert found.endswith("Run `skdpipe check`.")


def test_a_training_that_learns_gives_no_warning(cache: PoseCache, tmp_path: Path) -> None:
    learning = Recipe(epochs=80, batch=4, learning_rate=0.01, augment=Augmentation())
    assert training_warnings(cache, tmp_path / "healthy", learning) == []
    curves = read_metadata(tmp_path / "healthy/tiny/teacher.safetensors").run["curves"]
    assert np.mean([curve["training_top1"] for curve in curves[18:27]]) > 60
