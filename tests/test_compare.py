"""A comparison: its runs, shared teachers, the table, interruption."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from moving_body import fill

from skdpipe.cache import PoseCache
from skdpipe.compare import ComparisonResult, columns_of, run_comparison
from skdpipe.compare.plan import load_comparison
from skdpipe.compare.table import (
    Row,
    TrainedNetwork,
    rows_of,
    to_csv,
    to_markdown,
)
from skdpipe.config import Degradation, LabelShares
from skdpipe.engines import LocalEngine
from skdpipe.errors import ConfigError, DataError
from skdpipe.progress import Progress
from skdpipe.runtimes import available_threads

EXPERIMENT = {
    "clip": {"frames": 8},
    "teacher": {"name": "st_2sgcn", "width": 4},
    "student": {"name": "st_2sgcn", "width": 4},
    "recipe": {"epochs": 2, "batch": 4},
    "distillation": {"node_variant": "relative"},
    "derive_low": {"every": 2},
    "classical": False,
}
COMPARISON = {
    "name": "tiny",
    "seeds": [0, 1],
    "scenarios": {"k = 1/3": {"derive_low": {"every": 3}}, "occlusion": {"derive_low": {"occlusion": 0.3}}},
    "students": {"narrow": {"student": {"width": 3}}},
    "variants": {"no edges": {"distillation": {"edge": 0}}},
}


def write(folder: Path, **changes: object) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({"experiment": EXPERIMENT, "comparison": {**COMPARISON, **changes}}))
    return path


def test_rows_columns_and_shared_teachers(tmp_path: Path) -> None:
    _, plan = load_comparison(write(tmp_path))
    assert len(plan.teachers) == 2  # one for each seed, shared by scenarios and students
    assert [str(run.folder) for run in plan.rows] == [
        f"{scenario}/narrow/{variant}seed{seed}"
        for seed in (0, 1)
        for scenario in ("k-1-3", "occlusion")
        for variant in ("", "no-edges-")
    ]
    first, *_, last = plan.rows
    assert first.experiment.derive_low == Degradation(every=3)
    assert last.experiment.derive_low == Degradation(every=2, occlusion=0.3)
    assert (first.experiment.student.width, first.experiment.teacher.width) == (3, 4)
    assert first.experiment.methods == ("baseline", "smoothed", "student", "student_smoothed")
    assert last.experiment.methods == ("student",)
    assert (first.experiment.distillation.edge, last.experiment.distillation.edge) == (0.5, 0)
    assert last.teacher is plan.teachers[1]
    assert last.title == "occlusion, narrow, no edges, seed 1"


def test_a_variant_of_the_recipe_has_its_own_teacher(tmp_path: Path) -> None:
    _, plan = load_comparison(write(tmp_path, variants={"longer": {"recipe": {"epochs": 3}}}))
    assert len(plan.teachers) == 4
    assert {run.experiment.recipe.epochs for run in plan.teachers} == {2, 3}


def test_a_teacher_does_not_depend_on_the_labels_of_low_quality(tmp_path: Path) -> None:
    few = {
        "few": {"labels": {"low": 0.1}, "unlabelled": True},
        "fewer": {"labels": {"high": 0.5, "low": 0.1}},
    }
    _, plan = load_comparison(write(tmp_path, seeds=[0], variants=few))
    assert [run.experiment.labels for run in plan.teachers] == [LabelShares(), LabelShares(high=0.5)]
    assert plan.rows[1].teacher is plan.rows[0].teacher


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"scenarios": {"a": {"derive_low": {"evry": 2}}}}, "a, narrow: derive_low.evry is no setting"),
        ({"students": {"a b": {}, "a-b": {}}}, "'a b' and 'a-b' give the same folder"),
        ({"scenarios": {}}, "comparison.scenarios is empty"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [0, 1, 0]}, "a seed should appear only once"),
        (
            {"scenarios": {"a": {"seed": 4}}},
            "scenarios: a: the seed differs between runs; change comparison.seeds",
        ),
        ({"seed": 1}, "seed is no setting; expected one of name, seeds, scenarios"),
    ],
)
def test_invalid_settings_raise_an_error_before_anything_is_trained(
    tmp_path: Path, changes: dict[str, object], expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_comparison(write(tmp_path, **changes))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_of_comparison_and_experiment_can_be_overridden(tmp_path: Path) -> None:
    changes = ["comparison.name=mine", "comparison.seeds=[7]", "recipe.epochs=3"]
    comparison, plan = load_comparison(write(tmp_path), changes)
    assert (comparison.name, comparison.seeds) == ("mine", (7,))
    assert {run.experiment.recipe.epochs for run in (*plan.teachers, *plan.rows)} == {3}


@pytest.mark.parametrize(
    ("override", "instead"), [("name=x", "name"), ("seed=1", "seeds"), ("methods=[teacher]", "methods")]
)
def test_settings_that_differ_between_runs_cannot_be_overridden(
    tmp_path: Path, override: str, instead: str
) -> None:
    with pytest.raises(ConfigError, match=f"differs between runs; change comparison.{instead} instead$"):
        load_comparison(write(tmp_path), [override])


def trained_network(column: str, seed: int, correct: list[int], student: str = "s") -> TrainedNetwork:
    by_clip = {f"{clip:02x}": bool(value) for clip, value in enumerate(correct)}
    top1 = 100 * sum(correct) / len(correct)
    return TrainedNetwork(
        "k", student, column, seed, top1, 100.0, 7, 0.5, 30.0, len(correct), 0, 50.0, {"task": 0.1}, by_clip,
        "k/s/seed0",
    )  # fmt: skip


def test_a_row() -> None:
    (row,) = rows_of(
        [
            trained_network("HQS-T", 0, [1, 1, 1, 1] * 3),
            trained_network("HQS-T", 1, [1, 1, 1, 1] * 3),
            trained_network("LQS-S", 0, [1, 0, 0, 1] * 3),
            trained_network("LQS-S", 1, [0, 0, 0, 1] * 3),
            trained_network("SKD", 0, [1, 1, 0, 1] * 3),
            trained_network("SKD", 1, [1, 0, 0, 1] * 3),
        ]
    )
    assert row.top1 == {"HQS-T": (100, 100), "LQS-S": (50, 25), "SKD": (75, 50)}
    assert row.recovered == {"SKD": pytest.approx((62.5 - 37.5) / (100 - 37.5))}
    assert row.minutes == 2  # without the teacher's
    header, _, line = to_markdown([row]).splitlines()
    assert (
        header
        == "| scenario | student | HQS-T | LQS-S | SKD | gap recovered | p against LQS-S | test clips | "
        "chance % |"
    )
    assert line.startswith(
        "| k | s | 100.00 ± 0.00 [75.8, 100.0] | 37.50 ± 17.68 [13.8, 60.9] | 62.50 ± 17.68 [39.1, 86.2] | "
        "SKD 40% | SKD "
    )
    assert line.endswith(" | 12 | 50.0 |")
    assert to_csv([trained_network("SKD", 0, [1, 0])]).splitlines() == [
        "scenario,student,column,seed,top1,top5,parameters,gflops,seconds,clips,nobody,chance,run,loss_task",
        "k,s,SKD,0,50.0,100.0,7,0.5,30.0,2,0,50.0,k/s/seed0,0.1",
    ]


def test_a_gap_within_its_interval_is_not_recovered() -> None:
    networks = [
        trained_network("HQS-T", 0, [1, 1, 1, 0]),
        trained_network("LQS-S", 0, [1, 1, 0, 0]),
        trained_network("SKD", 0, [1, 1, 1, 0]),
    ]
    (row,) = rows_of(networks)
    assert row.recovered == {"SKD": None}
    assert "SKD no gap" in to_markdown([row])


def test_clips_without_a_person_stand_beside_the_number_of_test_clips() -> None:
    networks = [trained_network(column, 0, [1, 0, 1, 1]) for column in ("HQS-T", "LQS-S", "forest, low")]
    networks[1:] = [replace(each, nobody=3) for each in networks[1:]]
    assert "| 4 (3 without a person for LQS-S, forest, low) |" in to_markdown(rows_of(networks))


def test_forests_are_columns_after_the_methods_and_are_not_compared(tmp_path: Path) -> None:
    fill(PoseCache(tmp_path / "cache"))
    config = write(tmp_path, scenarios={"k": {"classical": True}}, seeds=[0], methods=["teacher", "baseline"])
    _, plan = load_comparison(config)
    assert [run.experiment.classical for run in (*plan.teachers, *plan.rows)] == [False, True, False]
    result = run_comparison(
        config, (), tmp_path / "cache", tmp_path / "models", engine=LocalEngine(("cpu",)),
        progress=Progress(quiet=True),
    )  # fmt: skip
    (row,) = result.rows
    assert columns_of(result.rows) == ["HQS-T", "LQS-S", "forest, high", "forest, low", "no edges"]
    assert row.recovered.keys() == row.significance.keys() == {"no edges"}
    assert (row.clips, row.chance) == (4, 50)
    forest = next(each for each in figures(tmp_path) if each["column"] == "forest, high")
    assert (forest["top5"], forest["parameters"], forest["gflops"]) == (None, None, None)


def test_a_gap_that_rounds_to_zero_has_no_sign() -> None:
    gap = {"SKD": -0.004, "SKD*": -0.006}
    row = Row("k", "s", {"LQS-S": (50.0,), "SKD": (49.9,), "SKD*": (49.8,)}, 0, {}, 0.0, gap, {}, 1.0)
    assert "SKD 0%, SKD* -1%" in to_markdown([row])


def test_a_clip_is_compared_in_the_seeds_that_test_it() -> None:
    one = [trained_network("SKD", 0, [1, 1, 1]), trained_network("SKD", 1, [1, 1])]
    other = [trained_network("LQS-S", 0, [1, 0, 1]), trained_network("LQS-S", 1, [0, 0])]
    (row,) = rows_of([*one, *other])
    assert row.significance == {"SKD": pytest.approx(0.5)}


def test_columns_are_compared_over_their_common_seeds() -> None:
    teachers = [trained_network("HQS-T", seed, [1, 1, 1, 1] * 3) for seed in (0, 1)]
    baseline = trained_network("LQS-S", 0, [1, 1, 0, 0] * 3)
    student = trained_network("SKD", 1, [1, 1, 1, 0] * 3)
    (apart,) = rows_of([*teachers, baseline, student])
    assert apart.recovered == apart.significance == {}
    (together,) = rows_of([*teachers, baseline, trained_network("SKD", 0, [1, 0, 1, 1] * 3), student])
    assert together.recovered == {"SKD": 0.5}  # of seed 0 alone


def run(folder: Path, processes: int = 1, **changes: object) -> ComparisonResult:
    fill(PoseCache(folder / "cache"))
    return run_comparison(
        write(folder, **changes),
        (),
        folder / "cache",
        folder / "models",
        engine=LocalEngine(("cpu",) * processes),
        progress=Progress(quiet=True),
    )


def figures(folder: Path) -> list[dict[str, object]]:
    """All networks of the comparison without their times."""
    networks = json.loads((folder / "models/tiny/comparison.json").read_text())["networks"]
    return [{key: value for key, value in each.items() if key != "seconds"} for each in networks]


SMALL = {"scenarios": {"k": {}}, "seeds": [0], "methods": ["teacher", "baseline", "student"]}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    result = run(folder, **SMALL)
    assert not result.failed
    (row,) = result.rows
    assert list(row.top1) == ["HQS-T", "LQS-S", "SKD", "no edges"]
    return folder


@pytest.mark.slow
def test_a_killed_comparison_continues_with_the_same_result(uninterrupted: Path, tmp_path: Path) -> None:
    fill(PoseCache(tmp_path / "cache"))
    config = write(tmp_path, **SMALL)
    options = ["--cache", str(tmp_path / "cache"), "--models", str(tmp_path / "models"), "--device", "cpu"]
    command = [sys.executable, "-m", "skdpipe", "compare", str(config), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("models/tiny/k/narrow/seed0/*")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "models/tiny/k/narrow/seed0/student.safetensors").is_file()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| no edges |" in (tmp_path / "models/tiny/comparison.md").read_text(encoding="utf-8")
    assert figures(tmp_path) == figures(uninterrupted)


def test_trained_runs_need_no_worker_but_their_settings_are_checked(
    uninterrupted: Path, tmp_path: Path
) -> None:
    shutil.copytree(uninterrupted, tmp_path, dirs_exist_ok=True)
    assert not run(tmp_path, processes=0, **SMALL).failed
    assert figures(tmp_path) == figures(uninterrupted)
    variants = {"no edges": {"distillation": {"edge": 0, "node": 0.7}}}
    other = run(tmp_path, processes=0, **{**SMALL, "variants": variants})
    assert [reason.split(" contains a run with ")[1].split(";")[0] for reason in other.failed] == [
        "experiment.distillation.node 0.5, expected 0.7"
    ]


def test_a_damaged_run_fails_and_the_others_are_in_the_table(uninterrupted: Path, tmp_path: Path) -> None:
    shutil.copytree(uninterrupted, tmp_path, dirs_exist_ok=True)
    damaged = tmp_path / "models/tiny/k/narrow/no-edges-seed0/results.json"
    damaged.write_text("{")
    result = run(tmp_path, **SMALL)
    (reason,) = result.failed
    assert reason.startswith(f"k, narrow, no edges, seed 0: {damaged} is damaged (Invalid JSON")
    assert list(result.rows[0].top1) == ["HQS-T", "LQS-S", "SKD"]
    assert damaged.read_text() == "{"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("comparison.json", "newer than skdpipe-comparison-1; update skdpipe"),
        ("comparison.md", "is not a file; move it away"),
    ],
)
def test_a_table_that_cannot_be_replaced_is_found_before_training(
    tmp_path: Path, name: str, message: str
) -> None:
    path = tmp_path / "models/tiny" / name
    path.parent.mkdir(parents=True)
    newer = '{"format": "skdpipe-comparison-2"}'
    if name.endswith(".md"):
        path.mkdir()
    else:
        path.write_text(newer)
    with pytest.raises(DataError, match=rf"{re.escape(str(path))} [^\n]*{message}"):
        run(tmp_path, **SMALL)
    assert [each.name for each in path.parent.iterdir()] == [name]
    assert path.is_dir() or path.read_text() == newer


def test_a_cell_with_missing_seeds_states_their_number() -> None:
    rows = rows_of(
        [
            trained_network("LQS-S", 0, [1, 0]),
            trained_network("LQS-S", 1, [1, 1]),
            trained_network("SKD", 1, [1, 1]),
        ]
    )
    line = to_markdown(rows).splitlines()[-1]
    assert "| 75.00 ± 35.36 [34.2, 100.0] | 100.00 [34.2, 100.0] (1 of 2 seeds) |" in line


def test_two_processes_give_the_same_result(uninterrupted: Path, tmp_path: Path) -> None:
    assert available_threads(2) == available_threads(1) == 1  # sums in the same order
    assert not run(tmp_path, processes=2, **SMALL).failed
    assert figures(tmp_path) == figures(uninterrupted)


def test_a_failed_run_is_reported_and_the_others_are_in_the_table(tmp_path: Path) -> None:
    warm = {"warm": {"distillation": {"warm_start": True}}}  # needs equal networks
    result = run(tmp_path, **{**SMALL, "variants": warm})
    (reason,) = result.failed
    assert re.match(r"k, narrow, warm, seed 0: the teacher has no weight \S+ of the student's shape", reason)
    assert list(result.rows[0].top1) == ["HQS-T", "LQS-S", "SKD"]
    written = json.loads((result.folder / "comparison.json").read_text(encoding="utf-8"))
    assert written["failed"] == result.failed
    assert all((result.folder / network["run"] / "config.yaml").is_file() for network in written["networks"])
