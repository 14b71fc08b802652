"""A comparison: its runs, shared teachers, the table, interruption."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from moving_body import fill
from scipy.stats import binomtest, permutation_test

from skdpipe.cache import PoseCache
from skdpipe.compare import ComparisonResult, run_comparison
from skdpipe.compare.plan import load_comparison
from skdpipe.compare.processes import run_in_processes
from skdpipe.compare.table import (
    Row,
    TrainedNetwork,
    lead_by_clip,
    rows_of,
    significance,
    to_csv,
    to_markdown,
)
from skdpipe.config import Degradation, LabelShares
from skdpipe.errors import ConfigError
from skdpipe.progress import Progress

EXPERIMENT = {
    "clip": {"frames": 8},
    "teacher": {"name": "st_2sgcn", "width": 4},
    "student": {"name": "st_2sgcn", "width": 4},
    "recipe": {"epochs": 2, "batch": 4},
    "distillation": {"node_variant": "relative"},
    "derive_low": {"every": 2},
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
        "k", student, column, seed, top1, 100.0, 7, 0.5, 30.0, {"task": 0.1}, by_clip, "k/s/seed0"
    )


def test_a_row() -> None:
    (row,) = rows_of(
        [
            trained_network("HQS-T", 0, [1, 1, 1, 1]),
            trained_network("HQS-T", 1, [1, 1, 1, 1]),
            trained_network("LQS-S", 0, [1, 0, 0, 1]),
            trained_network("LQS-S", 1, [0, 0, 0, 1]),
            trained_network("SKD", 0, [1, 1, 0, 1]),
            trained_network("SKD", 1, [1, 0, 0, 1]),
        ]
    )
    assert row.top1 == {"HQS-T": (100, 100), "LQS-S": (50, 25), "SKD": (75, 50)}
    assert row.recovered == {"SKD": pytest.approx((62.5 - 37.5) / (100 - 37.5))}
    assert row.minutes == 2  # without the teacher's
    header, _, line = to_markdown([row]).splitlines()
    assert (
        header == "| scenario | student | HQS-T | LQS-S | SKD | gap recovered | p against LQS-S | minutes |"
    )
    assert line.startswith("| k | s | 100.00 ± 0.00 | 37.50 ± 17.68 | 62.50 ± 17.68 | SKD 40% | SKD ")
    assert to_csv([trained_network("SKD", 0, [1, 0])]).splitlines() == [
        "scenario,student,column,seed,top1,top5,parameters,gflops,seconds,run,loss_task",
        "k,s,SKD,0,50.0,100.0,7,0.5,30.0,k/s/seed0,0.1",
    ]


def test_a_gap_that_rounds_to_zero_has_no_sign() -> None:
    gap = {"SKD": -0.004, "SKD*": -0.006}
    row = Row("k", "s", {"LQS-S": (50.0,), "SKD": (49.9,), "SKD*": (49.8,)}, gap, {}, 1.0)
    assert "SKD 0%, SKD* -1%" in to_markdown([row])


def test_significance_by_counting() -> None:
    """One method is better in ten clips and worse in none: two of 2^10 sign changes are as extreme."""
    lead = np.r_[np.ones(10, int), np.zeros(2, int)]
    assert significance(lead) == significance(-lead) == pytest.approx(2 / 1024)
    assert significance(np.zeros(5, int)) == significance(np.array([], int)) == 1
    assert significance(np.array([3, -3, 1, -1])) == pytest.approx(1)
    assert significance(np.array([3, 1])) == pytest.approx(0.5)  # of 4, 2, -2 and -4 two are as far from 0


@given(st.integers(0, 40), st.integers(0, 40))
def test_with_one_seed_significance_is_mcnemars(ahead: int, behind: int) -> None:
    lead = np.repeat([1, -1, 0], [ahead, behind, 3])
    expected = binomtest(ahead, ahead + behind).pvalue if ahead + behind else 1.0
    assert significance(lead) == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=9))
def test_with_more_seeds_significance_is_the_exact_permutation_tests(leads: list[int]) -> None:
    lead = np.array(leads)
    every = permutation_test(
        (lead, np.zeros_like(lead)),
        lambda a, b: np.sum(a - b),
        permutation_type="samples",
        n_resamples=np.inf,
    )
    assert significance(lead) == pytest.approx(every.pvalue)


def test_a_clip_is_compared_in_the_seeds_that_test_it() -> None:
    one = [trained_network("SKD", 0, [1, 1, 1]), trained_network("SKD", 1, [1, 1])]
    other = [trained_network("LQS-S", 0, [1, 0, 1]), trained_network("LQS-S", 1, [0, 0])]
    assert lead_by_clip(one, other).tolist() == [1, 2, 0]
    (row,) = rows_of([*one, *other])
    assert row.significance == {"SKD": pytest.approx(0.5)}


def test_columns_are_compared_over_their_common_seeds() -> None:
    teachers = [trained_network("HQS-T", seed, [1, 1, 1, 1]) for seed in (0, 1)]
    baseline, student = trained_network("LQS-S", 0, [1, 1, 0, 0]), trained_network("SKD", 1, [1, 1, 1, 0])
    (apart,) = rows_of([*teachers, baseline, student])
    assert apart.recovered == apart.significance == {}
    (together,) = rows_of([*teachers, baseline, trained_network("SKD", 0, [1, 0, 1, 1]), student])
    assert together.recovered == {"SKD": 0.5}  # of seed 0 alone


def fails_at_two(job: int, device: str) -> None:
    if job == 2:
        raise ConfigError(f"two on {device}")
    if job == 3:
        os._exit(7)


def test_the_reason_of_a_failed_job_is_yielded_and_the_others_are_executed() -> None:
    ended = dict(run_in_processes([1, 2, 3, 4], fails_at_two, ["a", "a"], threads=1))
    assert ended == {1: None, 2: "two on a", 3: "its process ended with exit code 7", 4: None}


def run(folder: Path, processes: int = 1, **changes: object) -> ComparisonResult:
    fill(PoseCache(folder / "cache"))
    return run_comparison(
        write(folder, **changes),
        (),
        folder / "cache",
        folder / "models",
        devices=["cpu"],
        processes=processes,
        progress=Progress(quiet=True),
    )


def figures(folder: Path) -> list[dict[str, object]]:
    """All networks of the comparison without their times."""
    networks = json.loads((folder / "models/tiny/comparison.json").read_text())["networks"]
    return [{key: value for key, value in each.items() if key != "seconds"} for each in networks]


CORES = os.cpu_count()
SMALL = {"scenarios": {"k": {}}, "seeds": [0], "methods": ["teacher", "baseline", "student"]}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    result = run(folder, **SMALL)
    assert not result.failed
    (row,) = result.rows
    assert list(row.top1) == ["HQS-T", "LQS-S", "SKD", "no edges"]
    return folder


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


def test_trained_runs_start_no_process_but_their_settings_are_checked(
    uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(uninterrupted, tmp_path, dirs_exist_ok=True)
    no_processes = Mock(spec=["set_forkserver_preload"])
    monkeypatch.setattr("skdpipe.compare.processes.get_context", lambda way: no_processes)
    assert not run(tmp_path, **SMALL).failed
    assert figures(tmp_path) == figures(uninterrupted)
    other = run(tmp_path, **{**SMALL, "variants": {"no edges": {"distillation": {"edge": 0, "node": 0.7}}}})
    assert [reason.split(" contains a run with ")[1].split(";")[0] for reason in other.failed] == [
        "experiment.distillation.node 0.5, expected 0.7"
    ]


def test_a_cell_with_missing_seeds_states_their_number() -> None:
    rows = rows_of(
        [
            trained_network("LQS-S", 0, [1, 0]),
            trained_network("LQS-S", 1, [1, 1]),
            trained_network("SKD", 1, [1, 1]),
        ]
    )
    assert "| 75.00 ± 35.36 | 100.00 (1 of 2 seeds) |" in to_markdown(rows)


def test_two_processes_give_the_same_result(
    uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2 * (CORES or 1))  # the same number of threads
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
