"""The guides in examples/: their commands run, and those that need downloads or data sets at least exist."""

from __future__ import annotations

import glob
import re
import shlex
from functools import partial
from pathlib import Path

import pytest
import yaml
from moving_body import ACTIONS, BOX_PLUGIN, write_action_video
from typer.main import get_command
from typer.testing import CliRunner

import skdpipe
from skdpipe.cli.commands import app
from skdpipe.config import Estimator, parse_config

ROOT = Path(__file__).parents[1]
GUIDES = ("my-videos.md", "skeletons-from-elsewhere.md", "recipes.md")

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
        if "distill --set" in line and "--folds" not in line:  # `skdpipe distill` alone is cross-validated
            line += " --folds 0"
        if "finetune" in line and not (workplace / "models/published/student.safetensors").is_file():
            assert CliRunner().invoke(app, ["distill", "--folds", "0"]).exit_code == 0
        result = CliRunner().invoke(app, arguments(line))
        assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"


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
