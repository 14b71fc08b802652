"""The README's commands at a small size with the embedded weights."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from skdpipe.cli import main
from skdpipe.distill.training import Curve
from skdpipe.synthetic import ACTIONS

SKDPIPE = str(Path(sys.executable).with_name("skdpipe"))
TINY = [
    "demonstration.train_subjects=2",
    "demonstration.test_subjects=1",
    "demonstration.takes=1",
    "demonstration.frames=8",
    "demonstration.shown=3",
    "experiment.recipe.epochs=2",
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
        "LQS-SWA-S",
        "SKD",
        "top-1",
        "GFLOPs",
        "mean OKS",
        "true label",
        "prediction",
    ):
        assert name in text
    assert re.search(r"\d of 3 right", text)
    assert "30 videos extracted, 0 already present, 0 failed" in " ".join(text.split())


def test_the_demonstration_writes_an_image(demo_output: Path) -> None:
    import cv2

    image = cv2.imread(str(demo_output / "overlay.png"))
    assert image is not None
    assert image.shape == (3 * (180 + 22), 4 * 240, 3)
    assert image.std() > 20


def test_the_run_folder_contains_bundles_config_seed_and_figures(demo_output: Path) -> None:
    folder = demo_output / "models" / "demo"
    assert {p.name for p in folder.glob("*.safetensors")} == {
        f"{method}.safetensors" for method in ("teacher", "baseline", "smoothed", "student")
    }
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert all(0 <= results[method]["figures"]["top1"] <= 100 for method in results)
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert config["experiment"]["seed"] == 0
    assert config["data"]["test_clips"] == len(ACTIONS)


def test_a_second_run_does_only_what_is_missing(demo_output: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in demo_output.rglob("*.safetensors")}
    text = run_small_demo(demo_output.parent)
    assert "0 videos extracted, 30 already present, 0 failed" in " ".join(text.split())
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
    first, second = (
        json.loads((folder / "models" / "demo" / "results.json").read_text(encoding="utf-8"))
        for folder in (demo_output, tmp_path / "demo_output")
    )
    for method in first:
        curves = ([Curve(**curve) for curve in run[method]["curves"]] for run in (first, second))
        assert next(curves) == next(curves)
        assert first[method]["figures"]["top1"] == second[method]["figures"]["top1"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demonstration_at_full_size(tmp_path: Path) -> None:
    """It takes less than ten minutes on two cores; the student classifies most test clips correctly."""
    start = time.monotonic()
    text = run(tmp_path, "demo", threads=str(os.cpu_count())).stdout
    assert time.monotonic() - start < 600
    results = json.loads((tmp_path / "demo_output/models/demo/results.json").read_text(encoding="utf-8"))
    assert results["teacher"]["figures"]["top1"] > 60
    assert results["student"]["figures"]["top1"] > 50
    assert (
        "recovered gap" in text
        or results["teacher"]["figures"]["top1"] <= results["baseline"]["figures"]["top1"]
    )
