"""Predictors from exports: the labels of the bundle in PyTorch, and files that are refused in one line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from moving_body import BOX_PLUGIN, BoxEstimator, a_sequence

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

import onnx
from exported_student import (
    CLASSES,
    LOW,
    a_student,
    pose_fields,
    student_fields,
    student_model,
    with_fields,
    write_export,
)

from skdpipe.config import PluginSettings, RtmlibSettings
from skdpipe.errors import BundleError, ConfigError, MissingDependencyError
from skdpipe.inference import FootageSettings, Prediction, Predictor, load_export
from skdpipe.inference.export_format import OPENVINO_STUDENT, POSE, STATIC_STUDENT, STUDENT
from skdpipe.pose.decoding import SampledEstimator
from skdpipe.predict import load_predictor
from skdpipe.skeleton import PoseSequence
from skdpipe.synthetic import make_scene, render_clip
from skdpipe.video import Frame, write_video

SIDEWAYS = a_sequence("sideways", 3)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_export(tmp_path_factory.mktemp("export"), a_student())


@pytest.fixture(scope="module")
def in_torch(export: Path) -> Predictor:
    return load_predictor(export.parent / "student.safetensors", runtime="torch")


@pytest.fixture(scope="module")
def frames() -> Frame:
    """Two actors who push: ``(frame, height, width, 3)``."""
    return render_clip(make_scene("push", subject=1, take=0, seed=7, frames=16, fps=12.0)).frames


@pytest.fixture
def copy(export: Path, tmp_path: Path) -> Path:
    """A copy of the export that a test may change."""
    return Path(shutil.copytree(export, tmp_path / "export"))


def assert_same(found: Prediction, expected: Prediction) -> None:
    assert [name for name, _ in found.probabilities] == [name for name, _ in expected.probabilities]
    probabilities = [[share for _, share in each.probabilities] for each in (found, expected)]
    np.testing.assert_allclose(*probabilities, atol=1e-5)
    assert replace(found, probabilities=()) == replace(expected, probabilities=())


# The labels


@pytest.mark.parametrize(
    ("file", "runtime", "expected"),
    [
        ("", "auto", "onnx"),
        ("", "onnx", "onnx"),
        ("", "openvino", "openvino"),
        (STUDENT, "openvino", "openvino"),
        (STATIC_STUDENT, "onnx", "onnx"),
        (STATIC_STUDENT, "openvino", "openvino"),
        (OPENVINO_STUDENT, "auto", "openvino"),
    ],
)
def test_pose_sequences_get_the_labels_of_the_bundle(
    export: Path, in_torch: Predictor, file: str, runtime: Any, expected: str
) -> None:
    predictor = load_export(export / file, runtime=runtime, poses_only=True)
    assert predictor.metadata == in_torch.metadata
    assert predictor.runtime.name == expected
    assert_same(predictor.predict(SIDEWAYS), in_torch.predict(SIDEWAYS))
    crowd = replace(SIDEWAYS, keypoints=np.repeat(SIDEWAYS.keypoints, 3, axis=1))
    settings = FootageSettings(0.5, per_person=True, min_probability=0.0)
    assert_same_timeline(predictor, in_torch, crowd, settings)


def assert_same_timeline(
    found: Predictor, expected: Predictor, footage: PoseSequence | Path, settings: FootageSettings
) -> None:
    there, here = (each.label_footage(footage, settings) for each in (expected, found))
    assert len(there.segments) > 0
    for one, other in zip(there.segments, here.segments, strict=True):
        assert replace(one, probability=None) == replace(other, probability=None)
        assert one.probability == pytest.approx(other.probability, abs=1e-5)


def test_dd_net_gets_the_labels_of_the_bundle(tmp_path: Path) -> None:
    export = write_export(tmp_path, a_student("dd_net"), pose=False)
    in_torch = load_predictor(tmp_path / "student.safetensors", runtime="torch", poses_only=True)
    for runtime in ("onnx", "openvino"):
        assert_same(load_export(export, runtime=runtime).predict(SIDEWAYS), in_torch.predict(SIDEWAYS))


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_frames_and_videos_get_the_labels_of_the_bundle(
    export: Path, in_torch: Predictor, frames: Frame, tmp_path: Path, runtime: Literal["onnx", "openvino"]
) -> None:
    predictor = load_export(export, runtime=runtime)
    sampled = predictor.require_estimator()
    assert sampled.every == LOW.every == 2
    assert sampled.estimator.fingerprint == in_torch.metadata.fingerprint
    poses = predictor.estimate_poses(frames, 12.0)
    assert poses.keypoints.shape[:2] == (8, 2)
    np.testing.assert_allclose(poses.keypoints, in_torch.estimate_poses(frames, 12.0).keypoints, atol=0.1)
    assert predictor.predict(frames, 12.0).label == in_torch.predict(frames, 12.0).label
    write_video(tmp_path / "push.mp4", frames, 12.0)
    assert predictor.predict(tmp_path / "push.mp4").people == 2


def test_the_static_file_and_that_of_openvino_find_the_pose_network(export: Path) -> None:
    for file in (STATIC_STUDENT, OPENVINO_STUDENT):
        assert load_export(export / file).layout.name == "coco-17"


# Without a pose network


def test_without_a_pose_network_pose_sequences_are_labelled_and_frames_refused(
    copy: Path, in_torch: Predictor, frames: Frame
) -> None:
    (copy / POSE).unlink()
    predictor = load_export(copy)
    assert_same(predictor.predict(SIDEWAYS), in_torch.predict(SIDEWAYS))
    with pytest.raises(BundleError, match=r"^no pose.onnx in .*run `skdpipe export` again with --pose"):
        predictor.predict(frames, 12.0)


def test_an_estimator_of_the_caller_takes_precedence(export: Path, frames: Frame) -> None:
    predictor = load_export(export, estimator=SampledEstimator(BoxEstimator(), 4))
    assert predictor.estimate_poses(frames, 12.0).frame_index.tolist() == [0, 4, 8, 12]
    named = load_predictor(export, estimator=PluginSettings(plugin=BOX_PLUGIN, every=4))
    assert named.estimate_poses(frames, 12.0).frame_index.tolist() == [0, 4, 8, 12]


def with_metadata(folder: Path, **changes: Any) -> Path:
    """Replace the metadata of a bundle's export."""
    bundle = a_student()
    bundle = replace(bundle, metadata=replace(bundle.metadata, **changes))
    (folder / STUDENT).write_bytes(with_fields(student_model(bundle), student_fields(bundle)))
    return folder


@pytest.mark.parametrize(
    ("estimator", "complaint"),
    [
        (PluginSettings(plugin=BOX_PLUGIN), "code outside skdpipe .* never run on the word of a bundle"),
        (None, "trained on imported skeletons .* names no estimator"),
    ],
)
def test_an_estimator_that_is_no_part_of_skdpipe_is_left_to_the_caller(
    copy: Path, frames: Frame, estimator: Any, complaint: str
) -> None:
    (copy / POSE).unlink()
    predictor = load_export(with_metadata(copy, estimator=estimator, fingerprint="box"))
    assert predictor.predict(SIDEWAYS).label in CLASSES
    with pytest.raises(BundleError, match=complaint):
        predictor.predict(frames, 12.0)


def test_an_estimator_of_rtmlib_needs_rtmlib_for_videos_only(
    copy: Path, frames: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / POSE).unlink()
    monkeypatch.setitem(sys.modules, "rtmlib", None)
    monkeypatch.setattr("skdpipe.errors.find_spec", lambda name: None if name == "rtmlib" else name)
    predictor = load_export(with_metadata(copy, estimator=RtmlibSettings(), fingerprint="rtmpose"))
    assert predictor.predict(SIDEWAYS).label in CLASSES
    with pytest.raises(BundleError, match=r"rtmlib not found.*skdpipe\[rtmlib\]"):
        predictor.predict(frames, 12.0)


def test_a_student_of_three_coordinates_labels_pose_sequences_only(tmp_path: Path, frames: Frame) -> None:
    predictor = load_export(write_export(tmp_path, a_student(coordinates=3)))
    with pytest.raises(BundleError, match="trained on three coordinates"):
        predictor.predict(frames, 12.0)


def test_an_estimator_for_imported_skeletons_may_be_exported_with_the_student(
    copy: Path, frames: Frame
) -> None:
    predictor = load_export(with_metadata(copy, estimator=None, fingerprint="annotations"))
    assert predictor.estimate_poses(frames, 12.0).keypoints.shape[1] == 2


# Files that are refused

Damage = Callable[[Path], Path | None]


def without_student(folder: Path) -> None:
    for file in (STUDENT, STATIC_STUDENT, OPENVINO_STUDENT):
        (folder / file).unlink()


def truncated(folder: Path) -> None:
    (folder / STUDENT).write_bytes((folder / STUDENT).read_bytes()[:5000])


def foreign(folder: Path) -> None:
    (folder / STUDENT).write_bytes(with_fields(student_model(a_student()), {}))


def changed(file: str = STUDENT, **values: Any) -> Damage:
    """Change a file's metadata: its fields, or with ``description`` what is in that."""

    def change(folder: Path) -> None:
        fields = student_fields(a_student()) if file == STUDENT else pose_fields(a_student())
        if isinstance(values.get("description"), dict):
            described = json.loads(fields["description"])
            fields |= {"description": json.dumps(described | values["description"])}
        else:
            fields |= values
        model = onnx.load(folder / file)
        del model.metadata_props[:]
        (folder / file).write_bytes(with_fields(model.SerializeToString(), fields))

    return change


def described(**values: Any) -> Damage:
    return changed(description=values)


def of_pose(**values: Any) -> Damage:
    return changed(POSE, description=values)


def student_as_pose_network(folder: Path) -> None:
    """Its metadata say that it is a pose network."""
    (folder / POSE).write_bytes(with_fields(student_model(a_student()), pose_fields(a_student())))


CLIP = {"frames": 9, "people": 2, "coordinates": 2}
SETTINGS = {"kind": "openpifpaf", "backbone": "shufflenetv2x1", "weights": "actors-low"}


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda folder: folder / "nothing", "no export at .*nothing; expected a folder or a file"),
        (lambda folder: folder / "card.md", "is no file that ONNX Runtime or OpenVINO runs; expected"),
        (lambda folder: folder / POSE, "is an exported pose network; expected an exported student"),
        (without_student, "no student.onnx in .*; expected a folder that `skdpipe export` wrote"),
        (truncated, "is no network that can be run .*; run `skdpipe export` again"),
        (foreign, "states no format; expected 'skdpipe-student-1'"),
        (changed(format="mine"), "states the format 'mine'; expected 'skdpipe-student-1'"),
        (changed(format="skdpipe-student-2"), r"later version of skdpipe \(skdpipe-student-2\); update"),
        (changed(description="{"), "does not fit this version .*JSONDecodeError.*export` again"),
        (changed(description="[]"), "does not fit this version"),
        (changed(description="[" * 100_000), "does not fit this version .*RecursionError"),
        (described(classes=["a", "a"]), "classes should be different names"),
        (described(classes=["a", "b"]), r"\(1, 3\) logits of 2 classes"),
        (described(clip=CLIP), "does not fit this version .*inputs .* for clips"),
        (described(temperature=1e9), "a temperature of 1000000000.0, expected"),
        (described(choice={"name": "resnet"}), "choice|name: found 'resnet'"),
        (of_pose(fingerprint="mine"), "states the fingerprint 'mine', but its settings and network have"),
        (of_pose(settings=SETTINGS | {"long_edge": 161}), "its settings and network have '.*edge161"),
        (of_pose(checksum="0" * 64), "its settings and network have 'openpifpaf shufflenetv2x1 00000000"),
        (of_pose(upsample=0), "does not fit this version .*upsample"),
        (of_pose(upsample=[]), "does not fit this version .*upsample"),
        (of_pose(settings={"plugin": BOX_PLUGIN}), "does not fit this version"),
        (changed(POSE, format="skdpipe-student-1"), "is an exported student; expected an exported pose"),
        (changed(POSE, description="null"), "does not fit this version"),
        (student_as_pose_network, "pose.onnx does not fit this version .*inputs .* for images"),
        (lambda folder: (folder / POSE).write_bytes(b"no network") and None, "pose.onnx is no network that"),
    ],
)
def test_damaged_and_foreign_files_are_refused_in_one_line(
    copy: Path, damage: Damage, complaint: str
) -> None:
    (copy / "card.md").touch()
    path = damage(copy) or copy
    with pytest.raises(BundleError, match=complaint) as caught:
        load_export(path, runtime="onnx")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_the_pose_network_of_another_student_is_refused(copy: Path) -> None:
    with_metadata(copy, estimator=LOW, fingerprint="openpifpaf another")
    with pytest.raises(BundleError, match=r"trained with 'openpifpaf another', but .*pose.onnx is 'openpif"):
        load_export(copy)


@pytest.mark.parametrize(
    ("file", "runtime", "complaint"),
    [
        ("", "torch", "runtime torch for an exported network in float32; expected onnx or openvino, or auto"),
        (OPENVINO_STUDENT, "onnx", "runtime onnx for an exported network in float32; expected openvino, or"),
    ],
)
def test_a_runtime_that_cannot_run_the_file_is_refused(
    export: Path, file: str, runtime: Any, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load_export(export / file, runtime=runtime)


def test_a_missing_runtime_is_named(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = {"onnxruntime", "openvino"}
    for module in ("skdpipe.errors", "skdpipe.runtimes.choice"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: None if name in absent else name)
    with pytest.raises(MissingDependencyError, match=r"onnxruntime not found.*skdpipe\[runner\]"):
        load_export(export)
    absent.remove("openvino")
    assert load_export(export, poses_only=True).runtime.name == "openvino"


def test_continual_inference_needs_the_bundle(export: Path) -> None:
    with pytest.raises(ConfigError, match=r"continual inference with the export .*; expected a bundle"):
        load_predictor(export, continual=True)


# What is imported

PROGRAM = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        absent = {"torch", "torchvision", "openpifpaf", "sklearn", "scipy", "onnx", "matplotlib"}
        return None if name.partition(".")[0] in absent else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Without, sys.meta_path)
import numpy as np
from skdpipe.inference import load_export
from skdpipe.skeleton import COCO_17, PoseSequence

before = len([name for name in sys.modules if name.startswith("skdpipe")])
export, video = sys.argv[1:]
people = np.random.default_rng(0).random((12, 2, 17, 3), np.float32)
poses = PoseSequence(people * (64, 48, 1), np.arange(12, dtype=np.int32), 12, COCO_17, 12.0, (64, 48))
predictor = load_export(export, poses_only=True)
assert predictor.predict(poses).label in predictor.metadata.classes
assert predictor.label_footage(poses).seconds == 1.0
print(*sorted({"cv2", "av", "PIL", "typer", "rich"} & sys.modules.keys()))
print(before)
print(load_export(export).predict(video).people)
"""


def test_labelling_imports_only_what_it_uses(export: Path, frames: Frame, tmp_path: Path) -> None:
    """Unlike the time of the import, the number of modules is the same on a loaded machine."""
    write_video(tmp_path / "push.mp4", frames, 12.0)
    command = [sys.executable, "-c", PROGRAM, str(export), str(tmp_path / "push.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    unneeded, modules, people = done.stdout.splitlines()
    assert unneeded == ""
    assert int(modules) <= 70
    assert people == "2"
