"""The commands: what is printed where, exit codes, and names that look like markup."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from foreign_clips import make_clip
from moving_body import ACTIONS, BOX_PLUGIN, film

from skdpipe.cli import main
from skdpipe.formats.openpifpaf import write_openpifpaf
from skdpipe.formats.pyskl import load_pyskl, write_pyskl

LABELS = {"sideways": "[/red] side:car:ways", "up and down": "[bold]up"}
CONFIG: dict[str, dict[str, Any]] = {
    "extraction": {
        "high": {"plugin": BOX_PLUGIN},
        "low": {"plugin": BOX_PLUGIN, "options": {"shake": 1.0}, "every": 2},
    },
    "experiment": {
        "name": "run [1]",
        "clip": {"frames": 8},
        "teacher": {"name": "st_2sgcn", "width": 8},
        "student": {"name": "st_2sgcn", "width": 8},
        "recipe": {"epochs": 25, "batch": 4, "learning_rate": 0.1, "warmup": 1, "augment": {}},
        "distillation": {"node_variant": "relative"},
        "methods": ["teacher", "baseline", "student"],
    },
}


class Answer(NamedTuple):
    code: object
    out: str
    err: str


Run = Callable[..., Answer]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line, in this process."""

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["skdpipe", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        return Answer(end.value.code or 0, *capsys.readouterr())

    return run


class Stage(NamedTuple):
    """A folder with videos, their labels and a config; the brackets are there on purpose."""

    folder: Path

    @property
    def videos(self) -> Path:
        return self.folder / "labels.csv"

    @property
    def unseen(self) -> Path:
        return self.folder / "unseen [clip]"

    def options(self, *names: str) -> list[str]:
        where = {
            "config": "mine [v1].yaml",
            "cache": "cache [/b]",
            "models": "models :x:",
            "estimator": "low.yaml",
        }
        return [part for name in names for part in (f"--{name}", str(self.folder / where[name]))]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    stage = Stage(tmp_path_factory.mktemp("stage"))
    with stage.videos.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for action in ACTIONS:
            for number in range(6):
                path = film(stage.folder / f"{action} [{number}].mp4", action, number)
                writer.writerow([path.name, LABELS[action], "train" if number < 4 else "test"])
    for number, action in enumerate(ACTIONS):
        film(stage.unseen / f"{number} [/red] :car:.mp4", action, 7)
    for name, settings in (("mine [v1].yaml", CONFIG), ("low.yaml", CONFIG["extraction"]["low"])):
        (stage.folder / name).write_text(yaml.safe_dump(settings), encoding="utf-8")
    return stage


@pytest.fixture
def distilled(stage: Stage, run: Run) -> Stage:
    """The stage with skeletons and networks; both commands do nothing if all is there."""
    assert run("extract", stage.videos, *stage.options("config", "cache")).code == 0
    assert run("distill", *stage.options("config", "cache", "models"), "--device", "cpu").code == 0
    return stage


# From videos to labels


def test_extract_prints_what_it_did_and_does_it_once(stage: Stage, run: Run, tmp_path: Path) -> None:
    cache = tmp_path / "cache [/b]"
    first, again = (
        run("extract", stage.videos, *stage.options("config"), "--cache", cache) for _ in range(2)
    )
    assert (first.code, again.code) == (0, 0)
    extracted, matched = first.out.splitlines()
    assert extracted == f"{cache}: 12 videos extracted, 0 there already, 0 failed"
    assert matched.startswith("people matched between the qualities: 12 of 12, mean OKS 0.")
    assert again.out.splitlines() == [f"{cache}: 0 videos extracted, 12 there already, 0 failed"]


def test_extract_fails_if_a_video_does_and_says_which(stage: Stage, run: Run, tmp_path: Path) -> None:
    (tmp_path / "[bold]broken.mp4").write_bytes(b"no video")
    film(tmp_path / "empty [1].mp4", "")
    answer = run("extract", tmp_path, *stage.options("config"), "--cache", tmp_path / "cache")
    assert answer.code == 1
    assert "1 videos extracted, 0 there already, 1 failed" in answer.out
    assert f"failed: {tmp_path}/[bold]broken.mp4: not a readable video" in answer.err
    assert f"nobody seen: {tmp_path}/empty [1].mp4\n" in answer.err


def test_distill_prints_the_table(distilled: Stage, run: Run) -> None:
    answer = run("distill", *distilled.options("config", "cache", "models"))
    assert answer.code == 0
    assert "models :x:/run [1]" in " ".join(answer.out.split())
    rows = {line.split("│")[1].strip(): line for line in answer.out.splitlines() if line.startswith("│")}
    assert list(rows) == ["HQS-T", "LQS-S", "SKD"]
    assert "100.00" in rows["HQS-T"]
    assert "2 classes, 8 training clips, 4 test clips" in answer.out


def test_predict_names_the_action(distilled: Stage, run: Run) -> None:
    answer = run("predict", distilled.unseen, *distilled.options("models", "estimator"), "--top", 1)
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert len(lines) == 2
    for line, (number, action) in zip(lines, enumerate(ACTIONS), strict=True):
        path = distilled.unseen / f"{number} [/red] :car:.mp4"
        assert re.fullmatch(re.escape(f"{path}: {LABELS[action]} ") + r"[01]\.\d{3}", line)
    assert answer.err == f"bundle: {distilled.folder}/models :x:/run [1]/student.safetensors\n"


def test_json_is_all_there_is_on_stdout(distilled: Stage, run: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    film(tmp_path / "empty.mp4", "")
    bundle = distilled.folder / "models :x:/run [1]/baseline.safetensors"
    options = ["--bundle", bundle, *distilled.options("estimator"), "--json"]
    answer = run("predict", distilled.unseen, tmp_path, *options)
    assert answer.code == 1
    first, second, broken, empty = (json.loads(line) for line in answer.out.splitlines())
    assert first["source"] == str(distilled.unseen / "0 [/red] :car:.mp4")
    assert (first["label"], second["label"]) == tuple(LABELS.values())
    assert (first["people"], first["frames"]) == (1, 6)
    assert set(first["probabilities"]) == set(LABELS.values())
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    assert broken.keys() == {"source", "error"}
    assert "not a readable video" in broken["error"]
    assert (empty["label"], empty["probabilities"], empty["people"]) == (None, {}, 0)
    assert answer.err == f"error: {broken['error']}\n"


def test_a_clip_with_nobody_says_so(distilled: Stage, run: Run, tmp_path: Path) -> None:
    path = film(tmp_path / "empty.mp4", "")
    answer = run("predict", path, *distilled.options("models", "estimator"))
    assert (answer.code, answer.out) == (0, f"{path}: no person found in 6 frames\n")


def test_another_estimator_can_be_named(distilled: Stage, run: Run, tmp_path: Path) -> None:
    estimator = tmp_path / "mine.yaml"
    estimator.write_text(yaml.safe_dump({"plugin": BOX_PLUGIN}))
    path = film(tmp_path / "clip.mp4", ACTIONS[0], 8)
    answer = run("predict", path, *distilled.options("models"), "--estimator", estimator, "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["frames"] == 12


def test_file_names_that_are_not_utf8_are_printed_readably(distilled: Stage, tmp_path: Path) -> None:
    path = tmp_path / "plain.mp4"
    strange = tmp_path / "caf\udce9.mp4"
    film(path, ACTIONS[0], 7).rename(strange)
    command = [
        sys.executable,
        "-m",
        "skdpipe",
        "predict",
        str(strange),
        *distilled.options("models", "estimator"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.startswith(f"{tmp_path}/caf\\udce9.mp4: ")) == (0, True)


def test_evaluate_prints_each_bundle_and_their_fusion(distilled: Stage, run: Run) -> None:
    folder = distilled.folder / "models :x:/run [1]"
    bundles = [folder / f"{method}.safetensors" for method in ("teacher", "baseline", "student")]
    answer = run("evaluate", *bundles, "--weights", 2, 1.5, 0, *distilled.options("cache"))
    assert answer.code == 0
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in answer.out.splitlines() if "│" in line
    ]
    assert [row[0].split()[-1] for row in rows if row[2]] == ["[1]/teacher", "[1]/baseline", "[1]/student"]
    assert [row[2] for row in rows if row[2]] == ["2", "1.5", "0"]
    assert rows[0][3] == "100.00"
    assert rows[-1][0] == "fused"
    assert answer.out.splitlines()[-1] == "4 test clips"


@pytest.mark.parametrize(
    "spelling", ["{0} {1} --weights 1 0", "--weights 1 0 {0} {1}", "{0} --weights 1 --weights 0 {1}"]
)
def test_weights_may_be_spelt_in_a_row_or_one_by_one(
    distilled: Stage, run: Run, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    monkeypatch.chdir(distilled.folder / "models :x:/run [1]")
    monkeypatch.setenv("SKDPIPE_CACHE", distilled.options("cache")[1])
    answer = run("evaluate", *spelling.format("teacher.safetensors", "baseline.safetensors").split())
    rows = [line.split("│")[3].strip() for line in answer.out.splitlines() if line.startswith("│")]
    assert (answer.code, [row for row in rows if row]) == (0, ["1", "0"])


def test_one_bundle_needs_no_fusion_and_is_tested_on_what_is_asked_for(distilled: Stage, run: Run) -> None:
    bundle = distilled.folder / "models :x:/run [1]/baseline.safetensors"
    (high,) = (distilled.folder / "cache [/b]/high").iterdir()
    answer = run("evaluate", bundle, "--quality", "high", "--high", high.name, *distilled.options("cache"))
    assert answer.code == 0
    assert "fused" not in answer.out
    assert "high," in answer.out
    answer = run("evaluate", bundle, "--low", "gone", *distilled.options("cache"))
    assert "has no low settings 'gone'; found" in the_error(answer)


# Foreign skeletons


def test_import_and_convert_say_what_they_did(run: Run, tmp_path: Path) -> None:
    clips = [make_clip("one [1]", "sit", "train"), make_clip("two", "run", "val")]
    write_pyskl(clips, tmp_path / "set.pkl")
    names = tmp_path / "set.classes.txt"
    options = ["--as", "low", "--cache", tmp_path / "cache", "--labels", names]
    first = run("import", "pyskl", tmp_path / "set.pkl", *options)
    assert (first.code, first.err.splitlines()) == (0, [])
    (folder,) = (tmp_path / "cache/low").iterdir()
    assert first.out == f"{folder}: 2 clips imported, 0 there already, 0 failed\n"
    again = run("import", "pyskl", tmp_path / "set.pkl", *options)
    assert again.out == f"{folder}: 0 clips imported, 2 there already, 0 failed\n"
    written = run("convert", "cache", folder, "openpifpaf", tmp_path / "json [2]")
    assert (written.code, written.out) == (0, f"{tmp_path}/json [2]: 2 clips written, 0 failed\n")
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json"))
    assert found == [
        "json [2]/train/sit/one [1].openpifpaf.json",
        "json [2]/val/run/two.openpifpaf.json",
    ]


def test_import_names_the_clips_that_failed(run: Run, tmp_path: Path) -> None:
    write_openpifpaf([make_clip("one"), make_clip("two")], tmp_path / "in")
    broken = tmp_path / "in/sit/[red].json.openpifpaf.json"
    broken.write_text("none")
    (tmp_path / "skip.txt").write_text("two\n")
    film(tmp_path / "videos/one.mp4", ACTIONS[0])
    answer = run(
        "import",
        "openpifpaf",
        tmp_path / "in",
        *("--cache", tmp_path / "cache", "--skip", tmp_path / "skip.txt", "--videos", tmp_path / "videos"),
        *("--size", 320, 240),
    )
    assert answer.code == 1
    assert answer.out.endswith(": 1 clips imported, 0 there already, 1 left out, 1 failed\n")
    *_, missing, failed = answer.err.splitlines()
    assert missing == "without a video: 1 clips, known by their names alone"
    assert failed.startswith(f"failed: {broken}, line 1 is not JSON")


def test_convert_fails_if_a_clip_does_and_writes_the_others(run: Run, tmp_path: Path) -> None:
    write_openpifpaf([make_clip("one"), make_clip("two", "run")], tmp_path / "in")
    (tmp_path / "in/broken.openpifpaf.json").write_text("")
    options = ("--size", 320, 240, "--target-layout", "penn-13")
    answer = run("convert", "openpifpaf", tmp_path / "in", "pyskl", tmp_path / "out.pkl", *options)
    assert (answer.code, answer.out) == (1, f"{tmp_path}/out.pkl: 2 clips written, 1 failed\n")
    assert "broken.openpifpaf.json is empty" in answer.err
    layouts = [clip.layout.name for clip in load_pyskl(tmp_path / "out.pkl")]
    assert layouts == ["penn-13", "penn-13"]


# Mistakes


def the_error(answer: Answer) -> str:
    """The one line on stderr; nothing is on stdout."""
    assert answer.code == 1
    assert answer.out == ""
    (line,) = answer.err.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "tpu"])
def test_an_unknown_device_is_named(run: Run, stage: Stage, device: str) -> None:
    answer = run("distill", *stage.options("config", "cache"), "--device", device)
    assert the_error(answer).startswith(f"cannot use device '{device}' (")
    assert the_error(answer).endswith("; try cpu")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["extract", "nowhere"], "nowhere does not exist; expected a video, a folder of videos, or a CSV"),
        (["extract", "nowhere", "-c", "papers"], "no config named 'papers'; expected a YAML file or one of"),
        (["extract", ".", "-c", "penn"], "penn.yaml has no section 'extraction'; found experiment"),
        (
            ["distill", "--cache", "nowhere"],
            "nowhere has 0 high settings (none); run `skdpipe extract` first",
        ),
        (["distill", "--set", "recipe.epoch=3"], "recipe.epoch is no setting; expected one of epochs"),
        (["distill", "--set", "epochs"], "cannot read the setting 'epochs'; expected key.path=value"),
        (
            ["predict", "x.mp4", "--models", "nowhere"],
            "no trained student under nowhere; run `skdpipe distill`",
        ),
        (["predict", "x.mp4", "--bundle", "[b].st"], "no bundle at [b].st; expected a file written by"),
        (["evaluate", "[b].st"], "no bundle at [b].st; expected a file written by"),
        (["evaluate", "a", "b", "--weights", "2", "1", "1"], "3 weights for 2 bundles; expected one weight"),
        (["import", "penn", "[/nowhere]"], "no .mat files in [/nowhere]; expected Penn Action's annotations"),
        (["import", "penn", ".", "--split", "xsub"], "penn cannot use --split: leave it out; expected --fps"),
        (["import", "pyskl", "[/x].pkl"], "no annotation pickle at [/x].pkl; expected a .pkl of PYSKL"),
        (["import", "coco", "x.json"], "no file at x.json; expected a JSON list of COCO's keypoint results"),
        (["import", "skd", ".", "--size", "0", "9"], "size 0 9; expected a width and a height in pixels"),
        (["import", "st-gcn", ".", "--skip", "no.txt"], "no.txt cannot be read"),
        (
            ["import", "openpifpaf", ".", "--videos", "none"],
            "none does not exist; expected a video, a folder",
        ),
        (
            ["convert", "cache", "pose_cache/high/x", "pyskl", "out.pkl"],
            "no sequences in pose_cache/high/x; expected a folder such as pose_cache/high/NAME",
        ),
        (
            ["convert", "cache", ".", "coco", "out.json", "--frames", "9"],
            "cache and coco cannot use --frames: leave it out; expected none",
        ),
        (
            ["convert", "cache", ".", "coco", "out.json", "--target-layout", "cocoa"],
            "no layout 'cocoa'; expected one of coco-17",
        ),
        (["train-pose", "demo", "x.safetensors"], "demonstration is no setting; expected one of backbone"),
        (["measure-pose", "-c", "nowhere.yaml"], "no config file at nowhere.yaml; expected YAML"),
        (["demo", "-c", "penn"], "penn.yaml has no section 'demonstration'; found experiment"),
    ],
)
def test_a_mistake_is_one_line_on_stderr(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in the_error(run(*arguments))
    assert not list(tmp_path.iterdir())


def test_a_missing_estimator_file_is_named(run: Run, distilled: Stage) -> None:
    answer = run("predict", distilled.unseen, *distilled.options("models"), "--estimator", "gone.yaml")
    assert the_error(answer) == "no config file at gone.yaml (No such file or directory); expected YAML"


def test_a_folder_that_cannot_be_written_is_named(run: Run, distilled: Stage, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where a folder should be")
    answer = run("distill", *distilled.options("config", "cache"), "--models", tmp_path / "models")
    assert the_error(answer).endswith(f"'{tmp_path / 'models' / 'run [1]'}'")


def test_a_missing_clip_is_named_before_any_is_labelled(run: Run, distilled: Stage) -> None:
    answer = run("predict", distilled.unseen, "gone.mp4", *distilled.options("models", "estimator"))
    assert (answer.code, answer.out) == (1, "")
    assert "error: gone.mp4 does not exist; expected a video" in answer.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["distil"],
        ["predict"],
        ["evaluate", "a", "--weights"],
        ["import", "vicon", "x"],
        ["distill", "--x"],
    ],
)
def test_a_command_that_cannot_be_read_is_exit_code_2(run: Run, arguments: list[str]) -> None:
    answer = run(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert "Error" in answer.err


INTERRUPTING = """
from moving_body import BoxEstimator
class Interrupting(BoxEstimator):
    def __call__(self, frames):
        raise KeyboardInterrupt
"""


def test_an_interruption_is_exit_code_130_and_says_how_to_go_on(
    run: Run, stage: Stage, tmp_path: Path
) -> None:
    (tmp_path / "plugin.py").write_text(INTERRUPTING)
    plugin = f"high.plugin={tmp_path}/plugin.py:Interrupting"
    options = [*stage.options("config"), "--cache", tmp_path / "cache", "--set", plugin]
    answer = run("extract", stage.videos, *options)
    assert (answer.code, answer.out) == (130, "")
    assert answer.err.endswith("interrupted; the same command goes on where it stopped\n")


# Help


@pytest.mark.parametrize(
    "command",
    [
        "", "extract", "import", "convert", "fit-noise", "distill", "finetune", "compare", "predict",
        "evaluate", "train-pose", "measure-pose", "demo",
    ],
)  # fmt: skip
def test_every_command_has_help(run: Run, command: str) -> None:
    answer = run(*[part for part in (command, "--help") if part])
    assert answer.code == 0
    assert "Usage: " in answer.out
    assert (f" {command} " if command else "COMMAND") in answer.out.split("Usage: ")[1].splitlines()[0]


HELP = """
import sys
from skdpipe.cli import main
sys.argv = ["skdpipe", *sys.argv[1:], "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code
heavy = {"torch", "numpy", "cv2", "av", "openpifpaf", "scipy"} & sys.modules.keys()
assert not heavy, heavy
"""


def test_help_imports_nothing_heavy() -> None:
    for command in ([], ["distill"]):
        done = subprocess.run(
            [sys.executable, "-c", HELP, *command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
