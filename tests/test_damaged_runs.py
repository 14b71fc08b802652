"""Damaged files in run folders: one line that names the file, and nothing that was done is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from distillation_setup import CPU
from moving_body import fill, tiny_experiment

from skdpipe.bundle import load_bundle, save_bundle
from skdpipe.cache import PoseCache
from skdpipe.config import Report, Robustness
from skdpipe.distill import distill_student
from skdpipe.distill.cross_validation import read_cross_validation
from skdpipe.errors import SkdpipeError
from skdpipe.report import write_report
from skdpipe.report.run_results import load_run

METHODS = ("teacher", "baseline")
EXPERIMENT = tiny_experiment(methods=METHODS)
BRIEF = Report(robustness=Robustness(occlusion=(), frame_loss=(), jitter=()), response_clips=0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    return fill(PoseCache(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def finished(cache: PoseCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distill_student(EXPERIMENT, cache, tmp_path_factory.mktemp("models"), device=CPU).folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(finished, tmp_path / finished.name))


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def change_json(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def change_yaml(path: Path, change: Callable[[dict], object]) -> None:
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def change_bundle(path: Path, **changes: object) -> None:
    bundle = load_bundle(path)
    save_bundle(
        replace(bundle, metadata=replace(bundle.metadata, run={**bundle.metadata.run, **changes})), path
    )


CONFIG = {
    "empty": b"",
    "binary": b"\x00\xff\xfe",
    "no YAML": b"experiment: [",
    "a list": b"- 1",
    "no data": b"experiment: {}",
    "a name": b"experiment: demo\ndata: {}",
}


@pytest.mark.parametrize("name", CONFIG)
def test_a_damaged_config_is_refused_and_kept(folder: Path, cache: PoseCache, name: str) -> None:
    (folder / "config.yaml").write_bytes(CONFIG[name])
    assert_refused(folder, cache, "config.yaml", "restore it, or train under another name")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda c: c["experiment"].update(colour="red"), "colour is no setting"),
        (lambda c: c["experiment"]["recipe"].update(epochs="many"), "recipe.epochs: found 'many'"),
        (lambda c: c["data"].update(classes=3), "classes: found 3"),
        (lambda c: c["data"].pop("clips"), "clips is missing"),
        (
            lambda c: c.update(format="skdpipe-run-2"),
            "is in the format skdpipe-run-2, newer than skdpipe-run-1",
        ),
        (lambda c: c.update(format=["x" * 10_000]), "is in the format ['xxx"),
    ],
)
def test_a_config_with_other_values_is_refused_and_kept(
    folder: Path, cache: PoseCache, change: Callable[[dict], object], found: str
) -> None:
    change_yaml(folder / "config.yaml", change)
    assert_refused(folder, cache, "config.yaml", found)


def test_a_config_of_a_newer_version_is_kept_before_anything_is_trained(
    cache: PoseCache, tmp_path: Path
) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/config.yaml").write_text("format: skdpipe-run-9\nnetworks: []\n")
    assert_refused(
        tmp_path / "tiny", cache, "config.yaml", "newer than skdpipe-run-1; update skdpipe", report=False
    )


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda r: r["teacher"]["figures"].update(top1="100"), "teacher.figures.top1: found '100'"),
        (lambda r: r["teacher"]["figures"].update(top1=250), "less than or equal to 100"),
        (lambda r: r["teacher"]["figures"].update(gflops=float("nan")), "gflops: found nan"),
        (lambda r: r["teacher"]["figures"].pop("top5"), "teacher.figures.top5: missing"),
        (lambda r: r["teacher"]["curves"][0].update(losses=[1]), "teacher.curves.0.losses"),
        (lambda r: r.update(teacher=7), "teacher: found 7"),
    ],
)
def test_results_with_other_values_are_refused_and_kept(
    folder: Path, cache: PoseCache, change: Callable[[dict], object], found: str
) -> None:
    change_json(folder / "results.json", change)
    assert_refused(folder, cache, "results.json", found)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"teacher": 1' + b"0" * 5000 + b"}"]
)
def test_results_that_are_cut_or_others_are_refused_and_kept(
    folder: Path, cache: PoseCache, content: bytes
) -> None:
    (folder / "results.json").write_bytes(content)
    assert_refused(folder, cache, "results.json", "delete it, and `skdpipe distill` writes it again")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda p: p["label"].pop(), "3 labels"),
        (lambda p: p["predicted"].append(0), "5 predictions"),
        (lambda p: p["clip"].__setitem__(0, p["clip"][1]), "4 clips with 3 keys"),
        (lambda p: p["predicted"].__setitem__(0, -2), "greater than or equal to -1"),
        (lambda p: p["predicted"].__setitem__(0, 2), "has other clips, labels or classes than the run"),
        (lambda p: p["label"].__setitem__(0, 1 - p["label"][0]), "has other clips or labels than"),
        (lambda p: p["clip"].__setitem__(0, "another"), "has other clips or labels than"),
        (lambda p: p.update(predicted=["0"] * 4), "predicted.0: found '0'"),
        (lambda p: p.update(clip=[], label=[], predicted=[]), "0 clips"),
        (lambda p: p.pop("clip"), "clip: missing"),
    ],
)
def test_predictions_with_other_values_are_refused_and_kept(
    folder: Path, cache: PoseCache, change: Callable[[dict], object], found: str
) -> None:
    change_json(folder / "baseline.predictions.json", change)
    assert_refused(folder, cache, "baseline.predictions.json", found)


def test_results_without_figures_are_refused_by_the_report_and_written_again(
    folder: Path, finished: Path, cache: PoseCache
) -> None:
    change_json(folder / "results.json", lambda results: results["teacher"].pop("figures"))
    with pytest.raises(SkdpipeError, match=r"results\.json is damaged \(teacher has no figures\); delete it"):
        load_run(folder)
    distill_student(EXPERIMENT, cache, folder.parent, device=CPU)
    assert content_of(folder) == content_of(finished)


def test_what_is_deleted_as_the_messages_say_is_made_again(
    folder: Path, finished: Path, cache: PoseCache
) -> None:
    for name in ("results.json", "baseline.predictions.json"):
        (folder / name).unlink()
    distill_student(EXPERIMENT, cache, folder.parent, device=CPU)
    assert content_of(folder) == content_of(finished)


@pytest.mark.parametrize("name", ["config.yaml", "results.json", "teacher.state", "student.safetensors"])
def test_a_folder_in_the_place_of_a_file_is_found_before_training(
    folder: Path, cache: PoseCache, name: str
) -> None:
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir()
    assert_refused(folder, cache, name, "is not a file; move it away", report=False)


def test_a_file_in_the_place_of_the_folder(cache: PoseCache, tmp_path: Path) -> None:
    (tmp_path / "tiny").write_text("mine")
    with pytest.raises(SkdpipeError, match=r"tiny is not a folder; move it away, or choose another name$"):
        distill_student(EXPERIMENT, cache, tmp_path, device=CPU)
    assert (tmp_path / "tiny").read_text() == "mine"


def test_a_bundle_of_another_run_is_refused_and_kept(folder: Path, cache: PoseCache) -> None:
    shutil.copy(folder / "baseline.safetensors", folder / "teacher.safetensors")
    assert_refused(folder, cache, "teacher.safetensors", "belongs to another run, with method baseline")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"experiment": {"name": "tiny", "seed": 9}}, "experiment.seed 9; expected 0"),
        ({"data": {}}, "data.classes None"),
        ({"figures": {}}, "does not state the results of its training (figures.top1: missing"),
        ({"curves": "none"}, "does not state the results of its training (curves: found 'none'"),
    ],
)
def test_a_bundle_with_other_facts_is_refused_and_kept(
    folder: Path, cache: PoseCache, changes: dict[str, object], found: str
) -> None:
    change_bundle(folder / "teacher.safetensors", **changes)
    assert_refused(folder, cache, "teacher.safetensors", found)


def test_a_cut_bundle_is_refused_and_kept(folder: Path, cache: PoseCache) -> None:
    path = folder / "teacher.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert_refused(folder, cache, "teacher.safetensors", "is not a readable bundle")


def test_bundles_without_a_config_are_checked(folder: Path, cache: PoseCache) -> None:
    (folder / "config.yaml").unlink()
    other = replace(EXPERIMENT, seed=5)
    with pytest.raises(
        SkdpipeError, match=r"teacher\.safetensors belongs to another run, with experiment\.seed 0"
    ):
        distill_student(other, cache, folder.parent, device=CPU)
    assert not (folder / "config.yaml").exists()
    distill_student(EXPERIMENT, cache, folder.parent, device=CPU)
    assert (folder / "config.yaml").exists()


def test_a_complete_run_that_cannot_be_written_has_nothing_to_write(folder: Path, cache: PoseCache) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    distill_student(EXPERIMENT, cache, folder.parent, device=CPU)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_strange_folders_among_the_folds_are_left_out(folder: Path) -> None:
    for name in ("1-of-x", "1-of-999999999", "2-of-2", "x-of-1"):
        (folder / "folds" / name).mkdir(parents=True)
    assert read_cross_validation(folder) == {}


def test_a_damaged_cross_validation_is_named(folder: Path, finished: Path) -> None:
    for name in ("1-of-2", "2-of-2"):
        shutil.copytree(finished, folder / "folds" / name)
    (folder / "folds/2-of-2/results.json").write_text("{")
    with pytest.raises(SkdpipeError, match=r"folds/2-of-2/results\.json is damaged \([^\n]*\); delete it"):
        load_run(folder)


def assert_refused(folder: Path, cache: PoseCache, file: str, found: str, *, report: bool = True) -> None:
    """Both commands refuse the folder in one line with the file and the remedy, and change nothing."""
    before = content_of(folder)
    commands: list[Callable[[], object]] = [
        lambda: distill_student(replace(EXPERIMENT), cache, folder.parent, device=CPU)
    ]
    if report:
        output = folder.parent / "report.html"
        commands.append(lambda: write_report(folder, cache, output, BRIEF, device=torch.device("cpu")))
    for command in commands:
        with pytest.raises(SkdpipeError) as caught:
            command()
        message = str(caught.value)
        assert str(folder / file) in message
        assert found in message
        assert "\n" not in message
        assert len(message) < 800
        assert content_of(folder) == before
