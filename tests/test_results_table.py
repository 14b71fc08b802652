"""The results table that is generated from a comparison's CSV."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from skdpipe.compare.results_table import results_table
from skdpipe.compare.table import TrainedNetwork, cells_of, columns_of, rows_of, to_csv
from skdpipe.errors import DataError

ROOT = Path(__file__).parents[1]
NETWORK = TrainedNetwork(
    scenario="k = 1/10",
    student="ST-GCN",
    column="HQS-T",
    seed=0,
    top1=90.0,
    top5=99.0,
    parameters=1000,
    gflops=0.5,
    seconds=60.0,
    clips=0,
    nobody=0,
    chance=0.0,
    losses={"task": 1.0},
    correct={},
    run="k/seed-0",
)


def networks(scenario: str = "k = 1/10", **top1: tuple[float, ...]) -> list[TrainedNetwork]:
    """One network per column and seed."""
    titles = {"teacher": "HQS-T", "baseline": "LQS-S", "student": "SKD", "variant": "SKD | mine"}
    return [
        replace(NETWORK, scenario=scenario, column=titles[name], seed=seed, top1=value)
        for name, values in top1.items()
        for seed, value in enumerate(values)
    ]


def write_csv(folder: Path, trained: list[TrainedNetwork]) -> Path:
    path = folder / "comparison.csv"
    path.write_text(to_csv(trained), encoding="utf-8")
    return path


def test_a_table_by_hand(tmp_path: Path) -> None:
    trained = networks(teacher=(90, 90), baseline=(79, 81), student=(84, 86), variant=(88, 88))
    assert results_table(write_csv(tmp_path, trained)) == (
        "| scenario | student | HQS-T | LQS-S | SKD | SKD / mine | gap recovered |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        "| k = 1/10 | ST-GCN | 90.00 ± 0.00 | 80.00 ± 1.41 | 85.00 ± 1.41 | 88.00 ± 0.00 | "
        "SKD 50%, SKD / mine 80% |\n"
    )


def test_one_row_for_each_scenario_with_empty_cells_for_missing_columns(tmp_path: Path) -> None:
    trained = networks(teacher=(90.0,), baseline=(80.0,)) + networks(
        "occlusion", baseline=(70.126,), student=(60,)
    )
    lines = results_table(write_csv(tmp_path, trained)).splitlines()
    assert lines[2:] == [
        "| k = 1/10 | ST-GCN | 90.00 | 80.00 |  |  |",
        "| occlusion | ST-GCN |  | 70.13 | 60.00 |  |",
    ]


def test_the_cells_are_those_of_the_comparisons_own_table(tmp_path: Path) -> None:
    trained = networks(teacher=(91, 93.5, 92), baseline=(80, 84), student=(84, 86, 85))
    rows = rows_of(trained)
    cells = cells_of(rows[0], columns_of(rows))
    line = results_table(write_csv(tmp_path, trained)).splitlines()[2]
    assert line.strip("| ").split(" | ") == cells[:-3]
    assert "(2 of 3 seeds)" in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no file .*; expected the comparison.csv"),
        ("a,b\n1,2\n", "has no column column, gflops"),
        (to_csv([]), "contains no results"),
        (
            to_csv([NETWORK]).replace("90.0", "ninety"),
            "line 2: top1: found 'ninety'; input should be a valid number",
        ),
        (to_csv([NETWORK]).split(",ST-GCN")[0] + ",ST-GCN\n", "line 2: .*expected a line written by"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "comparison.csv"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        results_table(path)


def test_the_module_prints_the_table_or_one_line(tmp_path: Path) -> None:
    path = write_csv(tmp_path, networks(teacher=(90,), baseline=(80,)))
    command = [sys.executable, "-m", "skdpipe.compare.results_table"]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, encoding="utf-8", check=True)
    assert done.stdout == results_table(path)
    failed = subprocess.run([*command, str(tmp_path / "no.csv")], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert len(failed.stderr.splitlines()) == 1


@pytest.mark.parametrize("csv", sorted((ROOT / "configs/results").glob("*.csv")), ids=lambda path: path.stem)
def test_the_published_table_is_that_of_its_csv(csv: Path) -> None:
    assert results_table(csv) in (ROOT / "configs/RESULTS.md").read_text(encoding="utf-8")
