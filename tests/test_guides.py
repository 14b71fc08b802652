"""The guides in examples/: their commands run, and those that need downloads or data sets at least exist."""

from __future__ import annotations

import ast
import glob
import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from moving_body import ACTIONS, BOX_PLUGIN, a_sequence, write_action_video
from typer.main import get_command
from typer.testing import CliRunner

import skdpipe
from skdpipe.bundle import Bundle, build_network, save_bundle
from skdpipe.cli.commands import app
from skdpipe.config import ClipFormat, Estimator, NetworkChoice, parse_config
from skdpipe.inference import BundleMetadata
from skdpipe.inference.metadata import TrainingClips
from skdpipe.video import read_frames, write_timed_video

ROOT = Path(__file__).parents[1]
GUIDES = ("my-videos.md", "my-skeletons.md", "recipes.md")
FOOTAGE_GUIDE = ROOT / "examples/my-footage.md"
PHONE_GUIDE = ROOT / "examples/my-phone.md"
CAMERA_GUIDE = ROOT / "examples/my-camera.md"

TINY = {
    "extraction": {
        "high": {"plugin": BOX_PLUGIN},
        "low": {"plugin": BOX_PLUGIN, "options": {"shake": 1.0}, "every": 2},
    },
    "experiment": {
        "name": "published",
        "clip": {"frames": 8},
        "teacher": {"name": "st_2sgcn", "width": 4},
        "student": {"name": "auto"},
        "recipe": {"epochs": 1, "batch": 8},
        "classical": False,
        "distillation": {"node_variant": "relative", "warm_start": True},
    },
}
COMPARISON = {
    "experiment": TINY["experiment"],
    "comparison": {"name": "tiny", "seeds": [0], "methods": ["teacher", "baseline"]},
}


def commands(document: Path, language: str) -> list[str]:
    """The skdpipe commands in the fenced blocks of a language, continuation lines joined."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), re.M | re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("skdpipe ")]


def arguments(line: str) -> list[str]:
    """The arguments of a command, with file patterns expanded as a shell does."""
    words = shlex.split(line, comments=True)[1:]
    return [match for word in words for match in (sorted(glob.glob(word)) or [word])]  # noqa: PTH207


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with labelled videos, a new clip and settings that are trained in a second."""
    for action in ACTIONS:
        for number in range(6):
            write_action_video(
                tmp_path / "videos" / action.replace(" ", "_") / f"{number}.mp4", action, number
            )
    write_action_video(tmp_path / "new_clip.mp4", ACTIONS[0], 9)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    (tmp_path / "comparison.yaml").write_text(yaml.safe_dump(COMPARISON))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKDPIPE_CONFIG", str(tmp_path / "tiny.yaml"))
    return tmp_path


@pytest.mark.parametrize("guide", GUIDES)
def test_the_commands_of_a_guide_run(guide: str, workplace: Path) -> None:
    lines = commands(ROOT / "examples" / guide, "sh")
    assert lines
    if guide != "my-videos.md":  # the other guides start from an extracted folder
        lines = ["skdpipe extract videos/", *lines]
    for line in lines:
        if "predict" in line:  # the tiny config's estimator is a plugin, which a bundle may not run by itself
            (workplace / "low.yaml").write_text(yaml.safe_dump(TINY["extraction"]["low"]))
            line += " --estimator low.yaml"
        if "distill" in line and "--folds" not in line:  # tests/test_cli.py has the cross-validation
            line += " --folds 0"
        if "finetune" in line and not (workplace / "models/published/student.safetensors").is_file():
            assert CliRunner().invoke(app, ["distill", "--folds", "0"]).exit_code == 0
        result = CliRunner().invoke(app, arguments(line))
        assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"


@pytest.fixture
def footage(workplace: Path) -> Path:
    """The folder with a student of clips of a second, videos of 8 seconds, and skeletons of as many."""
    choice, clip = NetworkChoice("st_2sgcn", width=4), ClipFormat(frames=8)
    clips = TrainingClips(1.0, 1.0, 1.0, 1.0, 6.0, 1, 0.0, 1.0, 1.0)
    metadata = BundleMetadata(choice, ACTIONS, clip, "box", training_clips=clips)
    bundle = Bundle(build_network(choice, clip, len(ACTIONS)), metadata)
    save_bundle(bundle, workplace / "models/published/student.safetensors")
    video = write_action_video(workplace / "long.mp4", ACTIONS[0], frames=96)
    times = [number / 12 for number in range(96)]
    write_timed_video(workplace / "long.mkv", zip(read_frames(video), times, strict=True), 12)
    for number in range(2):
        write_action_video(workplace / f"recordings/{number}.mp4", ACTIONS[number], frames=48)
    people = a_sequence(ACTIONS[0], frames=200).keypoints[:, 0]
    results = [
        {"image_id": number, "category_id": 1, "score": 1.0, "keypoints": pose.ravel().tolist()}
        for number, pose in enumerate(people)
    ]
    (workplace / "poses.json").write_text(json.dumps(results))
    return workplace


def test_the_commands_of_the_guide_to_footage_run(footage: Path) -> None:
    (footage / "low.yaml").write_text(yaml.safe_dump(TINY["extraction"]["low"]))
    output = {}
    for line in commands(FOOTAGE_GUIDE, "sh"):
        words = arguments(line)
        if "poses.json" not in words:
            words += ["--estimator", "low.yaml"]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
        output[line] = result.stdout
    assert all("0:00:0" in text or "seconds" in text for text in output.values()), output  # segments
    for name in ("segments.csv", "long.vtt", "long.eaf", "labelled.mp4", "all.csv", "subtitles/1.vtt"):
        assert Path(name).stat().st_size


def test_the_commands_of_the_guide_to_cameras_run(footage: Path) -> None:
    (footage / "low.yaml").write_text(yaml.safe_dump(TINY["extraction"]["low"]))
    (line,) = commands(CAMERA_GUIDE, "sh")
    command, _, stdin = line.partition(" < ")
    with Path(stdin).open(
        "rb"
    ) as file:  # in a process of its own, as the test's standard input is not a file
        done = subprocess.run(
            [sys.executable, "-m", "skdpipe", *arguments(command), "--estimator", "low.yaml"],
            stdin=file, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "0:00:0" in done.stdout


def test_the_python_of_the_guide_to_footage_runs(
    footage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_python_of(FOOTAGE_GUIDE, monkeypatch)
    assert re.search(r"^0\.0 - 8\.0 s: .*, person 0$", capsys.readouterr().out, re.M)


def test_the_python_of_the_guide_to_cameras_runs(
    footage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_python_of(CAMERA_GUIDE, monkeypatch)
    assert capsys.readouterr().out.count("s: now ") == 29  # windows of 1 s every 0.25 s in 8 s


def run_python_of(guide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run all blocks of Python; a bundle may not run the tiny config's estimator, a plugin, by itself."""
    low = parse_config(Estimator, TINY["extraction"]["low"], "low")
    monkeypatch.setattr(skdpipe, "load_predictor", partial(skdpipe.load_predictor, estimator=low))
    blocks = re.findall(r"^```python\n(.*?)^```", guide.read_text(encoding="utf-8"), re.M | re.S)
    exec(compile("\n".join(blocks), guide.name, "exec"), {})


@pytest.fixture
def student(workplace: Path) -> Path:
    """The folder with a trained student, its cache, and skeletons of its estimator."""
    for line in ("extract videos/", "distill --folds 0"):
        assert CliRunner().invoke(app, line.split()).exit_code == 0
    (low,) = (workplace / "pose_cache/low").iterdir()
    low.rename(workplace / "my-skeletons")
    shutil.copytree(workplace / "my-skeletons", low)
    return workplace


def test_the_commands_and_the_python_of_the_guide_to_phones_run(
    student: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    exported = student / "models/published/student-export"
    for line in commands(PHONE_GUIDE, "sh"):
        result = CliRunner().invoke(app, arguments(line))
        assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
        assert result.output.count("student.onnx ") == 2  # two batches
        assert (exported / "student-batch-1.onnx").is_file()
    assert {each.name for each in (student / "phone").iterdir()} == {
        "card.md", "student.onnx", "student-batch-1.onnx",
    }  # fmt: skip
    blocks = re.findall(r"^```python\n(.*?)^```", PHONE_GUIDE.read_text(encoding="utf-8"), re.M | re.S)
    exec(compile("\n".join(blocks), PHONE_GUIDE.name, "exec"), {})
    shapes, probabilities = map(ast.literal_eval, capsys.readouterr().out.splitlines())
    assert shapes == [
        ("x", [1, 2, 3, 8, 17], "tensor(float)"),
        ("mask", [1, 2], "tensor(bool)"),
        ("logits", [1, 2], "tensor(float)"),
    ]
    assert json.loads((student / "student.json").read_text())["classes"] == sorted(dict(probabilities))
    monkeypatch.syspath_prepend(ROOT / "examples")
    label_skeletons = importlib.import_module("label_skeletons")
    found = label_skeletons.label(
        exported / "student-batch-1.onnx", label_skeletons.load_skeleton(student / "skeleton.npz")
    )
    assert [name for name, _ in found] == [name for name, _ in probabilities]
    np.testing.assert_allclose(*([share for _, share in each] for each in (found, probabilities)), atol=1e-5)


def test_the_python_example_of_the_readme_runs(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S
    )
    (workplace / "new_clip.mp4").rename(workplace / "clip.mp4")
    low = parse_config(Estimator, TINY["extraction"]["low"], "low")
    monkeypatch.setattr(skdpipe, "config_path", lambda name: workplace / "tiny.yaml")
    # A bundle may not run the tiny config's estimator, a plugin, by itself.
    monkeypatch.setattr(skdpipe, "load_predictor", partial(skdpipe.load_predictor, estimator=low))
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip().replace("_", " ") in ACTIONS


@pytest.mark.parametrize("document", [*sorted((ROOT / "examples").glob("*.md")), ROOT / "README.md"], ids=str)
def test_every_command_and_option_of_a_document_exists(document: Path) -> None:
    root = get_command(app)
    for line in commands(document, "(?:sh|text)?"):
        words = shlex.split(line, comments=True)[1:]
        command = root
        while words and hasattr(command, "commands") and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        assert command is not root or words[0].startswith("--"), line
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert used <= known | {"--version"}, line
