"""Footage on the command line: segments of long videos, files, refusals."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from moving_body import ACTIONS, SIZE, centres, write_action_video
from test_cli import CONFIG, NO_FOLDS, Run, run

from skdpipe.bundle import load_bundle, save_bundle
from skdpipe.video import probe, read_frames, write_video

__all__ = ["run"]
ALONG, UP = ACTIONS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a student of the two actions, and footage of both."""
    folder = tmp_path_factory.mktemp("footage")
    for action in ACTIONS:
        for number in range(6):
            write_action_video(folder / "videos" / action / f"{number}.mp4", action, number)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    (folder / "low.yaml").write_text(yaml.safe_dump(CONFIG["extraction"]["low"]), encoding="utf-8")
    write_footage(folder / "long.mp4")
    return folder


def write_footage(path: Path, pause: int = 24) -> Path:
    """Six seconds of each action with a pause before, between and after."""
    empty = np.full((SIZE[1], SIZE[0], 3), 20, np.uint8)
    frames = [empty] * pause
    for action in ACTIONS:
        for frame in range(72):
            left, top = np.rint(centres(action, 12, 0)[frame % 12] - (5, 12)).astype(int)
            image = empty.copy()
            image[top : top + 24, left : left + 10] = 240
            frames.append(image)
        frames += [empty] * pause
    write_video(path, frames, 12.0)
    return path


@pytest.fixture
def options(folder: Path, run: Run) -> list[str]:
    """The options of predict; the student is trained once."""
    cache, models = folder / "cache", folder / "models"
    config = ["--config", folder / "config.yaml"]
    assert run("extract", folder / "videos", *config, "--cache", cache).code == 0
    arguments = ["distill", *config, "--cache", cache, "--models", models, "--device", "cpu", *NO_FOLDS]
    assert run(*arguments).code == 0
    return ["--models", str(models), "--estimator", str(folder / "low.yaml"), "--runtime", "torch"]


def test_a_long_video_gets_segments_and_a_clip_one_label(folder: Path, options: list[str], run: Run) -> None:
    found = run("predict", folder / "long.mp4", *options)
    assert found.code == 0
    assert "windows: 1 s, every 0.25 s, people together" in found.err
    first, *segments = found.out.splitlines()
    assert first == f"{folder}/long.mp4: 0:00:18.0, 2 people"
    assert [line.split("  ")[-1].rsplit(" ", 1)[0] for line in segments if "(" not in line] == [ALONG, UP]
    assert sum("(no person)" in line for line in segments) == 3
    clip = run("predict", folder / "videos" / UP / "0.mp4", *options, "--top", 1)
    assert clip.out.startswith(f"{folder}/videos/{UP}/0.mp4: {UP} ")


def test_each_person_has_a_number(folder: Path, options: list[str], run: Run) -> None:
    found = json.loads(run("predict", folder / "long.mp4", *options, "--per-person", "--json").out)
    labelled = [each for each in found["segments"] if each["label"]]
    assert [(each["label"], each["person"]) for each in labelled] == [(ALONG, 0), (UP, 1)]
    assert [each["start"] for each in labelled] == pytest.approx([2, 10], abs=0.3)
    assert [each["end"] for each in labelled] == pytest.approx([8, 16], abs=0.3)
    assert [each["person"] for each in found["people"]] == [0, 1]
    left, top, right, bottom = labelled[0]["box"]
    assert (right - left, bottom - top) == (pytest.approx(10, abs=3), pytest.approx(24, abs=3))


def test_what_is_not_probable_is_unsure(folder: Path, options: list[str], run: Run) -> None:
    output = run("predict", folder / "long.mp4", *options, "--min-probability", 1)
    assert ALONG not in output.out
    assert "(unsure)" in output.out
    clip = run("predict", folder / "videos" / UP / "0.mp4", *options, "--min-probability", 1, "--json")
    found = json.loads(clip.out)
    assert (found["label"], found["reason"]) == (None, "unsure")
    assert set(found["probabilities"]) == set(ACTIONS)


def test_one_label_and_segments_can_be_forced(folder: Path, options: list[str], run: Run) -> None:
    assert run("predict", folder / "long.mp4", *options, "--one-label").out.count("\n") == 1
    short = run("predict", folder / "videos" / UP / "0.mp4", *options, "--segments")
    assert short.out.splitlines()[1].startswith(f"  0:00:00.0 - 0:00:01.0  {UP}")


def test_the_files_have_the_segments(folder: Path, options: list[str], run: Run, tmp_path: Path) -> None:
    files = {
        name: tmp_path / f"a.{ending}" for name, ending in (("csv", "csv"), ("vtt", "vtt"), ("elan", "eaf"))
    }
    overlay = tmp_path / "new" / "a.mp4"
    words = [word for name, path in files.items() for word in (f"--{name}", path)]
    found = run("predict", folder / "long.mp4", *options, "--per-person", *words, "--overlay", overlay)
    assert found.code == 0
    with files["csv"].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows if row["label"]] == [ALONG, UP]
    assert f"Person 1: {UP}" in files["vtt"].read_text()
    assert UP in {each.text for each in ElementTree.parse(files["elan"]).iter("ANNOTATION_VALUE")}
    assert probe(overlay).frames == probe(folder / "long.mp4").frames
    assert next(read_frames(overlay)).shape[1] >= 480  # enlarged, so that text is legible


def test_several_clips_have_a_folder_of_files(
    folder: Path, options: list[str], run: Run, tmp_path: Path
) -> None:
    clips = [folder / "long.mp4", *(folder / "videos" / action / "0.mp4" for action in ACTIONS)]
    one = run("predict", *clips, *options, "--vtt", tmp_path / "a.vtt")
    assert (one.code, one.out) == (1, "")
    assert "is one file, and there are several clips; name a folder" in one.err
    many = run("predict", *clips, *options, "--vtt", tmp_path / "subtitles", "--csv", tmp_path / "all.csv")
    assert many.code == 0
    assert sorted(path.name for path in (tmp_path / "subtitles").iterdir()) == [
        "0-2.vtt",
        "0.vtt",
        "long.vtt",
    ]
    with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as file:
        assert {row["source"] for row in csv.DictReader(file)} == {str(path) for path in clips}


def test_a_bad_clip_does_not_stop_the_others(
    folder: Path, options: list[str], run: Run, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    found = run("predict", bad, folder / "long.mp4", *options, "--csv", tmp_path / "a.csv")
    assert found.code == 1
    assert found.err.count("error: ") == 1
    assert f"{bad}: not a readable video" in found.err
    assert ALONG in (tmp_path / "a.csv").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--window", "0"], "a window of 0 s; expected more than 0 seconds"),
        (["--window", "1", "--stride", "2"], "a stride of 2 s with windows of 1 s leaves out frames"),
        (["--stride", "2"], "a stride of 2 s with windows of 1 s leaves out frames"),
        (["--window", "1", "--one-label"], "--one-label with --window"),
        (["--continual"], "--per-person"),
        (["--vtt", "labels.txt"], "'labels.txt': expected a file that ends in .vtt, or a folder"),
        (
            ["--overlay", "labels.avi"],
            "'labels.avi': expected a file that ends in .mp4, .mkv, .mov, or a folder",
        ),
    ],
)
def test_options_that_cannot_be_are_refused(
    folder: Path, options: list[str], run: Run, words: list[str], message: str
) -> None:
    found = run("predict", folder / "long.mp4", *options, *words)
    assert (found.code, found.out) == (1, "")
    assert message in found.err


def test_the_overlay_cannot_replace_its_video(folder: Path, options: list[str], run: Run) -> None:
    before = (folder / "long.mp4").read_bytes()
    found = run("predict", folder / "long.mp4", *options, "--overlay", folder / "long.mp4")
    assert found.code == 1
    assert "is the video itself" in found.err
    assert (folder / "long.mp4").read_bytes() == before


def test_a_bundle_of_an_earlier_version_gives_one_label_and_says_so(
    folder: Path, options: list[str], run: Run, tmp_path: Path
) -> None:
    bundle = load_bundle(next((folder / "models").glob("*/student.safetensors")))
    old = replace(bundle, metadata=replace(bundle.metadata, training_clips=None))
    save_bundle(old, tmp_path / "old.safetensors")
    found = run("predict", folder / "long.mp4", *options, "--bundle", tmp_path / "old.safetensors")
    assert found.out.count("\n") == 1
    assert "--window gives segments" in found.err
    windows = run(
        "predict", folder / "long.mp4", *options, "--bundle", tmp_path / "old.safetensors", "--window", 1
    )
    assert windows.out.count("\n") > 3


def test_continual_inference_gives_segments(folder: Path, options: list[str], run: Run) -> None:
    words = ["--per-person", "--continual", "--min-probability", 0, "--json"]
    found = json.loads(run("predict", folder / "long.mp4", *options, *words).out)
    assert {each["person"] for each in found["segments"]} == {None, 0, 1}
