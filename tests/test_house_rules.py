"""House rules that tools can check: style, types, import direction, words, commands of the README."""

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
    assert {"extract", "distill", "predict"} <= used
    assert all(f" {command} " in help_text for command in used)


def test_help_does_not_import_torch() -> None:
    code = "import sys, skdpipe, skdpipe.cli; sys.exit('torch' in sys.modules or 'cv2' in sys.modules)"
    run(sys.executable, "-c", code)


@pytest.mark.parametrize(
    "module", ["inference", "skeleton", "cache", "config", "pose.estimate", "formats.poses"]
)
def test_the_floor_runs_without_torch(module: str) -> None:
    code = f"import sys, skdpipe.{module}; sys.exit(any(m in sys.modules for m in ('torch', 'openpifpaf')))"
    run(sys.executable, "-c", code)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("folder", ["skdpipe", "tests", "examples", "configs"])
def test_no_host_of_a_registry_is_named(folder: str) -> None:
    hosts = re.compile(r"pypi\.org|pythonhosted|index-url|registry\.npmjs")
    named = [p for p in (ROOT / folder).rglob("*") if p.suffix in {".py", ".yaml"} and p != Path(__file__)]
    assert named
    assert not [p for p in named if hosts.search(p.read_text(encoding="utf-8"))]


# Words that stood for field terms; CONTRIBUTING.md lists the terms.
OLD_WORDS = re.compile(
    r"(?<![a-z])("
    r"spoils?|spoilt|spoilings?|hears?|heard|listeners?|told|(?<!\.)tells?|dear(er|est)?|ask(s|ed|ing)?|errs|misestimate\w*"
    r"|spells|endurance|contestants?|entrants?|way.?around|fresh.?views|kept.?megabytes|sees|saw|deserted|unsaid"
    r"|claim(s|ed)?|beginning|open.?whole|whole.?file|listing|anew|besides|sightings?|stand.?in|whoever|thence"
    r")(?![a-z])",
    re.IGNORECASE,
)
ALLOWED = {
    "renamed.py": {"fresh_views", "kept_megabytes"},  # old names of settings are still read
    "test_cli.py": {"fresh_views", "kept_megabytes"},
    "test_config.py": {"fresh_views", "kept_megabytes"},
    "test_distill.py": {"fresh_views"},
    "ctr_gcn.py": {"listener"},  # the name of a stored weight
    "test_ctr_gcn.py": {"listener"},
    "test_openpifpaf_2019.py": {"beginning"},  # a key of its fixture
}
PROSE = [
    path
    for pattern in (
        "skdpipe/**/*.py",
        "skdpipe/**/*.pyi",
        "tests/*.py",
        "examples/*",
        "configs/*",
        "*.md",
        "*/*.md",
    )
    for path in sorted(ROOT.glob(pattern))
    if path.suffix in {".py", ".pyi", ".md", ".yaml"}
    and path.name not in {"CHANGELOG.md", Path(__file__).name}
]


def test_old_words_stay_out() -> None:
    found = {}
    for path in PROSE:
        words = {match[0] for match in OLD_WORDS.finditer(path.read_text(encoding="utf-8"))}
        if words - ALLOWED.get(path.name, set()):
            found[str(path.relative_to(ROOT))] = sorted(words)
    assert not found
