"""The commands about the cache: output, exit codes, and nothing done without --yes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from moving_body import a_sequence, fill
from test_cache_inventory import without_checksum
from test_cli import Run, run
from test_prune import damage

from skdpipe.cache import PoseCache

__all__ = ["run"]
HOSTILE = "[red]wave\u202e=1+1"


@pytest.fixture
def cache(tmp_path: Path) -> PoseCache:
    """Six clips of each of two actions in both qualities."""
    return fill(PoseCache(tmp_path / "cache"))


def contents(cache: PoseCache) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(cache.root.rglob("*")) if path.is_file()}


def test_list_prints_what_is_there(cache: PoseCache, run: Run) -> None:
    cache.save(a_sequence("sideways", 7, label=HOSTILE), "high", "eyes-1")
    (cache.root / "high/eyes-1/.skdpipe-1.part").write_bytes(b"half")
    (cache.root / "notes.txt").write_text("mine")
    output = run("cache", "list", "--cache", cache.root)
    assert output.code == 0
    lines = output.out.splitlines()
    assert lines[0].startswith(f"{cache.root}: 25 sequences, ")
    assert lines[1].startswith("high/eyes-1: 13 sequences, ")
    assert lines[2] == "  estimator: eyes"
    assert lines[4] == r"  labels: 13 in 3 classes: sideways 6, up and down 6, [red]wave\u202e=1+1 1"
    assert lines[5].startswith("low/squint-1: 12 sequences, ")
    assert "clips: 12 in both qualities, 1 in high only, 0 in low only" in lines
    assert "  notes.txt: unknown, 4 bytes" in lines
    assert "1; delete them with `skdpipe cache prune --yes`" in output.err


def test_list_as_json(cache: PoseCache, run: Run) -> None:
    output = run("cache", "list", "--cache", cache.root, "--json")
    found = json.loads(output.out)
    assert [(each["quality"], each["files"], each["labelled"]) for each in found["folders"]] == [
        ("high", 12, 12), ("low", 12, 12),
    ]  # fmt: skip
    assert found["pairs"] == {"both": 12, "high_only": 0, "low_only": 0}
    assert found["others"] == []


def test_listed_clips_can_be_edited_and_read(cache: PoseCache, run: Run, tmp_path: Path) -> None:
    cache.save(a_sequence("sideways", 7, label="a, b"), "high", "eyes-1")
    output = run("cache", "list", "high/eyes-1", "--clips", "--cache", cache.root)
    rows = list(csv.DictReader(output.out.splitlines()))
    assert len(rows) == 13
    assert {row["label"] for row in rows} == {"sideways", "up and down", "a, b"}
    row = rows[0]
    assert (row["key"], row["source"], row["split"]) == ("0000", "sideways 0.mp4", "test")
    assert (row["frames"], row["people"]) == ("12", "1")
    assert int(row["bytes"]) == cache.path_of("high", "eyes-1", "0000").stat().st_size
    edited = tmp_path / "labels.csv"
    edited.write_text(output.out.replace("sideways 0.mp4,sideways", "sideways 0.mp4,wave"), encoding="utf-8")
    before = contents(cache)
    output = run("cache", "relabel", edited, "--cache", cache.root)
    assert output.out.splitlines() == [
        "sideways → wave: 1 clips",
        f"{cache.root}: 1 clips (2 files) would change",
        "nothing was changed; add --yes",
    ]
    assert contents(cache) == before
    assert run("cache", "relabel", edited, "--cache", cache.root, "--yes").code == 0
    assert {cache.describe(path).origin.label for path in cache.paths_of("0000")} == {"wave"}
    assert run("cache", "relabel", "--undo", "--yes", "--cache", cache.root).code == 0
    assert {cache.describe(path).origin.label for path in cache.paths_of("0000")} == {"sideways"}


def test_verify_names_what_is_wrong(cache: PoseCache, run: Run) -> None:
    output = run("cache", "verify", "--cache", cache.root)
    assert (output.code, output.out.splitlines()[0][-11:]) == (0, " 0 problems")
    old = cache.path_of("high", "eyes-1", "0000")
    without_checksum(old)
    damaged = damage(cache.path_of("high", "eyes-1", "0001"))
    output = run("cache", "verify", "--cache", cache.root)
    assert output.code == 1
    lines = output.out.splitlines()
    assert lines[0].startswith("damaged: 1 (→ delete it (`skdpipe cache prune --damaged --yes`), and extract")
    assert lines[1] == f"  {damaged}: its content does not have the checksum that it states"
    assert lines[2:4] == ["without a checksum, by an earlier version: 1", f"  {old}"]
    found = json.loads(run("cache", "verify", "--cache", cache.root, "--json").out)
    assert [(each["path"], each["kind"]) for each in found["findings"]] == [(str(damaged), "damaged")]
    assert found["unverifiable"] == [str(old)]


def test_prune_deletes_with_yes_only(cache: PoseCache, run: Run) -> None:
    damaged = damage(cache.path_of("high", "eyes-1", "0001"))
    before = contents(cache)
    output = run("cache", "prune", "--damaged", "--cache", cache.root)
    assert output.code == 0
    assert output.out.splitlines()[-1] == "nothing was deleted; add --yes"
    assert f"  {damaged} (" in output.out
    assert contents(cache) == before
    output = run("cache", "prune", "--damaged", "--cache", cache.root, "--yes", "--json")
    found = json.loads(output.out)
    assert (found["deleted"], [each["reason"] for each in found["files"]]) == (True, ["damaged"])
    assert not damaged.exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["list", "--cache", "nowhere"], "nowhere is not a folder; expected a pose cache"),
        (["list", "low/eyes-1"], "no settings folder 'low/eyes-1'; found high/eyes-1, low/squint-1"),
        (["prune", "--settings", "gone"], "no settings folder 'gone'"),
        (["prune", "--orphans", "gone"], "gone is not a folder that can be read"),
        (["relabel"], "expected a CSV of labels, or --from OLD and --to NEW, or --undo"),
        (["relabel", "--from", "sideways"], "expected a CSV of labels"),
        (["relabel", "a.csv", "--from", "a", "--to", "b"], "expected a CSV of labels"),
        (["relabel", "--from", "wave", "--to", "clap"], "no clip has the label 'wave'; found sideways, up"),
        (["relabel", "--from", "sideways", "--to", "a\nb"], "a control character"),
        (["relabel", "gone.csv"], "gone.csv is not a readable UTF-8 CSV"),
    ],
)
def test_mistakes_are_one_line(cache: PoseCache, run: Run, arguments: list[str], expected: str) -> None:
    place = [] if "--cache" in arguments else ["--cache", cache.root]
    output = run("cache", *arguments, *place)
    assert (output.code, output.out) == (1, "")
    assert output.err.startswith("error: ") or "error: " in output.err
    assert expected in output.err


def test_a_class_that_exists_already_is_noted(cache: PoseCache, run: Run) -> None:
    output = run("cache", "relabel", "--from", "sideways", "--to", "up and down", "--cache", cache.root)
    assert output.code == 0
    assert "6 other clips have the label up and down already" in output.err


def test_rows_that_cannot_be_followed_are_failures(cache: PoseCache, run: Run, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("key,label\nffff,wave\n0000,wave\n", encoding="utf-8")
    output = run("cache", "relabel", tmp_path / "labels.csv", "--yes", "--cache", cache.root)
    assert output.code == 1
    assert "row 2: ffff is not in the cache" in output.err
    assert {cache.describe(path).origin.label for path in cache.paths_of("0000")} == {"wave"}
