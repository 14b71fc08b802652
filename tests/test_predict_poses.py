"""`skdpipe predict` of skeleton files: the labels of `load_poses` and `Predictor.predict`, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from moving_body import ACTIONS, BOX_PLUGIN, SIZE, a_sequence, write_action_video
from test_formats_kinect import write_nw_ucla, write_utd_mhad
from test_formats_ntu import body
from test_formats_ntu import written as write_ntu
from test_formats_penn import written as write_penn

from skdpipe.bundle import Bundle, build_network, save_bundle
from skdpipe.cli import main
from skdpipe.config import ClipFormat, NetworkChoice
from skdpipe.errors import BundleError, DataError
from skdpipe.formats import load_poses, save_poses
from skdpipe.inference import BundleMetadata, TrainingClips
from skdpipe.predict import load_predictor
from skdpipe.skeleton import OPENPOSE_18, PoseSequence, map_layout

CLIPS = [a_sequence(ACTIONS[number % 2], number) for number in range(2)]
TORCH = ("--runtime", "torch")


class Output(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Output]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``skdpipe predict``, in this process."""

    def run(*arguments: object) -> Output:
        monkeypatch.setattr(sys, "argv", ["skdpipe", "predict", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        return Output(end.value.code or 0, *capsys.readouterr())

    return run


def a_student(folder: Path, layout: str = "coco-17", coordinates: int = 2) -> Path:
    """A student with random weights, trained on imported skeletons by its own account."""
    torch.manual_seed(0)
    scale = "image" if coordinates == 2 else "body"
    clip = ClipFormat(frames=8, layout=layout, coordinates=coordinates, scale=scale)
    choice = NetworkChoice("st_2sgcn", width=4)
    clips = TrainingClips(1.0, 1.0, 1.0, 1.0, 12.0, 1, 0.0, 1.0, 1.0)
    metadata = BundleMetadata(choice, ACTIONS, clip, "eyes", training_clips=clips)
    path = folder / f"{layout}-{coordinates}.safetensors"
    save_bundle(Bundle(build_network(choice, clip, len(ACTIONS)), metadata), path)
    return path


def lines_of(output: Output) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.out.splitlines()]


# Every format


class Example(NamedTuple):
    """Files of a format, the options for reading them, and the layout and coordinates of a student."""

    write: Callable[[Path], Path]
    options: Mapping[str, Any] = MappingProxyType({})
    layout: str = "coco-17"
    coordinates: int = 2


def saved(format: str, name: str = "", clips: list[PoseSequence] = CLIPS) -> Callable[[Path], Path]:  # noqa: A002
    def write(folder: Path) -> Path:
        save_poses(clips, folder / name, format, **({"frames": 12} if format == "st-gcn" else {}))
        return folder / name

    return write


def _skd(folder: Path) -> Path:
    keypoints = np.nan_to_num(CLIPS[0].keypoints)
    np.save(folder / "wave.npy", np.transpose(keypoints, (2, 3, 0, 1)))
    return folder / "wave.npy"


OPENPOSE_CLIPS = [map_layout(clip, OPENPOSE_18) for clip in CLIPS]
SIZED = {"size": SIZE}
EXAMPLES = {
    "cache file": Example(saved("cache", "walk.safetensors", CLIPS[:1])),
    "cache folder": Example(saved("cache", "low/set")),
    "pyskl": Example(saved("pyskl", "set.pkl")),
    "coco": Example(saved("coco", "poses.json")),
    "openpifpaf": Example(saved("openpifpaf", "lines"), SIZED),
    "openpose": Example(saved("openpose", "frames", OPENPOSE_CLIPS), SIZED, "openpose-18"),
    "kinetics": Example(saved("kinetics", "clips", OPENPOSE_CLIPS), SIZED, "openpose-18"),
    "st-gcn": Example(saved("st-gcn", "arrays"), SIZED),
    "skd": Example(_skd, SIZED),
    "penn": Example(write_penn, {}, "penn-13"),
    "ntu": Example(lambda folder: write_ntu(folder, [body(1, 1.0)], [body(1, 2.0)]), {}, "ntu-25"),
    "ntu in space": Example(
        lambda folder: write_ntu(folder, [body(1, 1.0)], [body(1, 2.0)]), {"space": "camera"}, "ntu-25", 3
    ),
    "nw-ucla": Example(write_nw_ucla, {}, "kinect-20", 3),
    "utd-mhad": Example(write_utd_mhad, {}, "kinect-20", 3),
}


def as_arguments(options: Mapping[str, Any]) -> list[object]:
    return [
        word
        for name, value in options.items()
        for word in (f"--{name}", *(value if isinstance(value, tuple) else (value,)))
    ]


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_format_gets_the_labels_of_its_sequences(run: Run, tmp_path: Path, name: str) -> None:
    example = EXAMPLES[name]
    (tmp_path / "in").mkdir()
    path = example.write(tmp_path / "in")
    student = a_student(tmp_path, example.layout, example.coordinates)
    output = run(path, "--bundle", student, "--json", *as_arguments(example.options), *TORCH)
    predictor = load_predictor(student, poses_only=True, runtime="torch")
    expected = [predictor.predict(clip) for clip in load_poses(path, **example.options)]
    assert [
        (line["source"], line["label"], line["probabilities"], line["frames"]) for line in lines_of(output)
    ] == [(each.source, each.label, dict(each.probabilities), each.frames) for each in expected]
    assert output.code == 0
    assert expected
    assert len({each.source for each in expected}) == len(expected)


def test_skeletons_are_labelled_without_torch(tmp_path: Path) -> None:
    """In one process for all formats: what one of them imports is imported."""
    students = {}
    commands = []
    for number, example in enumerate(EXAMPLES.values()):
        (tmp_path / str(number)).mkdir()
        kind = (example.layout, example.coordinates)
        if kind not in students:
            students[kind] = a_student(tmp_path, *kind)
            load_predictor(students[kind], poses_only=True, runtime="onnx")  # exports the network
        path = example.write(tmp_path / str(number))
        options = as_arguments(example.options)
        commands.append(
            [str(word) for word in (path, "--bundle", students[kind], "--runtime", "onnx", *options)]
        )
    code = """
import json, sys
from skdpipe.cli import main
for command in json.loads(sys.argv[1]):
    sys.argv = ["skdpipe", "predict", *command]
    try:
        main()
    except SystemExit as end:
        assert not end.code, command
heavy = {"torch", "openpifpaf", "rtmlib", "scipy", "openvino"} & sys.modules.keys()
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(commands)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len({line.split(": ")[0] for line in done.stdout.splitlines()}) >= len(EXAMPLES)


# What is refused


def test_a_clip_that_cannot_be_read_is_a_line_and_the_others_are_labelled(run: Run, tmp_path: Path) -> None:
    save_poses(CLIPS, tmp_path / "in", "openpifpaf")
    (tmp_path / "in/bad.openpifpaf.json").write_text("broken")
    (tmp_path / "gone").mkdir()
    student = a_student(tmp_path)
    arguments = (tmp_path / "gone", tmp_path / "in", "--bundle", student, "--size", *SIZE, *TORCH)
    output = run(*arguments)
    good = sorted((tmp_path / "in").rglob("*[0-9].openpifpaf.json"))
    assert output.code == 1
    assert [line.split(": ")[0] for line in output.out.splitlines()] == [str(path) for path in good]
    _, note, bad, empty = output.err.splitlines()
    assert note == (
        "note: poses by openpifpaf json; the student was trained on poses by eyes; accuracy may be lower"
    )
    assert bad.startswith(f"error: {tmp_path}/in/bad.openpifpaf.json, line 1 is not JSON")
    assert empty.startswith(f"error: {tmp_path}/gone holds no videos; expected files")
    *labelled, first, last = lines_of(run(*arguments, "--json"))
    assert [line["source"] for line in labelled] == [str(path) for path in good]
    assert (first["source"], f"error: {first['error']}") == (str(tmp_path / "in"), bad)
    assert (last["source"], f"error: {last['error']}") == (str(tmp_path / "gone"), empty)


def test_skeletons_of_the_students_estimator_have_no_note(run: Run, tmp_path: Path) -> None:
    save_poses(CLIPS[:1], tmp_path / "walk.safetensors")  # by eyes, as the student's
    output = run(tmp_path / "walk.safetensors", "--bundle", a_student(tmp_path), *TORCH)
    assert output.code == 0
    assert output.out.startswith(f"{CLIPS[0].origin.source}: ")
    assert [line.split(":")[0] for line in output.err.splitlines()] == ["bundle"]


def test_joints_and_coordinates_that_do_not_fit_are_refused_with_the_reason(run: Run, tmp_path: Path) -> None:
    penn = write_penn(tmp_path / "penn")
    student = a_student(tmp_path)
    output = run(penn, "--bundle", student, *TORCH)
    assert (output.code, output.out) == (1, "")
    assert output.err.splitlines()[-1] == (
        f"error: {penn}: layout penn-13 has no nose, left_eye, right_eye, left_ear, right_ear, which coco-17 "
        "needs; provide skeletons that have them, or train on layout penn-13"
    )
    in_space = a_student(tmp_path, "ntu-25", 3)
    ntu = write_ntu(tmp_path, [body(1, 1.0)])
    expected = f"error: {ntu} have 2 coordinates, but the network was trained on 3; use skeletons of the same"
    assert run(ntu, "--bundle", in_space, *TORCH).err.splitlines()[-1].startswith(expected)
    flat = a_student(tmp_path, "ntu-25")
    output = run(ntu, "--bundle", flat, "--space", "camera", *TORCH)
    assert "have 3 coordinates, but the network was trained on 2" in output.err


def test_what_the_file_lacks_must_be_given(run: Run, tmp_path: Path) -> None:
    save_poses(CLIPS[:1], tmp_path / "lines", "openpifpaf")
    output = run(tmp_path / "lines", "--bundle", a_student(tmp_path), *TORCH)
    assert output.code == 1
    assert "does not contain the frame size; give --size WIDTH HEIGHT" in output.err
    (path,) = (tmp_path / "lines").rglob("*.json")
    video = write_action_video(tmp_path / "videos" / f"{path.name.split('.')[0]}.mp4", ACTIONS[0])
    assert run(path, "--bundle", a_student(tmp_path), "--videos", video.parent, *TORCH).code == 0


@pytest.mark.parametrize(
    ("path", "options", "expected"),
    [
        ("walk.safetensors", ["--size", 3, 3], "cache cannot use --size: leave it out; expected none"),
        ("clip.mp4", ["--fps", 3], "--fps is for skeletons, and only videos are named; leave it out"),
        ("clip.mp4", ["--format", "coco"], "--format is for skeletons, and only videos are named; leave it"),
    ],
)
def test_an_option_that_no_path_needs_is_refused(
    run: Run, tmp_path: Path, path: str, options: list[object], expected: str
) -> None:
    save_poses(CLIPS[:1], tmp_path / "walk.safetensors")
    write_action_video(tmp_path / "clip.mp4", ACTIONS[0])
    output = run(tmp_path / path, "--bundle", a_student(tmp_path), *options, *TORCH)
    assert (output.code, output.out) == (1, "")
    assert output.err.startswith(f"error: {expected}")


def test_a_frame_of_openpose_and_a_bundle_are_no_clips(run: Run, tmp_path: Path) -> None:
    save_poses(OPENPOSE_CLIPS[:1], tmp_path / "frames", "openpose")
    frame = min((tmp_path / "frames").rglob("*.json"))
    student = a_student(tmp_path)
    output = run(frame, student, "--bundle", student, "--size", *SIZE, *TORCH)
    assert output.code == 1
    assert output.err.splitlines()[1:] == [
        f"error: {frame} is one frame by OpenPose; expected the folder of a clip: give {frame.parent}",
        f"error: {student} holds no poses (format 'skdpipe-bundle-1', expected 'skdpipe-sequence-1'); name a "
        "file of the pose cache",
    ]


# Videos


def test_videos_need_an_estimator_and_skeletons_beside_them_do_not(run: Run, tmp_path: Path) -> None:
    student, video = a_student(tmp_path), write_action_video(tmp_path / "clip.mp4", ACTIONS[0], 7)
    output = run(video, "--bundle", student, *TORCH)
    assert (output.code, output.out) == (1, "")
    assert output.err.startswith(
        "error: the bundle was trained on imported skeletons (eyes) and names no est"
    )
    save_poses(CLIPS[:1], tmp_path / "walk.safetensors")
    (tmp_path / "box.yaml").write_text(json.dumps({"plugin": BOX_PLUGIN}))
    options = ("--bundle", student, "--estimator", tmp_path / "box.yaml", "--json", *TORCH)
    output = run(video, tmp_path / "walk.safetensors", *options)
    assert output.code == 0
    assert [line["source"] for line in lines_of(output)] == [str(video), CLIPS[0].origin.source]


def test_a_predictor_of_poses_opens_no_estimator(tmp_path: Path) -> None:
    flat, in_space = a_student(tmp_path), a_student(tmp_path, "kinect-20", 3)
    predictor = load_predictor(flat, poses_only=True)
    assert predictor.predict(CLIPS[0]).label in ACTIONS
    with pytest.raises(
        BundleError, match="has no estimator and labels pose sequences only; name an estimator"
    ):
        predictor.predict(tmp_path / "clip.mp4")
    (clip,) = load_poses(write_nw_ucla(tmp_path))
    assert load_predictor(in_space, poses_only=True).predict(clip).label in ACTIONS
    with pytest.raises(DataError, match="have 2 coordinates, but the network was trained on 3"):
        load_predictor(in_space, poses_only=True).predict(CLIPS[0])
    with pytest.raises(BundleError, match=r"trained on three coordinates .* estimators find two in a video"):
        load_predictor(in_space)


# Footage


def test_long_skeletons_get_segments_and_the_rate_of_their_times(run: Run, tmp_path: Path) -> None:
    student = a_student(tmp_path)
    save_poses([a_sequence(ACTIONS[0], frames=300)], tmp_path / "long", "openpifpaf")
    arguments = (tmp_path / "long", "--bundle", student, "--size", *SIZE, *TORCH)
    output = run(*arguments, "--window", 1)
    assert output.code == 0
    first, *segments = output.out.splitlines()
    assert first.endswith(".openpifpaf.json: 0:00:10.0, 1 person")  # 300 frames at the rate that is assumed
    assert segments
    note = "note: times are at 30 frames per second, as assumed where skeletons do not record it; --fps gives"
    assert [line.startswith(note) for line in output.err.splitlines()].count(True) == 1
    output = run(*arguments, "--window", 1, "--fps", 15)
    assert output.out.splitlines()[0].endswith(": 0:00:20.0, 1 person")
    assert note not in output.err
    output = run(*arguments, "--one-label")
    assert len(output.out.splitlines()) == 1
    assert note not in output.err
