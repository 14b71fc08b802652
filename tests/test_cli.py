"""The commands: output on stdout and stderr, exit codes, help, and names that look like markup."""

from __future__ import annotations

import csv
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from foreign_clips import make_clip
from moving_body import ACTIONS, BOX_PLUGIN, a_sequence, blurred, write_action_video

from skdpipe.cache import PoseCache
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
        "classical": False,
    },
}


class Output(NamedTuple):
    code: object
    out: str
    err: str


Run = Callable[..., Output]


TORCH = ("--runtime", "torch")
NO_FOLDS = ("--folds", "0")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line, in this process."""

    def run(*arguments: object) -> Output:
        monkeypatch.setattr(sys, "argv", ["skdpipe", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        return Output(end.value.code or 0, *capsys.readouterr())

    return run


class Stage(NamedTuple):
    """A folder with videos, their labels and a config; its names contain markup."""

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
                path = write_action_video(stage.folder / f"{action} [{number}].mp4", action, number)
                writer.writerow([path.name, LABELS[action], "train" if number < 4 else "test"])
    for number, action in enumerate(ACTIONS):
        write_action_video(stage.unseen / f"{number} [/red] :car:.mp4", action, 7)
    for name, settings in (("mine [v1].yaml", CONFIG), ("low.yaml", CONFIG["extraction"]["low"])):
        (stage.folder / name).write_text(yaml.safe_dump(settings), encoding="utf-8")
    return stage


@pytest.fixture
def distilled(stage: Stage, run: Run) -> Stage:
    """The stage with skeletons and networks; both commands do nothing if they exist."""
    assert run("extract", stage.videos, *stage.options("config", "cache")).code == 0
    assert run("distill", *stage.options("config", "cache", "models"), "--device", "cpu", *NO_FOLDS).code == 0
    return stage


# From videos to labels


def test_extract_prints_counts_and_skips_what_exists(stage: Stage, run: Run, tmp_path: Path) -> None:
    cache = tmp_path / "cache [/b]"
    first, again = (
        run("extract", stage.videos, *stage.options("config"), "--cache", cache) for _ in range(2)
    )
    assert (first.code, again.code) == (0, 0)
    extracted, matched = first.out.splitlines()
    assert extracted == f"{cache}: 12 videos extracted, 0 already present, 0 failed"
    assert matched.startswith("people matched between the qualities: 12 of 12, mean OKS 0.")
    assert again.out.splitlines() == [f"{cache}: 0 videos extracted, 12 already present, 0 failed"]


def test_extract_fails_if_a_video_fails_and_prints_its_path(stage: Stage, run: Run, tmp_path: Path) -> None:
    (tmp_path / "[bold]broken.mp4").write_bytes(b"no video")
    write_action_video(tmp_path / "empty [1].mp4", "")
    output = run("extract", tmp_path, *stage.options("config"), "--cache", tmp_path / "cache")
    assert output.code == 1
    assert "1 videos extracted, 0 already present, 1 failed" in output.out
    assert f"failed: {tmp_path}/[bold]broken.mp4: not a readable video" in output.err
    assert f"no person detected: {tmp_path}/empty [1].mp4\n" in output.err


def test_a_truncated_video_is_extracted_with_a_warning(distilled: Stage, run: Run, tmp_path: Path) -> None:
    path = write_action_video(tmp_path / "clip.mkv", ACTIONS[0], 7, frames=60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    output = run("extract", path, *distilled.options("config"), "--cache", tmp_path / "cache")
    assert (output.code, output.out.splitlines()[0]) == (
        0,
        f"{tmp_path}/cache: 1 videos extracted, 0 already present, 0 failed",
    )
    short = rf"warning: {path}: \d\.\d s of video \(\d+ frames\), but the container states 5\.0 s; "
    assert re.search(short, output.err)
    predicted = run("predict", path, *distilled.options("models", "estimator"))
    assert predicted.code == 0
    assert re.search(short, predicted.err)
    assert predicted.out.startswith(f"{path}: [")


def test_distill_prints_the_table(distilled: Stage, run: Run) -> None:
    output = run("distill", *distilled.options("config", "cache", "models"), *NO_FOLDS)
    assert output.code == 0
    assert "models :x:/run [1]" in " ".join(output.out.split())
    rows = {line.split("│")[1].strip(): line for line in output.out.splitlines() if line.startswith("│")}
    assert list(rows) == ["HQS-T", "LQS-S", "SKD"]
    assert "100.00" in rows["HQS-T"]
    assert all(re.search(r" [\d.]+ \[[\d.]+, [\d.]+\] +│$", line) for line in rows.values())
    assert "2 classes, 8 training clips, 4 test clips, chance 50.0 %" in output.out


def test_profile_prints_stages_networks_and_the_answer_to_a_budget(
    distilled: Stage, run: Run, tmp_path: Path
) -> None:
    clip = next(distilled.unseen.rglob("*.mp4"))
    options = [*distilled.options("config", "models"), "--device", "cpu", "--rounds", 2, "--output", tmp_path]
    output = run("profile", clip, *options, "--budget", "10s")
    assert output.code == 0
    assert f"{clip}: 12 frames of 64x48, 1.00 s at 12 fps; " in output.out
    for stage in ("video decoding", "estimator", "tracking", "whole"):
        assert len(re.findall(rf"│ {stage} +│ [\d.]+ \[[\d.]+, [\d.]+\] ", output.out)) == 2
    assert "the most accurate within 10000 ms a frame: run [1] " in output.out
    assert f"written: {tmp_path}/profile.json, {tmp_path}/profile.png" in output.out
    output = run("profile", clip, *options, "--quality", "low", "--budget", "0.001ms", "--json")
    found = json.loads(output.out)
    assert [each["name"] for each in found["networks"]] == ["run [1] LQS-S", "run [1] SKD"]
    assert found["budget"]["answers"][0]["best"] is None
    assert "left out: " in output.err
    assert "teacher.safetensors: the bundle's estimator is code outside skdpipe" in " ".join(
        output.err.split()
    )


def test_few_test_clips_are_cross_validated(stage: Stage, run: Run, tmp_path: Path) -> None:
    assert run("extract", stage.videos, *stage.options("config", "cache")).code == 0
    options = [*stage.options("config", "cache"), "--models", tmp_path, "--set", "methods=[teacher]"]
    output = run("distill", *options, "--set", "classical=true")
    assert output.code == 0
    rows = {line.split("│")[1].strip(): line for line in output.out.splitlines() if line.startswith("│")}
    assert [title for title in rows if title] == ["HQS-T", "forest, high", "forest, low"]  # some are wrapped
    assert "2 classes, 8 training clips, each of 12 clips tested once, chance 50.0 %" in output.out
    assert "are those of the split: 8 training and 4 test clips" in " ".join(output.out.split())
    assert len(list((tmp_path / "run [1]/folds").iterdir())) == 5


def test_the_results_are_printed_if_the_default_cross_validation_is_impossible(
    run: Run, stage: Stage, tmp_path: Path
) -> None:
    cache = PoseCache(tmp_path / "cache")
    for action in ACTIONS:  # one of the two subjects performs one action alone
        for number in range(4):
            subject = "anna" if action == ACTIONS[0] or number < 2 else "ben"
            sequence = a_sequence(action, number, subject=subject, split="train" if number % 2 else "test")
            cache.save(sequence, "high", "eyes-1")
            cache.save(blurred(sequence), "low", "squint-1")
    options = [*stage.options("config"), "--cache", cache.root, "--models", tmp_path / "models"]
    output = run("distill", *options, "--set", "methods=[teacher]")
    assert output.code == 0
    assert "│ HQS-T │" in output.out
    assert "not cross-validated: " in output.err
    assert "no training clip of sideways" in " ".join(output.err.split())
    assert run("distill", *options, "--set", "methods=[teacher]", "--folds", 2).code == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--folds", "1"], "--folds 1: a cross-validation has two or more parts, or 0 for none"),
        (["--folds", "2", "--teacher", "x"], "leave out --folds or --teacher"),
        (["--log", "csv", "--log", "x\x1b\n"], r"unknown log 'x\x1b\n'; expected csv or tensorboard"),
    ],
)
def test_impossible_options_are_refused(run: Run, stage: Stage, options: list[str], expected: str) -> None:
    output = run("distill", *stage.options("config", "cache"), *options)
    assert (output.code, output.out) == (1, "")
    assert expected in output.err


def test_predict_prints_the_label(distilled: Stage, run: Run) -> None:
    output = run("predict", distilled.unseen, *distilled.options("models", "estimator"), "--top", 1, *TORCH)
    assert output.code == 0
    lines = output.out.splitlines()
    assert len(lines) == 2
    for line, (number, action) in zip(lines, enumerate(ACTIONS), strict=True):
        path = distilled.unseen / f"{number} [/red] :car:.mp4"
        assert re.fullmatch(re.escape(f"{path}: {LABELS[action]} ") + r"[01]\.\d{3}", line)
    bundle = distilled.folder / "models :x:/run [1]/student.safetensors"
    assert output.err == f"bundle: {bundle}, runtime: torch\n"


def test_json_is_the_only_output_on_stdout(distilled: Stage, run: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    write_action_video(tmp_path / "empty.mp4", "")
    bundle = distilled.folder / "models :x:/run [1]/baseline.safetensors"
    options = ["--bundle", bundle, *distilled.options("estimator"), "--json"]
    output = run("predict", distilled.unseen, tmp_path, *options)
    assert output.code == 1
    first, second, broken, empty = (json.loads(line) for line in output.out.splitlines())
    assert first["source"] == str(distilled.unseen / "0 [/red] :car:.mp4")
    assert (first["label"], second["label"]) == tuple(LABELS.values())
    assert (first["people"], first["frames"]) == (1, 6)
    assert set(first["probabilities"]) == set(LABELS.values())
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    assert broken.keys() == {"source", "error"}
    assert "not a readable video" in broken["error"]
    assert (empty["label"], empty["probabilities"], empty["people"]) == (None, {}, 0)
    assert output.err == f"error: {broken['error']}\n"


def test_a_clip_without_people_has_no_label(distilled: Stage, run: Run, tmp_path: Path) -> None:
    path = write_action_video(tmp_path / "empty.mp4", "")
    output = run("predict", path, *distilled.options("models", "estimator"))
    assert (output.code, output.out) == (0, f"{path}: no person found in 6 frames\n")


def test_another_estimator_can_be_given(distilled: Stage, run: Run, tmp_path: Path) -> None:
    estimator = tmp_path / "mine.yaml"
    estimator.write_text(yaml.safe_dump({"plugin": BOX_PLUGIN}))
    path = write_action_video(tmp_path / "clip.mp4", ACTIONS[0], 8)
    output = run("predict", path, *distilled.options("models"), "--estimator", estimator, "--json")
    assert output.code == 0
    assert json.loads(output.out)["frames"] == 12


def test_file_names_that_are_not_utf8_are_printed_readably(distilled: Stage, tmp_path: Path) -> None:
    path = tmp_path / "plain.mp4"
    not_utf8 = tmp_path / "caf\udce9.mp4"
    write_action_video(path, ACTIONS[0], 7).rename(not_utf8)
    command = [
        sys.executable,
        "-m",
        "skdpipe",
        "predict",
        str(not_utf8),
        *distilled.options("models", "estimator"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.startswith(f"{tmp_path}/caf\\udce9.mp4: ")) == (0, True)


def test_evaluate_prints_each_bundle_and_the_fusion(distilled: Stage, run: Run) -> None:
    folder = distilled.folder / "models :x:/run [1]"
    bundles = [folder / f"{method}.safetensors" for method in ("teacher", "baseline", "student")]
    output = run("evaluate", *bundles, "--weights", 2, 1.5, 0, *distilled.options("cache"))
    assert output.code == 0
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in output.out.splitlines() if "│" in line
    ]
    assert [row[0].split()[-1] for row in rows if row[2]] == ["[1]/teacher", "[1]/baseline", "[1]/student"]
    assert [row[2] for row in rows if row[2]] == ["2", "1.5", "0"]
    assert rows[0][3] == "100.00"
    assert rows[-1][0] == "fused"
    assert output.out.splitlines()[-1] == "4 test clips"


@pytest.mark.parametrize(
    "spelling", ["{0} {1} --weights 1 0", "--weights 1 0 {0} {1}", "{0} --weights 1 --weights 0 {1}"]
)
def test_weights_may_follow_one_option_or_several(
    distilled: Stage, run: Run, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    monkeypatch.chdir(distilled.folder / "models :x:/run [1]")
    monkeypatch.setenv("SKDPIPE_CACHE", distilled.options("cache")[1])
    output = run("evaluate", *spelling.format("teacher.safetensors", "baseline.safetensors").split())
    rows = [line.split("│")[3].strip() for line in output.out.splitlines() if line.startswith("│")]
    assert (output.code, [row for row in rows if row]) == (0, ["1", "0"])


def test_one_bundle_is_tested_on_the_given_quality_without_fusion(distilled: Stage, run: Run) -> None:
    bundle = distilled.folder / "models :x:/run [1]/baseline.safetensors"
    (high,) = (distilled.folder / "cache [/b]/high").iterdir()
    output = run("evaluate", bundle, "--quality", "high", "--high", high.name, *distilled.options("cache"))
    assert output.code == 0
    assert "fused" not in output.out
    assert "high," in output.out
    output = run("evaluate", bundle, "--low", "gone", *distilled.options("cache"))
    assert "has no low settings 'gone'; found" in the_error(output)


# Skeletons from elsewhere


def test_import_and_convert_print_counts(run: Run, tmp_path: Path) -> None:
    clips = [make_clip("one [1]", "sit", "train"), make_clip("two", "run", "val")]
    write_pyskl(clips, tmp_path / "set.pkl")
    names = tmp_path / "set.classes.txt"
    options = ["--as", "low", "--cache", tmp_path / "cache", "--labels", names]
    first = run("import", "pyskl", tmp_path / "set.pkl", *options)
    assert (first.code, first.err.splitlines()) == (0, [])
    (folder,) = (tmp_path / "cache/low").iterdir()
    assert first.out == f"{folder}: 2 clips imported, 0 already present, 0 failed\n"
    again = run("import", "pyskl", tmp_path / "set.pkl", *options)
    assert again.out == f"{folder}: 0 clips imported, 2 already present, 0 failed\n"
    written = run("convert", "cache", folder, "openpifpaf", tmp_path / "json [2]")
    assert (written.code, written.out) == (0, f"{tmp_path}/json [2]: 2 clips written, 0 failed\n")
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json"))
    assert found == [
        "json [2]/train/sit/one [1].openpifpaf.json",
        "json [2]/val/run/two.openpifpaf.json",
    ]


def test_import_prints_what_changed_and_what_is_left_out(run: Run, tmp_path: Path) -> None:
    def pickled(*labels: str, people: int = 2) -> None:
        clips = [make_clip(f"{n}", label, "train", people=people) for n, label in enumerate(labels)]
        write_pyskl(clips, tmp_path / "set.pkl", classes=("sit", "run"))
        content = pickle.loads((tmp_path / "set.pkl").read_bytes())
        content["split"] = {"train": ["0", "1", "gone"], "val": []}
        (tmp_path / "set.pkl").write_bytes(pickle.dumps(content))

    command = ("import", "pyskl", tmp_path / "set.pkl", "--cache", tmp_path / "cache")
    folder = tmp_path / "cache/high/pyskl"
    notes = [
        "note: 1 clips are in no split of the pair and are left out",
        "note: 1 names of the split have no clip",
    ]
    pickled("sit", "run", "run")
    first = run(*command)
    assert first.out == f"{folder}: 2 clips imported, 0 already present, 0 failed\n"
    assert (first.code, first.err.splitlines()[-2:]) == (0, notes)
    pickled("run", "run", "run")
    assert run(*command).out == f"{folder}: 0 clips imported, 2 already present, 1 labels changed, 0 failed\n"
    pickled("run", "run", "run", people=1)
    assert run(*command).out == f"{folder}: 0 clips imported, 0 already present, 2 replaced, 0 failed\n"


def test_import_prints_the_clips_that_failed(run: Run, tmp_path: Path) -> None:
    write_openpifpaf([make_clip("one"), make_clip("two")], tmp_path / "in")
    broken = tmp_path / "in/sit/[red].json.openpifpaf.json"
    broken.write_text("none")
    (tmp_path / "skip.txt").write_text("two\n")
    write_action_video(tmp_path / "videos/one.mp4", ACTIONS[0])
    output = run(
        "import",
        "openpifpaf",
        tmp_path / "in",
        *("--cache", tmp_path / "cache", "--skip", tmp_path / "skip.txt", "--videos", tmp_path / "videos"),
        *("--size", 320, 240),
    )
    assert output.code == 1
    assert output.out.endswith(": 1 clips imported, 0 already present, 1 left out, 1 failed\n")
    *_, missing, failed = output.err.splitlines()
    assert missing == "without a video: 1 clips, identified by their names"
    assert failed.startswith(f"failed: {broken}, line 1 is not JSON")


def test_convert_fails_if_a_clip_fails_and_writes_the_others(run: Run, tmp_path: Path) -> None:
    write_openpifpaf([make_clip("one"), make_clip("two", "run")], tmp_path / "in")
    (tmp_path / "in/broken.openpifpaf.json").write_text("")
    options = ("--size", 320, 240, "--target-layout", "penn-13")
    output = run("convert", "openpifpaf", tmp_path / "in", "pyskl", tmp_path / "out.pkl", *options)
    assert (output.code, output.out) == (1, f"{tmp_path}/out.pkl: 2 clips written, 1 failed\n")
    assert "broken.openpifpaf.json is empty" in output.err
    layouts = [clip.layout.name for clip in load_pyskl(tmp_path / "out.pkl")]
    assert layouts == ["penn-13", "penn-13"]


# Settings


def test_config_show_prints_yaml_with_documentation(run: Run) -> None:
    output = run("config", "show", "demo", "--section", "experiment", "--set", "recipe.epochs=3")
    assert (output.code, output.err) == (0, "")
    assert yaml.safe_load(output.out)["experiment"]["recipe"]["epochs"] == 3
    assert "    # Number of passes over the training clips.\n    epochs: 3  # integer > 0" in output.out


def test_config_list_prints_every_config(run: Run) -> None:
    output = run("config", "list")
    assert output.code == 0
    names = {line.split()[0] for line in output.out.splitlines() if line.strip()}
    assert {"demo", "paper", "published", "penn-scenarios"} <= names


def test_config_schema_prints_json(run: Run) -> None:
    whole, part = run("config", "schema"), run("config", "schema", "extraction")
    assert json.loads(whole.out)["properties"].keys() >= {"extraction", "experiment", "comparison"}
    assert json.loads(part.out)["required"] == ["high", "low"]


def test_the_default_config_can_be_set_by_an_environment_variable(
    stage: Stage, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SKDPIPE_CONFIG", stage.options("config")[1])
    output = run("distill", "--cache", tmp_path / "empty", "--set", "clip.fill=x")
    assert "mine [v1].yaml: experiment: clip.fill: found 'x'" in the_error(output)


def test_a_renamed_setting_is_one_line_of_warning(stage: Stage, run: Run, tmp_path: Path) -> None:
    config = tmp_path / "old [name].yaml"
    config.write_text("experiment: {distillation: {fresh_views: true, kept_megabytes: 5}}")
    output = run("config", "show", config, "--set", "experiment.distillation.kept_megabytes=7")
    assert output.code == 0
    assert yaml.safe_load(output.out)["experiment"]["distillation"]["teacher_cache_megabytes"] == 7
    first, second, third = output.err.splitlines()
    assert first == f"warning: {config}: the setting fresh_views is now called resample_degradation"
    assert second == f"warning: {config}: the setting kept_megabytes is now called teacher_cache_megabytes"
    assert third.startswith("warning: setting 'distillation.kept_megabytes=7': the setting kept_megabytes is")


# Mistakes


def the_error(output: Output) -> str:
    """The one line on stderr; stdout is empty."""
    assert output.code == 1
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "tpu"])
def test_the_message_contains_an_unknown_device(run: Run, stage: Stage, device: str) -> None:
    output = run("distill", *stage.options("config", "cache"), "--device", device)
    assert the_error(output).startswith(f"cannot use device '{device}' (")
    assert the_error(output).endswith("; try cpu")


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
            "no sequences in pose_cache/high/x; expected a file NAME.safetensors or a folder such as",
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


def test_the_message_contains_a_missing_estimator_file(run: Run, distilled: Stage) -> None:
    output = run("predict", distilled.unseen, *distilled.options("models"), "--estimator", "gone.yaml")
    assert the_error(output) == "no config file at gone.yaml; expected YAML"


def test_the_message_contains_a_folder_without_write_access(
    run: Run, distilled: Stage, tmp_path: Path
) -> None:
    (tmp_path / "models").write_text("a file where a folder should be")
    output = run("distill", *distilled.options("config", "cache"), "--models", tmp_path / "models")
    assert f"{tmp_path / 'models'}: file exists; expected a place" in the_error(output)


def test_a_missing_clip_is_an_error_after_the_others_are_labelled(run: Run, distilled: Stage) -> None:
    options = distilled.options("models", "estimator")
    output = run("predict", "gone.mp4", distilled.unseen, *options)
    assert (output.code, len(output.out.splitlines())) == (1, 2)
    assert output.err.splitlines()[-1].startswith("error: gone.mp4 does not exist; expected a video")
    *_, gone = (
        json.loads(line)
        for line in run("predict", "gone.mp4", distilled.unseen, *options, "--json").out.splitlines()
    )
    assert gone["source"] == "gone.mp4"
    assert "does not exist" in gone["error"]


def test_extract_takes_several_paths_and_names_those_without_videos(
    stage: Stage, run: Run, tmp_path: Path
) -> None:
    for number, action in enumerate(ACTIONS):
        write_action_video(tmp_path / action / f"{number}.mp4", action, number)
    (tmp_path / "empty").mkdir()
    paths = [tmp_path / "gone", *(tmp_path / action for action in ACTIONS), tmp_path / "empty"]
    output = run("extract", *paths, *stage.options("config"), "--cache", tmp_path / "cache")
    assert output.code == 1
    assert ": 2 videos extracted, 0 already present, 0 failed" in output.out
    gone, empty = output.err.splitlines()[-2:]
    assert gone.startswith(f"error: {tmp_path}/gone does not exist; expected")
    assert empty.startswith(f"error: {tmp_path}/empty holds no videos; expected")


def test_extract_prints_what_is_left_out_and_the_labels_that_changed(
    stage: Stage, run: Run, tmp_path: Path
) -> None:
    options = [*stage.options("config"), "--cache", tmp_path / "cache"]
    write_action_video(tmp_path / "videos/train/wave/a.mp4", ACTIONS[0])
    write_action_video(tmp_path / "videos/stray.mp4", ACTIONS[1])
    output = run("extract", tmp_path / "videos", *options)
    assert (output.code, output.out.splitlines()[0]) == (
        0,
        f"{tmp_path}/cache: 1 videos extracted, 0 already present, 0 failed",
    )
    assert f"left out: {tmp_path}/videos/stray.mp4: beside the folders of splits (train)\n" in output.err
    (tmp_path / "videos/train/wave").rename(tmp_path / "videos/train/push")
    output = run("extract", tmp_path / "videos", *options)
    assert (
        output.out == f"{tmp_path}/cache: 0 videos extracted, 1 already present, 1 labels changed, 0 failed\n"
    )


def test_an_unknown_split_is_refused_before_the_extraction(stage: Stage, run: Run, tmp_path: Path) -> None:
    for split in ("train", "trian"):
        write_action_video(tmp_path / f"videos/{split}/wave/a.mp4", ACTIONS[0])
    output = run("extract", tmp_path / "videos", *stage.options("config"), "--cache", tmp_path / "cache")
    assert the_error(output).startswith(
        f"{tmp_path}/videos contains train, a split, and trian, which is none"
    )
    assert not (tmp_path / "cache").exists()


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
    output = run(*arguments)
    assert (output.code, output.out) == (2, "")
    assert "Error" in output.err


INTERRUPTING = """
from moving_body import BoxEstimator
class Interrupting(BoxEstimator):
    def __call__(self, frames):
        raise KeyboardInterrupt
"""


def test_an_interruption_is_exit_code_130_with_a_hint(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text(INTERRUPTING)
    plugin = f"high.plugin={tmp_path}/plugin.py:Interrupting"
    options = [*stage.options("config"), "--cache", tmp_path / "cache", "--set", plugin]
    command = [sys.executable, "-m", "skdpipe", "extract", stage.videos, *options]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.endswith("interrupted; the same command continues where it stopped\n")


# Help


@pytest.mark.parametrize(
    "command",
    [
        "", "extract", "import", "convert", "fit-noise", "layouts", "info", "distill", "finetune",
        "compare", "predict", "evaluate", "report", "profile", "train-pose", "measure-pose", "pose-weights",
        "config", "demo", "app", "doctor",
    ],
)  # fmt: skip
def test_every_command_has_help(run: Run, command: str) -> None:
    output = run(*[part for part in (command, "--help") if part])
    assert output.code == 0
    assert "Usage: " in output.out
    assert (f" {command} " if command else "COMMAND") in output.out.split("Usage: ")[1].splitlines()[0]


def test_help_has_panels_in_the_order_of_the_pipeline(run: Run) -> None:
    text = run("--help").out
    panels = re.findall(r"╭─ ([A-Z][a-z ]+) ─", text)
    assert panels == [
        "Options", "Everyday", "Skeletons from elsewhere", "Experiments", "Pose estimators", "Settings",
    ]  # fmt: skip
    commands = re.findall(r"^│ ([a-z-]+) ", text, re.MULTILINE)
    assert [each for each in commands if not each.startswith("-")] == [
        "extract", "check", "distill", "predict", "export", "info", "demo", "app", "import", "convert",
        "fit-noise", "layouts", "finetune", "evaluate", "compare", "report", "profile", "train-pose",
        "measure-pose", "pose-weights", "doctor", "cache", "config",
    ]  # fmt: skip


def test_the_version_is_that_of_the_package(run: Run) -> None:
    output = run("--version")
    assert (output.code, output.out) == (0, f"skdpipe {version('skdpipe')}\n")


@pytest.mark.parametrize(
    "words", ["distill --config pen", "config show pen", "predict x.mp4 --estimator pen"]
)
def test_names_of_configs_are_completed(words: str) -> None:
    environment = os.environ | {
        "_SKDPIPE_COMPLETE": "complete_bash",
        "COMP_WORDS": f"skdpipe {words}",
        "COMP_CWORD": str(len(words.split())),
    }
    code = "import sys; sys.argv = ['skdpipe']; from skdpipe.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert {"penn", "penn-scenarios"} <= set(done.stdout.split())
    assert all(name.startswith("pen") for name in done.stdout.split())


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
    for command in ([], ["distill"], ["config", "show"]):
        done = subprocess.run(
            [sys.executable, "-c", HELP, *command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
