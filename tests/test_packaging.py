"""The wheel: what is in it, what it requires, and its commands in an environment that has no source tree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Callable, Iterator
from email.message import Message
from email.parser import Parser
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from exported_student import a_student, write_export
from moving_body import a_sequence
from packaging.requirements import Requirement
from squares import square_frames

from skdpipe.bundle import save_bundle
from skdpipe.formats import save_poses
from skdpipe.predict import load_predictor
from skdpipe.synthetic import make_scene, render_clip
from skdpipe.video import write_video

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = (
    "app", "onnx", "openvino", "ray", "remote", "report", "rtmlib", "runner", "tensorboard", "train",
    "train-pose",
)  # fmt: skip
LARGE = "litert"  # with over 1 GB of packages, it is not in all

Command = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_contains_configs_weights_and_types_and_nothing_of_the_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"skdpipe/configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml")} <= names
    assert {f"skdpipe/models/pose-actors-{quality}.safetensors" for quality in ("high", "low")} <= names
    assert {"skdpipe/py.typed", "skdpipe/examples/movenet.py"} <= names
    files = {path for path in (ROOT / "skdpipe").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {str(path.relative_to(ROOT)) for path in files} <= names
    assert {name.split("/")[0] for name in names} <= {"skdpipe", f"skdpipe-{version()}.dist-info"}


def version() -> str:
    return str(PROJECT["project"]["version"])


# Requirements ------------------------------------------------------------------------------------


def unsatisfied(requirements: list[str], extras: tuple[str, ...] = ("",)) -> Iterator[str]:
    """What this environment contradicts of requirements and of all that they require in turn."""
    overrides = {each.name: each for each in map(Requirement, PROJECT["tool"]["uv"]["override-dependencies"])}
    todo = [(Requirement(text), extras, "skdpipe") for text in requirements]
    done = set()
    while todo:
        requirement, active, owner = todo.pop()
        requirement = overrides.get(requirement.name, requirement)
        marker = requirement.marker
        if (str(requirement), active) in done or (
            marker and not any(marker.evaluate({"extra": extra}) for extra in active)
        ):
            continue
        done.add((str(requirement), active))
        try:
            found = distribution(requirement.name)
        except PackageNotFoundError:
            yield f"{owner} requires {requirement}, which is not installed"
            continue
        if not requirement.specifier.contains(found.version, prereleases=True):
            yield f"{owner} requires {requirement}, found {found.version}"
        below = tuple(requirement.extras) or ("",)
        todo += [(Requirement(text), below, requirement.name) for text in found.requires or ()]


def test_this_environment_satisfies_what_the_wheel_and_all_its_dependencies_require(
    metadata: Message,
) -> None:
    """Without an override of torch: OpenPifPaf 0.13.11, for one, requires torch 1.13.1."""
    requirements = [
        text for text in metadata.get_all("Requires-Dist") or () if not text.startswith("skdpipe[")
    ]
    assert list(unsatisfied(requirements, ("", *EXTRAS))) == []


def test_a_contradicted_requirement_is_found() -> None:
    assert list(unsatisfied(["torch==1.13.1"])) == [
        f"skdpipe requires torch==1.13.1, found {distribution('torch').version}"
    ]


def test_extras_are_complete(metadata: Message) -> None:
    assert set(metadata.get_all("Provides-Extra") or ()) == {*EXTRAS, "all", LARGE}
    (everything,) = PROJECT["project"]["optional-dependencies"]["all"]
    assert Requirement(everything).extras == set(EXTRAS)


def test_openpifpaf_is_built_with_the_range_of_torch_that_it_runs_with() -> None:
    train = PROJECT["project"]["optional-dependencies"]["train"]
    (torch,) = (text for text in train if text.startswith("torch>"))
    assert torch in PROJECT["tool"]["uv"]["extra-build-dependencies"]["openpifpaf"]


def test_the_base_and_the_runner_require_nothing_of_the_training() -> None:
    project = PROJECT["project"]
    runner = [*project["dependencies"], *project["optional-dependencies"]["runner"]]
    names = {Requirement(each).name for each in runner}
    assert names & {"torch", "torchvision", "openpifpaf", "scikit-learn", "scipy", "skdpipe"} == set()


# What is imported --------------------------------------------------------------------------------

HEAVY = ("torch", "openpifpaf", "matplotlib", "sklearn", "onnxruntime", "openvino", "pycocotools", "rtmlib")


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("skdpipe", (*HEAVY, "numpy", "scipy", "cv2", "av")),
        ("skdpipe.cli", (*HEAVY, "numpy", "scipy", "cv2", "av")),
        ("skdpipe.skeleton", (*HEAVY, "cv2", "av")),
        ("skdpipe.cache", (*HEAVY, "cv2", "av")),
        ("skdpipe.video", HEAVY),
        ("skdpipe.inference.exported", (*HEAVY, "scipy", "cv2", "av", "PIL", "typer", "rich")),
    ],
)
def test_importing_a_module_loads_only_what_it_uses(module: str, absent: tuple[str, ...]) -> None:
    program = f"import sys, {module}; print(*sorted(set({absent!r}) & sys.modules.keys()))"
    assert python(program).stdout.split() == []


def python(program: str, *arguments: str, code: int = 0) -> CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


WITHOUT = """
import sys
sys.modules[sys.argv.pop(1)] = None  # as if it were not installed
from skdpipe.cli import main
main()
"""


WITHOUT_TRAINING = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        absent = {"torch", "torchvision", "openpifpaf", "sklearn", "scipy"}
        return None if name.partition(".")[0] in absent else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Without, sys.meta_path)
"""
COMMANDS_THAT_TRAIN = {
    "extract": ["clip.mp4", "--cache", "cache"],
    "distill": [],
    "finetune": ["student.safetensors"],
    "compare": ["penn-small"],
    "evaluate": ["student.safetensors"],
    "report": ["run"],
    "predict": ["clip.mp4", "--bundle", "student.safetensors"],
    "profile": [],
    "train-pose": ["pose-actors-low", "out.safetensors"],
    "measure-pose": [],
    "demo": [],
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a video and a bundle."""
    folder = tmp_path_factory.mktemp("workplace")
    write_video(folder / "clip.mp4", square_frames(frames=3), fps=10)
    save_bundle(a_student(), folder / "student.safetensors")
    return folder


@pytest.mark.parametrize("command", COMMANDS_THAT_TRAIN)
def test_without_the_extra_for_training_a_command_that_needs_it_says_so_in_one_line(
    command: str, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    program = f"{WITHOUT_TRAINING}\nfrom skdpipe.cli import main\nmain()"
    done = python(program, command, *COMMANDS_THAT_TRAIN[command], code=1)
    (line,) = done.stderr.splitlines()
    assert line.endswith(
        ' not found; expected the optional packages of this command: run `pip install "skdpipe[train]"`'
    )


@pytest.mark.parametrize(
    "call", ["skdpipe.distill_student", "skdpipe.load_predictor('student.safetensors', runtime='torch')"]
)
def test_in_python_a_missing_extra_is_an_error_with_the_remedy(
    call: str, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    done = python(f"{WITHOUT_TRAINING}\nimport skdpipe\n{call}", code=1)
    assert done.stderr.splitlines()[-1].startswith("skdpipe.errors.MissingDependencyError: torch not found")


def test_a_report_without_its_extra_is_refused_in_one_line(tmp_path: Path) -> None:
    done = python(WITHOUT, "matplotlib", "report", str(tmp_path), code=1)
    assert " ".join(done.stderr.split()).endswith(
        "matplotlib not found; expected the optional packages of this command: "
        'run `pip install "skdpipe[report]"`'
    )
    assert "Traceback" not in done.stderr


def test_rtmpose_without_its_extra_is_refused_in_one_line(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", square_frames(frames=3), fps=10)
    command = ("extract", str(tmp_path / "clip.mp4"), "-c", "rtmpose", "--cache", str(tmp_path / "cache"))
    done = python(WITHOUT, "rtmlib", *command, code=1)
    assert "rtmlib not found; expected the optional packages" in done.stderr
    assert '`pip install "skdpipe[rtmlib]"`' in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_training_on_coco_without_its_extra_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "coco.json").write_text("{}", encoding="utf-8")
    (tmp_path / "coco.yaml").write_text(
        "backbone: resnet18\nlong_edge: 97\n"
        f"data: {{annotations: {tmp_path}/coco.json, images: {tmp_path}}}\n",
        encoding="utf-8",
    )
    done = python(
        WITHOUT,
        "pycocotools",
        "train-pose",
        str(tmp_path / "coco.yaml"),
        str(tmp_path / "out.safetensors"),
        code=1,
    )
    assert '`pip install "skdpipe[train-pose]"`' in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


# The installed wheel -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of the wheel in an environment of its own, which borrows the dependencies of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin/python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel],
        check=True,
        env=bare_environment(),
    )
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin/skdpipe"


def bare_environment() -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}, "COLUMNS": "200"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def run(installed: Path, folder: Path) -> Command:
    def run(*arguments: object, code: int = 0) -> CompletedProcess[str]:
        done = subprocess.run(
            [installed, *map(str, arguments)],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env=bare_environment(),
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


TINY = [
    "demonstration.train_subjects=2",
    "demonstration.test_subjects=1",
    "demonstration.takes=1",
    "demonstration.simulated_train_subjects=1",
    "demonstration.simulated_test_subjects=1",
    "demonstration.runs=1",
    "demonstration.frames=8",
    "demonstration.shown=2",
    "experiment.recipe.epochs=1",
    "experiment.recipe.steps=0",
    "experiment.clip.frames=8",
]


@pytest.fixture(scope="module")
def demonstration(run: Command, folder: Path) -> Path:
    """The folder of a tiny demonstration: embedded weights, packaged config, all three everyday steps."""
    run("demo", *(word for setting in TINY for word in ("--set", setting)))
    return folder / "demo_output"


@pytest.mark.slow
def test_the_installed_package_is_the_wheels(installed: Path) -> None:
    program = "import skdpipe; print(skdpipe.__file__)"
    done = subprocess.run(
        [installed.with_name("python"), "-c", program], capture_output=True, text=True, check=True, cwd="/",
        env=bare_environment(),
    )  # fmt: skip
    assert Path(done.stdout.strip()).is_relative_to(installed.parents[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "extract", "distill", "predict", "import", "convert", "compare", "report", "evaluate", "finetune",
        "fit-noise", "pose-weights", "train-pose", "measure-pose", "demo",
    ],
)  # fmt: skip
def test_every_command_is_installed(run: Command, command: str) -> None:
    assert f"skdpipe {command}" in run(command, "--help").stdout


@pytest.mark.slow
def test_the_everyday_commands_run_from_any_folder(run: Command, demonstration: Path) -> None:
    videos, cache, models = demonstration / "videos", demonstration / "poses", demonstration / "runs"
    run("extract", videos, "-c", "demo", "--cache", cache)
    tiny = ["--set", "recipe.epochs=1", "--set", "recipe.steps=0", "--set", "clip.frames=8"]
    run("distill", "-c", "demo", "--cache", cache, "--models", models, *tiny)
    clip = min(videos.rglob("*.mp4"))
    predicted = run("predict", clip, "--bundle", models / "demo/student.safetensors", "--json")
    assert '"label"' in predicted.stdout


@pytest.mark.slow
def test_reports_conversions_and_comparisons_run_from_any_folder(
    run: Command, demonstration: Path, folder: Path
) -> None:
    cache, models = demonstration / "pose_cache", demonstration / "models"
    run("report", models / "demo", "--cache", cache)
    assert "<html" in (models / "demo/report.html").read_text(encoding="utf-8")
    (low,) = (path for path in (cache / "low").iterdir() if path.is_dir())
    run("convert", "cache", low, "pyskl", folder / "low.pkl")
    assert (folder / "low.pkl").stat().st_size > 1000
    run("evaluate", models / "demo/student.safetensors", "--cache", cache)
    run("fit-noise", folder / "noise.yaml", "--cache", cache)
    assert (folder / "noise.yaml").is_file()
    assert "actors-high" in run("pose-weights").stdout


@pytest.mark.slow
def test_a_plugin_among_the_examples_is_found_and_names_the_weights_that_it_lacks(
    run: Command, demonstration: Path
) -> None:
    done = run("extract", demonstration / "videos", "-c", "movenet", code=1)
    assert "no MoveNet weights at" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


# The runner --------------------------------------------------------------------------------------

OF_TRAINING = {"torch", "torchvision", "openpifpaf", "scikit-learn", "scipy"}


@pytest.fixture(scope="module")
def runner(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own with the wheel and the extra ``runner``, from uv's cache or the network."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        pytest.skip("no uv")
    folder = tmp_path_factory.mktemp("runner")
    environment = bare_environment()
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder], check=True, env=environment)
    install = [uv, "pip", "install", "-q", "--python", folder / "bin/python", f"{wheel}[runner]"]
    subprocess.run(install, check=True, env=environment)
    listed = [uv, "pip", "list", "--format=freeze", "--python", folder / "bin/python"]
    found = subprocess.run(listed, check=True, env=environment, capture_output=True, text=True).stdout
    assert OF_TRAINING & {line.partition("=")[0] for line in found.splitlines()} == set()
    return folder / "bin/skdpipe"


@pytest.mark.slow
def test_the_runner_labels_skeletons_and_videos_with_an_export(runner: Path, tmp_path: Path) -> None:
    export = write_export(tmp_path, a_student())
    frames = render_clip(make_scene("push", subject=1, take=0, seed=7, frames=16, fps=12.0)).frames
    write_video(tmp_path / "push.mp4", frames, 12.0)
    save_poses([a_sequence("sideways", 3)], tmp_path / "poses.pkl", "pyskl")
    expected = load_predictor(tmp_path / "student.safetensors", runtime="torch")

    def predict(*arguments: object) -> CompletedProcess[str]:
        command = [runner, "predict", *map(str, arguments)]
        environment = {**bare_environment(), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
        )

    done = predict("push.mp4", "poses.pkl", "--bundle", export, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("note: poses by pyskl annotation; the student was trained on poses by")
    video, poses = (json.loads(line) for line in done.stdout.splitlines())
    assert video["label"] == expected.predict(tmp_path / "push.mp4").label
    assert poses["label"] == expected.predict(a_sequence("sideways", 3)).label
    done = predict("push.mp4", "--bundle", export, "--per-person", "--window", 0.5, "--overlay", "seen.mp4")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "seen.mp4").stat().st_size > 1000
    done = predict("push.mp4", "--bundle", "student.safetensors")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert '`pip install "skdpipe[train]"`' in line
