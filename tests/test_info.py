"""`skdpipe info`: every kind is recognised by its content, and what is damaged is named."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from display_matrix import with_matrix
from distillation_setup import CPU, RECIPE, DistillationSetup, InterruptionError, training_clips
from encoded_videos import encode, noise, truncated
from hostile_pickle import create_file
from moving_body import ACTIONS, a_sequence, fill, tiny_experiment, write_action_video
from safetensors.numpy import save_file
from typer.testing import CliRunner

from skdpipe import describe_path, save_poses
from skdpipe.bundle import load_bundle, save_bundle
from skdpipe.cache import PoseCache
from skdpipe.cli.commands import app
from skdpipe.compare.table import Row, to_json
from skdpipe.config import OpenPifPafSettings, to_plain
from skdpipe.distill import distill_student
from skdpipe.errors import ConfigError, SkdpipeError, VideoError
from skdpipe.formats.format import FormatOptions
from skdpipe.inference.export_format import POSE_FORMAT, STUDENT_FORMAT
from skdpipe.inference.metadata import read_metadata
from skdpipe.info.export import read_fields
from skdpipe.pose.openpifpaf.weights_file import embedded_path
from skdpipe.video import write_video
from skdpipe.video.picture import Orientation

METHODS = ("teacher", "baseline", "student")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    return fill(PoseCache(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def finished(cache: PoseCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    experiment = tiny_experiment(methods=METHODS)
    return distill_student(experiment, cache, tmp_path_factory.mktemp("models"), device=CPU).folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(finished, tmp_path / "tiny"))


def flip_byte(path: Path, at: int = -5) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def reason(path: Path) -> str:
    """The only line of the error, which names the path."""
    with pytest.raises(SkdpipeError) as error:
        describe_path(path)
    message = str(error.value)
    assert "\n" not in message
    assert path.name in message
    return message


# Bundles


def test_a_bundle_states_training_data_figures_and_use(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "renamed.bin"  # recognised by its content
    shutil.copy(finished / "student.safetensors", path)
    found, metadata = describe_path(path), read_metadata(path)
    values = found.values
    assert (found.kind, found.problems) == ("bundle", ())
    assert found.title == "a trained network: student of run tiny, st_2sgcn for 2 classes"
    assert values["classes"] == list(ACTIONS)
    assert values["clips"]["training"], values["clips"]["test"] == (8, 4)
    assert values["labelled_training_clips"] == dict.fromkeys(ACTIONS, 4)
    assert values["high_quality"]["fingerprint"] == "eyes"
    assert values["low_quality"] == to_plain_skeletons("squint-1", "squint")
    assert values["seed"] == 0
    assert values["recipe"]["epochs"] == 2
    assert values["top_1"]["percent"] == metadata.run["figures"]["top1"]
    assert values["top_1"]["test_clips"] == 4
    assert [each["test_clips"] for each in values["figures_by_class"]] == [2, 2]
    assert values["cost"]["parameters"] == metadata.run["figures"]["parameters"]
    assert values["fits"] == {"layout": "coco-17", "coordinates": 2, "pose_fps": 6.0, "estimator": None}
    assert values["intact"] is True
    assert values["bytes"] == path.stat().st_size
    assert values["commands"][0] == f"skdpipe predict VIDEO --bundle {path} --estimator FILE"
    lines = found.to_text().splitlines()
    assert lines[0] == f"{path}: {found.title}"
    assert any(line.split() == ["seed", "0"] for line in lines)


def to_plain_skeletons(settings: str, fingerprint: str) -> dict[str, Any]:
    return {"settings": settings, "fingerprint": fingerprint, "estimator": None, "derived": False}


def test_the_interval_of_a_bundle_is_wilsons(finished: Path) -> None:
    top1 = describe_path(finished / "student.safetensors").values["top_1"]
    share, z = top1["percent"] / 100, 1.959964
    middle = (share + z**2 / 8) / (1 + z**2 / 4)
    half = z * np.sqrt(share * (1 - share) / 4 + z**2 / 64) / (1 + z**2 / 4)
    expected = (100 * (middle - half), 100 * (middle + half))
    assert (top1["low"], top1["high"]) == pytest.approx(expected, abs=1e-3)


def test_a_changed_byte_is_a_problem_and_hides_nothing(run: Path) -> None:
    path = run / "student.safetensors"
    whole = describe_path(path).values
    flip_byte(path)
    found = describe_path(path)
    assert found.values["intact"] is False
    assert len(found.problems) == 1
    assert "does not have the checksum that it states" in found.problems[0]
    changed = {"intact", "sha256"}
    assert {name: each for name, each in found.values.items() if name not in changed} == {
        name: each for name, each in whole.items() if name not in changed
    }


def test_bundles_of_earlier_versions_state_less(run: Path) -> None:
    path = run / "student.safetensors"
    bundle = load_bundle(path)
    kept = {name: bundle.metadata.run[name] for name in ("figures", "versions")}
    metadata = replace(bundle.metadata, run=kept, training_clips=None)
    save_bundle(replace(bundle, metadata=metadata), path)
    found = describe_path(path)
    assert (found.problems, found.title) == ((), "a trained network: st_2sgcn for 2 classes")
    assert not {"top_1", "seed", "recipe", "training_clips"} & found.values.keys()
    save_bundle(replace(bundle, metadata=replace(metadata, run={"curves": 3, "seed": {}})), path)
    assert "parts that this version cannot read (curves)" in describe_path(path).problems[0]


@pytest.mark.parametrize("share", [0.0005, 0.02, 0.3, 0.9999])
def test_a_truncated_bundle_is_one_line(run: Path, share: float) -> None:
    path = truncated(run / "student.safetensors", share)
    assert "damaged" in (why := reason(path)) or "not a readable bundle" in why


def test_names_of_classes_are_escaped(run: Path) -> None:
    path = run / "student.safetensors"
    bundle = load_bundle(path)
    hostile = ("\x1b[31mred\nline", "\u202eright")
    save_bundle(replace(bundle, metadata=replace(bundle.metadata, classes=hostile)), path)
    result = CliRunner().invoke(app, ["info", str(path)])
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert r"\x1b[31mred\nline" in result.stdout
    assert describe_path(path).values["classes"] == list(hostile)


# Runs, cross-validations, comparisons


def test_a_run_lists_its_networks(run: Path) -> None:
    found = describe_path(run)
    assert (found.kind, found.problems) == ("run", ())
    assert found.title == "a run, complete: 3 trained networks"
    results = json.loads((run / "results.json").read_text())
    for method in METHODS:
        assert found.values[method]["top1"] == results[method]["figures"]["top1"]
        assert found.values[method]["test_clips"] == 4
    assert f"skdpipe report {run}" in found.values["commands"]


def test_a_run_names_what_is_missing_and_what_is_damaged(run: Path) -> None:
    (run / "student.safetensors").unlink()
    (run / "student.state").touch()
    flip_byte(run / "teacher.safetensors")
    truncated(run / "baseline.safetensors", 0.5)
    found = describe_path(run)
    assert found.title == "a run, unfinished: 1 trained networks"
    assert found.values["not_trained"] == ["baseline", "student"]
    assert found.values["unfinished"] == ["student.state"]
    assert sorted(problem.split("/")[-1].split()[0] for problem in found.problems) == [
        "baseline.safetensors", "teacher.safetensors:",
    ]  # fmt: skip
    (run / "baseline.predictions.json").write_text('{"label": [], "predicted": []}')
    (run / "forest_low.predictions.json").write_text('{"label": [], "predicted": []}')
    assert any("forest_low.predictions.json is damaged" in problem for problem in describe_path(run).problems)
    (run / "config.yaml").write_text("experiment: [")
    assert any("config.yaml" in problem for problem in describe_path(run).problems)


def test_a_cross_validation_counts_the_clips_of_all_parts(run: Path) -> None:
    for part in ("1-of-2", "2-of-2"):
        shutil.copytree(run, run / "folds" / part, ignore=shutil.ignore_patterns("folds"))
    found = describe_path(run / "folds")
    assert (found.kind, found.title) == ("cross-validation", "a cross-validation: 2 parts")
    student = found.values["student_in_cross_validation"]
    once = describe_path(run).values["student"]
    assert (student["clips"], student["top1"]) == (8, once["top1"])
    assert student["low"] > once["low"]  # more clips, a narrower interval
    assert "student_in_cross_validation" in describe_path(run).values


def test_a_comparison_shows_its_table(tmp_path: Path) -> None:
    row = Row("k", "small", {"HQS-T": (50.0, 60.0), "SKD": (40.0,)}, 4, {}, 50.0, {"SKD": None}, {}, 1.0)
    (tmp_path / "comparison.json").write_text(to_json([row], [], ["k, small: no disk"]))
    found = describe_path(tmp_path)
    assert (found.kind, found.problems) == ("comparison", ("k, small: no disk",))
    assert found.title == "a comparison: 1 rows of top-1 in percent, 2 seeds"
    assert "HQS-T 55.0 ± 7.1, SKD 40.0" in found.to_text()
    (tmp_path / "comparison.json").write_text("{")
    assert "comparison.json is damaged" in reason(tmp_path)


def test_a_bundle_without_its_run_is_an_entry_of_a_folder(run: Path) -> None:
    (run / "config.yaml").unlink()
    found = describe_path(run)
    assert found.kind == "folder"
    assert found.values["entries"]["student.safetensors"] == "a trained network"


def test_a_folder_of_runs_lists_them(run: Path) -> None:
    (run.parent / "notes.txt").write_text("mine")
    found = describe_path(run.parent)
    assert (found.kind, found.values["others"]) == ("folder", ["notes.txt"])
    assert found.values["entries"] == {"tiny": "a run"}


def test_a_file_of_a_run_leads_to_its_folder(run: Path) -> None:
    for name in ("config.yaml", "results.json", "student.predictions.json"):
        assert f"skdpipe info {run}" in reason(run / name)


# The pose cache


def test_the_levels_of_a_cache(cache: PoseCache) -> None:
    root = describe_path(cache.root)
    assert (root.kind, root.values["sequences"]) == ("pose cache", 24)
    assert [each["settings"] for each in root.values["folders"]] == ["eyes-1", "squint-1"]
    assert root.values["folders"][1]["labels"] == dict.fromkeys(sorted(ACTIONS), 6)
    quality = describe_path(cache.root / "low")
    assert quality.values["sequences"] == 12
    assert [each["settings"] for each in quality.values["folders"]] == ["squint-1"]
    settings = describe_path(cache.root / "low/squint-1")
    assert (settings.kind, settings.values["clips"]) == ("pose cache", 12)
    assert settings.poses is not None
    assert settings.poses.layout.name == "coco-17"
    entry = describe_path(next(cache.entries("low")).path)
    assert (entry.kind, entry.values["label"], entry.values["estimator"]) == (
        "cached sequence", ACTIONS[0], "squint",
    )  # fmt: skip
    assert entry.values["intact"] is True


def test_damaged_entries_of_a_cache_are_counted(tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path))
    path = next(cache.entries("low")).path
    truncated(path, 0.9)
    assert "1 damaged files" in describe_path(tmp_path).problems[0]
    assert path.name in describe_path(path.parent).problems[0]
    assert "damaged" in reason(path)


def test_a_sequence_without_people_has_no_mean_pose(tmp_path: Path) -> None:
    one = a_sequence(ACTIONS[0])
    nobody = one.keypoints.copy()
    nobody[..., :2], nobody[..., 2] = np.nan, 0
    path = PoseCache(tmp_path).save(one.with_keypoints(nobody), "high", "eyes-1")
    found = describe_path(path)
    assert (found.kind, found.poses) == ("cached sequence", None)
    assert "nobody" in found.notes[0]


# Weights of pose networks


@pytest.mark.parametrize("name", ["actors-high", "actors-low"])
def test_the_embedded_weights(name: str) -> None:
    found = describe_path(embedded_path(name))
    assert (found.kind, found.problems) == ("pose network", ())
    assert found.title.endswith(f"embedded as {name}")
    assert found.values["training"]["settings"]["seed"] == 0
    assert found.values["commands"][0].endswith(f"--set low.weights={name}")


def test_foreign_names_are_quoted_in_commands(tmp_path: Path) -> None:
    path = tmp_path / "my weights.bin"
    metadata = {"format": "skdpipe-pose-1", "backbone": "{0} $(reboot)", "upsample": "1", "notes": "{}"}
    save_file({"a": np.zeros(3, np.float32)}, path, metadata)
    (command,) = describe_path(path).values["commands"]
    assert shlex.split(command)[4:] == ["low.backbone={0} $(reboot)", "--set", f"low.weights={path}"]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_is_never_unpickled(tmp_path: Path, zipped: bool) -> None:
    path, trace = tmp_path / "weights.pkl", tmp_path / "trace"
    value = {"model": create_file(trace), "tensor": torch.zeros(2)}
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    found = describe_path(path)
    assert found.kind == "checkpoint"
    assert "never unpickles" in found.title
    assert not trace.exists()


# Exports


def onnx_file(path: Path, fields: dict[str, str]) -> Path:
    """A network that adds 0 to its input, with metadata."""
    shape = [1, 2]
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in "xy")
    zero = onnx.helper.make_tensor("zero", onnx.TensorProto.FLOAT, shape, [0.0, 0.0])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "zero"], ["y"])], "g", [x], [y], [zero]
    )
    model = onnx.helper.make_model(graph, ir_version=9, opset_imports=[onnx.helper.make_opsetid("", 20)])
    onnx.helper.set_model_props(model, fields)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def openvino_file(path: Path, fields: dict[str, str]) -> Path:
    from skdpipe.runtimes.session import import_openvino, openvino_core

    source = onnx_file(path.with_suffix(".onnx"), {})
    model = openvino_core().read_model(source.read_bytes())
    for name, text in fields.items():
        model.set_rt_info(text, name)
    import_openvino().save_model(model, path, compress_to_fp16=False)
    source.unlink()
    return path


@pytest.fixture
def fields(finished: Path) -> dict[str, str]:
    header = read_metadata(finished / "student.safetensors").to_header()
    parity = {"clips": 4, "largest_difference": 1e-6, "equal": 1.0}
    return {
        "format": STUDENT_FORMAT,
        "description": header["description"],
        "parity": json.dumps(parity),
        "bundle": "00ff",
    }


def test_the_fields_of_onnx_are_those_that_onnxruntime_reads(tmp_path: Path, fields: dict[str, str]) -> None:
    import onnxruntime

    path = onnx_file(tmp_path / "a.onnx", {**fields, "long": "ä" * 70_000, "empty": ""})
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert read_fields(path) == session.get_modelmeta().custom_metadata_map


def test_an_export_states_what_its_bundle_states(
    finished: Path, tmp_path: Path, fields: dict[str, str]
) -> None:
    onnx_file(tmp_path / "student.onnx", fields)
    openvino_file(tmp_path / "openvino/student.xml", fields)
    bundle = describe_path(finished / "student.safetensors")
    for path in (tmp_path, tmp_path / "student.onnx", tmp_path / "openvino/student.xml"):
        found = describe_path(path)
        assert (found.kind, found.problems) == ("export", ())
        for name in ("classes", "method", "recipe", "top_1", "figures_by_class", "fits"):
            assert found.values[name] == bundle.values[name]
        assert (found.values["bundle"], found.values["parity"]["clips"]) == ("00ff", 4)
        predict = [f"skdpipe predict {what} --bundle {path}" for what in ("SKELETONS", "VIDEO")]
        assert found.values["commands"] == [predict[0], f"{predict[1]} --estimator FILE"]
    onnx_file(tmp_path / "pose.onnx", fields)
    assert describe_path(tmp_path).values["commands"] == [f"skdpipe predict VIDEO --bundle {tmp_path}"]


def test_files_of_an_export_that_do_not_belong_together(tmp_path: Path, fields: dict[str, str]) -> None:
    onnx_file(tmp_path / "student.onnx", fields)
    onnx_file(tmp_path / "student-batch-1.onnx", {**fields, "bundle": "11ee"})
    assert "of another bundle than student.onnx" in describe_path(tmp_path).problems[0]
    (tmp_path / "student-batch-1.onnx").unlink()
    openvino_file(tmp_path / "openvino/student.xml", fields)
    (tmp_path / "openvino/student.bin").unlink()
    assert "the weights are missing" in describe_path(tmp_path / "openvino/student.xml").problems[0]


def test_an_exported_pose_network(tmp_path: Path) -> None:
    description = {"settings": to_plain(OpenPifPafSettings("resnet18", "a.pkl")), "backbone": "resnet18"}
    fields = {"format": POSE_FORMAT, "description": json.dumps(description)}
    found = describe_path(onnx_file(tmp_path / "pose.onnx", fields))
    assert (found.title, found.values["backbone"]) == ("an exported pose network", "resnet18")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"format": "skdpipe-student-7"}, "update skdpipe"),
        ({"format": ""}, "no format"),
        ({"description": "{}"}, "does not fit this version"),
        ({"description": "[" * 100_000}, "does not fit this version"),
    ],
)
def test_an_export_that_does_not_fit(
    tmp_path: Path, fields: dict[str, str], changes: dict[str, str], expected: str
) -> None:
    assert expected in reason(onnx_file(tmp_path / "student.onnx", {**fields, **changes}))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_export_is_one_line(tmp_path: Path, fields: dict[str, str], share: float) -> None:
    path = truncated(onnx_file(tmp_path / "student.onnx", fields), share)
    assert "run `skdpipe export` again" in reason(path)
    other = truncated(openvino_file(tmp_path / "openvino/student.xml", fields), share)
    assert "run `skdpipe export` again" in reason(other)


# Configs, skeletons, training states


def test_configs_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "mine.conf"
    path.write_text("experiment:\n  name: mine\n  recipe: {epochs: 7}\n")
    found = describe_path(path)
    assert (found.kind, found.values["valid"]) == ("config", True)
    assert found.values["experiment"]["recipe"]["epochs"] == 7
    assert "name mine, recipe (epochs 7)" in found.to_text()
    path.write_text("experiment:\n  nome: mine\n")
    found = describe_path(path)
    assert found.values["valid"] is False
    assert "nome is no setting" in found.problems[0]
    estimator = tmp_path / "estimator.yaml"
    estimator.write_text("backbone: resnet18\nweights: actors-high\n")
    assert describe_path(estimator).values["estimator"]["backbone"] == "resnet18"
    other = tmp_path / "other.yaml"
    other.write_text("colour: blue\n")
    assert "YAML without settings of skdpipe" in reason(other)
    other.write_text("a: [")
    assert "is not YAML" in reason(other)


def test_skeletons_of_a_foreign_format(tmp_path: Path) -> None:
    clips = [a_sequence(action, number) for action in ACTIONS for number in range(3)]
    save_poses(clips, tmp_path / "clips.pkl", "pyskl")
    found = describe_path(tmp_path / "clips.pkl")
    assert (found.kind, found.values["format"], found.values["clips"]) == ("skeletons", "pyskl", 6)
    assert found.poses is not None
    assert found.poses.poses == 6 * 12
    options = FormatOptions(size=(10, 10))
    with pytest.raises(ConfigError, match="cannot use --size"):
        describe_path(tmp_path / "clips.pkl", options=options)


def test_the_state_of_a_training(cache: PoseCache, tmp_path: Path) -> None:
    with pytest.raises(InterruptionError):
        DistillationSetup(recipe=RECIPE).train(training_clips(cache), tmp_path, until=1.5)
    found = describe_path(tmp_path / "student.state")
    assert (found.kind, found.values["epochs"], found.problems) == ("training state", 1, ())
    assert set(found.values["losses_of_the_last_epoch"]) == {"task", "kl", "node", "edge"}
    flip_byte(tmp_path / "student.state")
    assert "checksum" in describe_path(tmp_path / "student.state").problems[0]


# Videos


def test_a_video(tmp_path: Path) -> None:
    path = write_action_video(tmp_path / "wave.mp4", ACTIONS[0], frames=24)
    renamed = path.rename(tmp_path / "wave.data")
    found = describe_path(renamed)
    assert (found.kind, found.values["size"], found.values["frames"]) == ("video", [64, 48], 24)
    assert found.values["fps"] == pytest.approx(12)
    assert found.values["seconds"] == pytest.approx(2, abs=0.01)
    assert (found.values["rate_varies"], found.values["decoded"]) == (False, [])


def test_what_is_done_to_the_frames_of_a_video(tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    write_video(path, noise(5), 10)
    found = describe_path(with_matrix(path, 0, 1, -1, 0))
    assert found.values["rotation"] == "rotated by 90 degrees"
    assert (found.values["stored_size"], found.values["size"]) == ([128, 96], [96, 128])
    wide = describe_path(encode(tmp_path / "wide.mp4", "mpeg4", noise(5), pixels=Fraction(4, 3)))
    assert wide.values["decoded"] == ["scaled to square pixels"]
    assert wide.values["size"] == [171, 96]


def test_a_rate_that_varies(tmp_path: Path) -> None:
    times = [0, 1, 2, 3, 9, 10, 11, 20]
    found = describe_path(encode(tmp_path / "phone.mkv", "mpeg4", noise(8), times=times))
    assert found.values["rate_varies"] is True
    assert found.values["frames"] == 8
    assert "the rate varies" in found.to_text()


def test_a_truncated_video_is_named(tmp_path: Path) -> None:
    path = truncated(encode(tmp_path / "long.mkv", "mpeg4", noise(60)), 0.4)
    assert "missing that its header states" in describe_path(path).problems[0]
    lost = truncated(encode(tmp_path / "lost.mp4", "mpeg4", noise(60)), 0.4)
    with pytest.raises(VideoError, match=r"lost\.mp4"):
        describe_path(lost)


def test_images_and_folders_of_videos(tmp_path: Path) -> None:
    import cv2

    for number, image in enumerate(noise(4)):
        cv2.imwrite(str(tmp_path / f"img_{number:03}.png"), image)
    for path in (tmp_path, tmp_path / "img_%03d.png"):
        assert describe_path(path).values["frames"] == 4
    for action in ACTIONS:
        (tmp_path / "videos" / action).mkdir(parents=True)
        write_action_video(tmp_path / "videos" / action / "a.mp4", action)
    found = describe_path(tmp_path / "videos")
    assert (found.values["videos"], found.values["classes"]) == (2, dict.fromkeys(sorted(ACTIONS), 1))


@pytest.mark.parametrize("orientation", list(itertools.product([False, True], repeat=3)))
def test_an_orientation_in_words_is_that_of_numpy(orientation: tuple[bool, bool, bool]) -> None:
    chosen, image = Orientation(*orientation), np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    words = chosen.in_words
    turns = next((angle for angle in (90, 180, 270) if str(angle) in words), 0)
    mirrored = image[:, ::-1] if "mirrored" in words else image
    np.testing.assert_array_equal(chosen.apply(image), np.rot90(mirrored, -turns // 90))


# What is nothing of the kind


def test_nothing_that_skdpipe_knows(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("good morning")
    (tmp_path / "bytes").write_bytes(bytes(range(256)) * 9)
    (tmp_path / "huge.safetensors").write_bytes((2**62).to_bytes(8, "little") + b'{"a"')
    (tmp_path / "cut.safetensors").write_bytes((10**7).to_bytes(8, "little") + b'{"a"')
    (tmp_path / "deep.safetensors").write_bytes((10**6).to_bytes(8, "little") + b'{"a":' * 200_000)
    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "other.safetensors", {"format": "pt"})
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, expected in {
        "empty": "an empty file",
        "text": "text; expected",
        "bytes": "a file of an unknown kind",
        "huge.safetensors": "a header of 4,611,686,018,427,387,904 bytes, of a file of 12",
        "cut.safetensors": "its header of 10,000,000 bytes cannot be read",
        "deep.safetensors": "its header of 1,000,000 bytes cannot be read",
        "other.safetensors": "of another program",
        "folder": "an empty folder",
        "pipe": "a pipe; expected",
        "nowhere": "no such file or folder",
        "null\0": "no such file or folder",
    }.items():
        assert expected in reason(tmp_path / name)
    (tmp_path / "folder/notes.txt").write_text("good morning")
    assert "a folder without anything that skdpipe knows" in reason(tmp_path / "folder")


def test_the_command_prints_one_json_object(run: Path) -> None:
    path = run / "student.safetensors"
    result = CliRunner().invoke(app, ["info", str(path), "--json"])
    assert result.exit_code == 0
    content = json.loads(result.stdout)
    expected = json.loads(json.dumps(describe_path(path).to_plain()))
    assert content == {**expected, "mean_pose": None}
    flip_byte(path)
    result = CliRunner().invoke(app, ["info", str(path), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["facts"]["intact"] is False
    assert "problem:" in result.stderr


def test_only_skeletons_get_a_picture(
    run: Path, cache: PoseCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert CliRunner().invoke(app, ["info", str(run)]).exit_code == 0
    assert CliRunner().invoke(app, ["info", str(cache.root)]).exit_code == 0
    result = CliRunner().invoke(app, ["info", str(run), "--output", "run.png"])
    assert "is a run; --output draws skeletons" in str(result.exception)
    assert not list(Path.cwd().iterdir())
    result = CliRunner().invoke(app, ["info", str(cache.root / "high/eyes-1")])
    assert "mean pose: skeletons.png" in result.stdout
    assert [path.name for path in Path.cwd().iterdir()] == ["skeletons.png"]


def test_torch_is_not_imported(run: Path, cache: PoseCache, tmp_path: Path, fields: dict[str, str]) -> None:
    onnx_file(tmp_path / "export/student.onnx", fields)
    video = write_action_video(tmp_path / "wave.mp4", ACTIONS[0])
    (tmp_path / "config.yaml").write_text("experiment: {}")
    paths = [
        run, run / "student.safetensors", cache.root, cache.root / "low/squint-1", tmp_path / "export", video,
        tmp_path / "config.yaml", embedded_path("actors-low"),
    ]  # fmt: skip
    code = (
        "import sys\nfrom skdpipe import describe_path\n"
        "for path in sys.argv[1:]: describe_path(path).to_text()\n"
        "heavy = {'torch', 'openpifpaf', 'scipy', 'sklearn', 'onnx', 'onnxruntime', 'openvino'} & "
        "sys.modules.keys()\nassert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
