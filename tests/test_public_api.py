"""The public API: every name is listed, documented and resolved on first use; every command has its twin."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer.main
from typer.core import TyperGroup

import skdpipe
from skdpipe import Bundle, BundleMetadata, ClipFormat, load_estimator, save_bundle
from skdpipe.bundle import build_network
from skdpipe.cli.commands import app
from skdpipe.config import NetworkChoice, OpenPifPafSettings

STUB = Path(skdpipe.__file__).with_name("__init__.pyi")

TWINS = {
    "extract": "extract_videos",
    "import": "import_poses",
    "convert": "convert_poses",
    "fit-noise": "fit_noise_of_cache",
    "layouts": "describe_layout",
    "info": "describe_path",
    "check": "check_data",
    "distill": "distill_student",
    "finetune": "finetune_student",
    "compare": "run_comparison",
    "predict": "load_predictor",
    "evaluate": "evaluate_bundles",
    "report": "write_report",
    "export": "export_student",
    "profile": "profile_estimators",
    "train-pose": "train_pose",
    "measure-pose": "measure_pose",
    "pose-weights": "list_pose_weights",
    "pose-weights fetch": "fetch_pose_weights",
    "demo": "run_demo",
    "cache list": "summarise_cache",
    "cache verify": "verify_cache",
    "cache prune": "prune_cache",
    "cache relabel": "relabel_cache",
    "doctor": "diagnose",
    "app": "create_app",
    "config list": "list_configs",
    "config show": "describe_config",
    "config schema": "config_schema",
}


def commands(group: TyperGroup, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its path: groups that do something by themselves, and all commands."""
    for name, command in group.commands.items():
        full = f"{path} {name}".strip()
        if isinstance(command, TyperGroup):
            if command.invoke_without_command:
                yield full, command
            yield from commands(command, full)
        else:
            yield full, command


def all_commands() -> dict[str, Any]:
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    return dict(commands(root))


def test_every_command_has_a_twin() -> None:
    assert all_commands().keys() == TWINS.keys()
    assert set(TWINS.values()) <= set(skdpipe.__all__)


@pytest.mark.parametrize("command", TWINS)
def test_a_command_calls_its_twin(command: str) -> None:
    callback = inspect.unwrap(all_commands()[command].callback)
    assert TWINS[command] in callback.__code__.co_names + callback.__code__.co_varnames


def listed() -> list[str]:
    """The names that the stub imports."""
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    return [
        each.asname or each.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for each in node.names
    ]


def test_dir_lists_every_name_of_the_stub() -> None:
    assert sorted(skdpipe.__all__) == sorted(listed())
    assert set(listed()) <= set(dir(skdpipe))


@pytest.mark.parametrize("name", listed())
def test_every_name_is_found_and_documented(name: str) -> None:
    value = getattr(skdpipe, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        documentation = inspect.getdoc(value) or ""
        assert documentation.split("\n\n")[0].rstrip().endswith((".", ":"))
        assert value.__module__.startswith("skdpipe.")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        skdpipe.nothing  # noqa: B018


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, skdpipe; dir(skdpipe); skdpipe.__all__\n"
        "heavy = {'numpy', 'torch', 'cv2', 'av', 'scipy', 'pydantic', 'rich'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Examples in docstrings


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the examples: two videos and a student with random weights."""
    for name in ("push/01.mp4", "wave/02.mp4"):
        (tmp_path / "videos" / name).parent.mkdir(parents=True)
        (tmp_path / "videos" / name).touch()
    settings = OpenPifPafSettings(backbone="shufflenetv2x1", weights="actors-low", long_edge=97)
    clip, choice = ClipFormat(frames=8), NetworkChoice("st_2sgcn", width=4)
    fingerprint = load_estimator(settings, torch.device("cpu")).fingerprint
    metadata = BundleMetadata(choice, ("push", "wave"), clip, fingerprint, settings)
    save_bundle(Bundle(build_network(choice, clip, 2), metadata), tmp_path / "student.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("workplace")
def test_the_examples_of_the_package_run() -> None:
    result = doctest.testmod(skdpipe)
    assert (result.attempted > 10, result.failed) == (True, 0)


@pytest.mark.parametrize("module", ["describe", "files", "load", "schema"])
def test_the_examples_of_the_settings_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"skdpipe.config.{module}"))
    assert (result.attempted > 0, result.failed) == (True, 0)
