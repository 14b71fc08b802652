"""The house rules that tools can check: style, types, direction of imports, what stands in the README."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def test_ruff_finds_nothing() -> None:
    run(tool("ruff"), "check", ".")


def test_everything_is_formatted() -> None:
    run(tool("ruff"), "format", "--check", ".")


def test_types_are_strict() -> None:
    run(tool("mypy"))


def test_imports_run_one_way() -> None:
    run(tool("lint-imports"), "--no-cache")


def test_ci_runs_the_readmes_test_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python3 -m venv \.venv .*/uv run (.*)$", readme, re.MULTILINE)
    assert commands == ["skdpipe demo", "pytest"]


def test_every_command_of_the_readme_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    used = set(re.findall(r"^\s*skdpipe ([a-z-]+)", readme, re.MULTILINE))
    help_text = run(tool("skdpipe"), "--help")
    assert len(used) >= 6
    assert all(f" {command} " in help_text for command in used)


def test_help_does_not_import_torch() -> None:
    code = "import sys, skdpipe, skdpipe.cli; sys.exit('torch' in sys.modules or 'cv2' in sys.modules)"
    run(sys.executable, "-c", code)


@pytest.mark.parametrize("folder", ["skdpipe", "tests", "examples", "configs"])
def test_no_host_of_a_registry_is_named(folder: str) -> None:
    hosts = re.compile(r"pypi\.org|pythonhosted|index-url|registry\.npmjs")
    named = [p for p in (ROOT / folder).rglob("*") if p.suffix in {".py", ".yaml"} and p != Path(__file__)]
    assert named
    assert not [p for p in named if hosts.search(p.read_text(encoding="utf-8"))]
