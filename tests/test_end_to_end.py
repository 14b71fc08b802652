"""The README's commands at a small size with the embedded weights."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from skdpipe.cache import PoseCache
from skdpipe.cli import main
from skdpipe.config import EstimatorNoise, load_config
from skdpipe.distill.training import Curve
from skdpipe.synthetic import ACTIONS

SKDPIPE = str(Path(sys.executable).with_name("skdpipe"))
TINY = [
    "demonstration.train_subjects=2",
    "demonstration.test_subjects=1",
    "demonstration.takes=1",
    "demonstration.simulated_train_subjects=2",
    "demonstration.simulated_test_subjects=3",
    "demonstration.runs=2",
    "demonstration.frames=8",
    "demonstration.shown=3",
    "experiment.recipe.epochs=2",
    "experiment.recipe.steps=0",
    "experiment.clip.frames=8",
]


def run(folder: Path, *arguments: str, code: int = 0, threads: str = "1") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": threads}
    environment.pop("SKDPIPE_CACHE", None)
    done = subprocess.run(
        [SKDPIPE, *arguments], cwd=folder, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def run_small_demo(folder: Path) -> str:
    return run(folder, "demo", *(word for setting in TINY for word in ("--set", setting))).stdout


@pytest.fixture(scope="module")
def demo_output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    (folder / "stdout").write_text(run_small_demo(folder), encoding="utf-8")
    return folder / "demo_output"


def test_the_demonstration_prints_label_and_prediction(demo_output: Path) -> None:
    text = (demo_output.parent / "stdout").read_text(encoding="utf-8")
    for name in (
        "HQS-T",
        "LQS-S",
        "forest, high",
        "SKD",
        "top-1",
        "GFLOPs",
        "mean OKS",
        "true label",
        "prediction",
    ):
        assert name in text
    assert re.search(r"\d of 3 right", text)
    text = " ".join(text.split())
    assert "30 videos extracted, 0 already present, 0 failed" in text
    assert "50 clips simulated, 0 already present, with errors fitted on 20 rendered training clips" in text


def test_the_last_line_is_the_difference_of_student_and_baseline(demo_output: Path) -> None:
    text = (demo_output.parent / "stdout").read_text(encoding="utf-8")
    assert re.search(
        r"points \[-?\d+\.\d, -?\d+\.\d\] on 40 test clips \(10 extracted, 30 simulated\), 2 seeds", text
    )


def test_simulated_skeletons_are_in_the_cache_beside_the_extracted_ones(demo_output: Path) -> None:
    cache = PoseCache(demo_output / "pose_cache")
    for quality, frames in (("high", 8), ("low", 4)):
        entries = list(cache.entries(quality, cache.choose_settings(quality)))
        simulated = [entry for entry in entries if entry.origin.source.startswith("simulated/")]
        assert len(entries) == 30 + 50
        assert len(simulated) == 50
        assert {entry.frames for entry in simulated} == {frames}
        splits = Counter(entry.origin.split for entry in simulated)
        assert splits == {"train": 2 * len(ACTIONS), "test": 3 * len(ACTIONS)}
        assert len({entry.origin.estimator for entry in entries}) == 1


def test_the_fitted_errors_are_files(demo_output: Path) -> None:
    high, low = (load_config(EstimatorNoise, demo_output / f"noise-{each}.yaml") for each in ("high", "low"))
    assert 0 < sum(high.jitter.values()) < sum(low.jitter.values())


def test_the_demonstration_writes_an_image(demo_output: Path) -> None:
    import cv2

    image = cv2.imread(str(demo_output / "overlay.png"))
    assert image is not None
    assert image.shape == (3 * (180 + 22), 4 * 240, 3)
    assert image.std() > 20


def test_the_run_folder_contains_bundles_config_seed_and_figures(demo_output: Path) -> None:
    folder = demo_output / "models" / "demo"
    assert {p.name for p in folder.glob("*.safetensors")} == {
        f"{method}.safetensors" for method in ("teacher", "baseline", "student")
    }
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert results.keys() == {"teacher", "baseline", "student", "forest_high", "forest_low"}
    networks = [each for each in results.values() if "figures" in each]
    assert len(networks) == 3
    assert all(0 <= each["figures"]["top1"] <= 100 for each in networks)
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert config["experiment"]["seed"] == 0
    assert config["data"]["test_clips"] == 4 * len(ACTIONS)
    other = yaml.safe_load(
        (demo_output / "models" / "demo-seed1" / "config.yaml").read_text(encoding="utf-8")
    )
    assert other["experiment"]["seed"] == 1
    assert other["data"] == config["data"]


def test_a_second_run_simulates_a_missing_sequence_as_before(demo_output: Path) -> None:
    cache = PoseCache(demo_output / "pose_cache")
    entries = cache.entries("low", cache.choose_settings("low"))
    path = next(entry.path for entry in entries if entry.origin.source.startswith("simulated/"))
    before = path.read_bytes()
    path.unlink()
    assert "1 clips simulated, 49 already present" in " ".join(run_small_demo(demo_output.parent).split())
    assert path.read_bytes() == before


def test_a_second_run_does_only_what_is_missing(demo_output: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in demo_output.rglob("*.safetensors")}
    text = " ".join(run_small_demo(demo_output.parent).split())
    assert "0 videos extracted, 30 already present, 0 failed" in text
    assert "0 clips simulated, 50 already present" in text
    assert {p: p.stat().st_mtime_ns for p in demo_output.rglob("*.safetensors")} == before


def test_predict_prints_labels(demo_output: Path) -> None:
    clips = sorted((demo_output / "videos" / "test").rglob("*.mp4"))[:2]
    done = run(demo_output, "predict", *map(str, clips))
    lines = [line for line in done.stdout.splitlines() if line]
    assert len(lines) == 2
    assert all(re.search(r"\b(" + "|".join(ACTIONS) + r") 0\.\d+", line) for line in lines)


def test_predict_prints_json_for_machines(demo_output: Path) -> None:
    done = run(demo_output, "predict", "videos/test/wave", "--json")
    predictions = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(predictions) == 1
    assert sum(predictions[0]["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert set(predictions[0]["probabilities"]) == set(ACTIONS)


def test_everyday_commands_on_a_folder_of_class_folders(demo_output: Path, tmp_path: Path) -> None:
    videos = demo_output / "videos" / "train"
    run(tmp_path, "extract", str(videos), "-c", "demo", "--cache", str(demo_output / "pose_cache"))
    run(
        tmp_path,
        "distill",
        "-c",
        "demo",
        "--cache",
        str(demo_output / "pose_cache"),
        "--set",
        "recipe.epochs=1",
        "--set",
        "recipe.steps=0",
        "--folds",
        "0",
    )
    clip = next((videos / "kick").glob("*.mp4"))
    done = run(tmp_path, "predict", str(clip))
    assert str(clip) in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["extract", "nowhere"], "nowhere does not exist; expected a video"),
        (["distill"], "run `skdpipe extract` first"),
        (["predict", "clip.mp4"], "no trained student under models"),
        (
            ["demo", "--set", "experiment.methods=[teacher, student]"],
            "experiment.methods lacks baseline; add",
        ),
        (
            ["demo", "--set", "demonstration.train_subjects=1001"],
            "train_subjects: found 1001; input should be",
        ),
        (["demo", "--set", "recipe.epochs=1"], "cannot use the setting 'recipe.epochs=1'"),
        (["extract", ".", "-c", "paper"], "holds no videos"),
        (["distill", "-c", "nothing"], "no config named 'nothing'"),
        (["import", "penn", "."], "no .mat files"),
        (["train-pose", "nothing.yaml", "out.safetensors"], "no config file at nothing.yaml"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SKDPIPE_CACHE", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["skdpipe", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert message in printed
    assert printed.count("\n") == 1


def test_a_mistake_is_one_line_of_the_installed_command(tmp_path: Path) -> None:
    done = run(tmp_path, "extract", "nowhere", code=1)
    assert done.stderr.startswith("error: nowhere does not exist")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_equal_seeds_give_equal_figures(demo_output: Path, tmp_path: Path) -> None:
    run_small_demo(tmp_path)
    runs = [folder / "models" / "demo" for folder in (demo_output, tmp_path / "demo_output")]
    first, second = (json.loads((run / "results.json").read_text(encoding="utf-8")) for run in runs)
    assert set(first) == set(second) == {"teacher", "baseline", "student", "forest_high", "forest_low"}
    for method in first:
        one, other = ((run / f"{method}.predictions.json").read_bytes() for run in runs)
        assert one == other
    for method in ("teacher", "baseline", "student"):
        curves = ([Curve(**curve) for curve in run[method]["curves"]] for run in (first, second))
        assert next(curves) == next(curves)
        assert first[method]["figures"]["top1"] == second[method]["figures"]["top1"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demonstration_at_full_size(tmp_path: Path) -> None:
    """It takes less than ten minutes on two cores, and its student is ahead of the baseline beyond chance."""
    start = time.monotonic()
    text = run(tmp_path, "demo", threads=str(os.cpu_count())).stdout
    assert time.monotonic() - start < 600
    results = json.loads((tmp_path / "demo_output/models/demo/results.json").read_text(encoding="utf-8"))
    assert results["teacher"]["figures"]["top1"] > 80
    assert "SKD is ahead of LQS-S by " in " ".join(text.split())
