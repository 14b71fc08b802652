"""Exported students: the logits and metadata of the bundle in every file, as a whole or not at all."""

from __future__ import annotations

import hashlib
import json
import pickle
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from moving_body import ACTIONS, BOX_PLUGIN, a_sequence, blurred, fill, tiny_experiment
from network_contract import perturbed

from skdpipe import PoseCache, export_student
from skdpipe.bundle import Bundle, build_network, save_bundle
from skdpipe.config import (
    ClipFormat,
    Estimator,
    NetworkChoice,
    OpenPifPafSettings,
    PluginSettings,
    RtmlibSettings,
    Thresholds,
    parse_estimator_settings,
    to_plain,
)
from skdpipe.errors import BundleError, ConfigError, DataError, MissingDependencyError
from skdpipe.export.parity import TOLERANCE, Reference, compare, reference_of, require_parity
from skdpipe.export.pose_network import largest_difference
from skdpipe.export.skeletons import Skeletons, evenly_spaced, skeletons_of
from skdpipe.inference import BundleMetadata
from skdpipe.inference.model_input import batch_input
from skdpipe.model_card import card_of
from skdpipe.networks import NETWORKS
from skdpipe.pose.load import load_estimator
from skdpipe.pose.openpifpaf import OpenPifPaf
from skdpipe.pose.openpifpaf.estimator import NetworkDescription
from skdpipe.pose.openpifpaf.exported_fields import ExportedFields
from skdpipe.runtimes import OnnxSession, open_session
from skdpipe.skeleton import PoseSequence
from skdpipe.synthetic import make_scene, render_clip
from skdpipe.video import read_frames, write_video

onnx: Any = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

CONVERTS_TO_LITERT = find_spec("litert_torch") is not None and find_spec("ai_edge_litert") is not None
LOW = OpenPifPafSettings("shufflenetv2x1", "actors-low", 97, Thresholds(complete=True))
SKELETONS = [blurred(a_sequence(action, number)) for action in ACTIONS for number in range(10)]


def write_bundle(
    folder: Path,
    name: str = "st_2sgcn",
    *,
    clip: ClipFormat = ClipFormat(frames=8),  # noqa: B008
    confidence: bool = True,
    **metadata: Any,
) -> Path:
    """A bundle with no weight or statistic at its initial value."""
    torch.manual_seed(0)
    choice = NetworkChoice(name, width=6, confidence=confidence)
    network = perturbed(build_network(choice, clip, len(ACTIONS)))
    stated = {"fingerprint": "squint", "temperature": 1.5, "run": {"method": "student"}, **metadata}
    bundle = Bundle(network, BundleMetadata(choice, ACTIONS, clip, **stated))
    save_bundle(bundle, folder / "student.safetensors")
    return folder / "student.safetensors"


def of_three_coordinates(sequence: PoseSequence) -> PoseSequence:
    depth = sequence.keypoints[..., :1] * 0.5
    keypoints = np.concatenate([sequence.keypoints[..., :2], depth, sequence.keypoints[..., 2:]], axis=-1)
    return replace(sequence, keypoints=keypoints, size=(0, 0))


def only_onnx(bundle: Path, output: Path | None = None, **settings: Any) -> Any:
    return export_student(bundle, output, formats=["onnx"], skeletons=SKELETONS, **settings)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    return {str(each.relative_to(folder)): hashlib.sha256(each.read_bytes()).hexdigest() for each in files}


def metadata_of(model: Path) -> dict[str, str]:
    return {each.key: each.value for each in onnx.load(model).metadata_props}


# The files


def test_every_file_has_the_metadata_of_the_bundle(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    path = write_bundle(tmp_path)
    report = export_student(path, formats=["openvino"], skeletons=SKELETONS)
    folder = tmp_path / "student-export"
    assert report.folder == folder
    assert set(digests(folder)) == set(report.sizes) == {
        "card.md", "openvino/student.bin", "openvino/student.xml", "student-batch-1.onnx", "student.onnx",
    }  # fmt: skip
    expected = json.loads(skeleton_header(path)["description"])
    model = openvino.Core().read_model(folder / "openvino/student.xml")
    in_openvino = {
        name: model.get_rt_info(name).value for name in ("format", "description", "parity", "bundle")
    }
    for name, found in (
        ("student.onnx", metadata_of(folder / "student.onnx")),
        ("student-batch-1.onnx", metadata_of(folder / "student-batch-1.onnx")),
        ("openvino/student.xml", in_openvino),
    ):
        assert found["format"] == "skdpipe-student-1"
        assert json.loads(found["description"]) == expected
        assert found["bundle"] == hashlib.sha256(path.read_bytes()).hexdigest()
        compared = [each.parity for each in report.compared if each.file == name]
        assert json.loads(found["parity"]) == {
            "clips": 20,
            "largest_difference": max(each.largest_difference for each in compared),
            "equal": 1.0,
        }
    assert expected["layout"]["bones"]
    assert (expected["temperature"], expected["clip"]["frames"]) == (1.5, 8)


def skeleton_header(path: Path) -> dict[str, str]:
    from skdpipe.bundle import load_bundle

    return load_bundle(path).metadata.to_header()


def test_the_card_is_that_of_the_bundle(tmp_path: Path) -> None:
    from skdpipe.bundle import load_bundle

    path = write_bundle(tmp_path)
    only_onnx(path)
    card = (tmp_path / "student-export/card.md").read_text(encoding="utf-8")
    assert card == card_of(load_bundle(path).metadata)


def test_one_batch_is_dynamic_and_one_is_not(tmp_path: Path) -> None:
    only_onnx(write_bundle(tmp_path))
    x, mask = batch_input(SKELETONS[:3], ClipFormat(frames=8))
    sessions = [
        OnnxSession((tmp_path / "student-export" / name).read_bytes(), 1)
        for name in ("student.onnx", "student-batch-1.onnx")
    ]
    alone = np.concatenate([sessions[1]({"x": x[i : i + 1], "mask": mask[i : i + 1]})[0] for i in range(3)])
    np.testing.assert_allclose(sessions[0]({"x": x, "mask": mask})[0], alone, rtol=1e-4, atol=1e-5)
    with pytest.raises(Exception, match="Got invalid dimensions"):
        sessions[1]({"x": x, "mask": mask})


def test_the_opset_is_that_of_the_exporter(tmp_path: Path) -> None:
    only_onnx(write_bundle(tmp_path))
    (opset,) = onnx.load(tmp_path / "student-export/student.onnx").opset_import
    assert opset.version == 20


def test_the_same_bundle_gives_the_same_bytes(tmp_path: Path) -> None:
    formats = ["onnx", *(["openvino"] if find_spec("openvino") else [])]
    path, found = write_bundle(tmp_path), []
    for name in ("a", "b"):
        export_student(path, tmp_path / name, formats=formats, skeletons=SKELETONS)
        found.append(digests(tmp_path / name))
    assert found[0] == found[1]


def in_formats(path: Path, formats: Sequence[str], sequences: Sequence[PoseSequence]) -> None:
    report = export_student(path, formats=formats, skeletons=sequences)
    batches = {"student.onnx": [1, 16], "student-batch-1.onnx": [1]}
    batches |= {"openvino/student.xml": [1]} if "openvino" in formats else {}
    batches |= {"student.tflite": [1]} if "litert" in formats else {}
    found: dict[str, list[int]] = {}
    for each in report.compared:
        found.setdefault(each.file, []).append(each.batch)
        assert each.parity.clips == len(sequences)
        assert each.parity.largest_difference < 1e-5 * report.largest_logit
        assert each.parity.equal == 1.0
    assert found == batches


INSTALLED = ["onnx", *(["openvino"] if find_spec("openvino") else [])]


@pytest.mark.slow
@pytest.mark.parametrize("people", [1, 2])
@pytest.mark.parametrize("coordinates", [2, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_exported(name: str, coordinates: Any, people: int, tmp_path: Path) -> None:
    clip = ClipFormat(frames=8, people=people, coordinates=coordinates)
    sequences = SKELETONS if coordinates == 2 else [of_three_coordinates(each) for each in SKELETONS]
    for confidence in (True, False):
        in_formats(write_bundle(tmp_path, name, clip=clip, confidence=confidence), INSTALLED, sequences)


@pytest.mark.parametrize(("name", "coordinates", "people"), [("st_2sgcn", 3, 1), ("dd_net", 2, 2)])
def test_a_network_is_exported(name: str, coordinates: Any, people: int, tmp_path: Path) -> None:
    test_every_network_is_exported(name, coordinates, people, tmp_path)


@pytest.mark.skipif(not CONVERTS_TO_LITERT, reason="litert-torch is not installed (extra litert)")
def test_a_litert_file_has_the_logits_and_the_metadata(tmp_path: Path) -> None:
    import importlib

    path = write_bundle(tmp_path)
    in_formats(path, ["litert"], SKELETONS)
    schema: Any = importlib.import_module("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromObj(
        schema.Model.GetRootAs((tmp_path / "student-export/student.tflite").read_bytes())
    )
    stated = {
        each.name.decode(): bytes(model.buffers[each.buffer].data).decode()
        for each in model.metadata
        if each.name in (b"format", b"description", b"bundle")
    }
    assert json.loads(stated["description"]) == json.loads(skeleton_header(path)["description"])
    assert stated["format"] == "skdpipe-student-1"


@pytest.mark.skipif(not CONVERTS_TO_LITERT, reason="litert-torch is not installed (extra litert)")
@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_converted_to_litert(name: str, tmp_path: Path) -> None:
    in_formats(write_bundle(tmp_path, name), ["litert"], SKELETONS)


# The comparison


def test_the_bound_is_between_rounding_and_half_precision(tmp_path: Path) -> None:
    from skdpipe.bundle import load_bundle

    bundle = load_bundle(write_bundle(tmp_path, "st_gcn"))
    clips = skeletons_of(bundle, tmp_path, PoseCache(tmp_path), SKELETONS)
    reference = reference_of(bundle, clips)
    assert reference.bound == pytest.approx(TOLERANCE * np.abs(reference.logits).max())

    def run(network: Any) -> Any:
        return lambda x, mask: network(torch.from_numpy(x), torch.from_numpy(mask)).logits.detach().numpy()

    same = compare(run(bundle.network), reference, "same", "torch", 16)
    require_parity([same], reference)
    assert same.parity.largest_difference < 0.1 * reference.bound
    bundle.network.half().float()
    half = compare(run(bundle.network), reference, "half.onnx", "torch", 16)
    with pytest.raises(BundleError, match=r"^half\.onnx in torch differs from the bundle by .* nothing was"):
        require_parity([half], reference)


def test_logits_that_are_not_numbers_are_refused() -> None:
    clips = Skeletons(np.zeros((2, 1, 3, 8, 17), np.float32), np.ones((2, 1), np.bool_), "clips", ("", ""))
    reference = Reference(clips, np.array([[1, 2], [3, 4]], np.float32))
    broken = compare(lambda x, mask: np.full((len(x), 2), np.nan, np.float32), reference, "a", "b", 1)
    with pytest.raises(BundleError, match="differs from the bundle by inf"):
        require_parity([broken], reference)


def test_parity_by_hand() -> None:
    clips = Skeletons(np.zeros((4, 1, 3, 8, 17), np.float32), np.ones((4, 1), np.bool_), "clips", ("",) * 4)
    expected = np.array([[1, 2], [3, 4], [5, 6], [7, 8]], np.float32)
    found = iter([expected[:3] + np.float32([0.5, 0]), expected[3:] + np.float32([1.5, 0.25])])
    result = compare(lambda x, mask: next(found), Reference(clips, expected), "a", "b", 3)
    assert (result.parity.clips, result.parity.largest_difference, result.parity.equal) == (4, 1.5, 0.75)


def test_a_network_that_differs_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_bundle(tmp_path)
    only_onnx(path)
    before = digests(tmp_path)
    monkeypatch.setattr("skdpipe.export.parity.TOLERANCE", 0.0)
    with pytest.raises(BundleError, match="nothing was written"):
        only_onnx(path)
    with pytest.raises(BundleError, match="nothing was written"):
        only_onnx(path, tmp_path / "other")
    assert digests(tmp_path) == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["student-export", "student.safetensors"]


def test_the_test_clips_of_the_cache_are_compared(tmp_path: Path) -> None:
    experiment = to_plain(tiny_experiment())
    path = write_bundle(tmp_path, run={"method": "student", "experiment": experiment})
    cache = fill(PoseCache(tmp_path / "pose_cache"))
    report = export_student(path, formats=["onnx"], cache=cache)
    assert report.skeletons == f"4 test clips of {cache.root}, low, squint-1"
    from skdpipe.bundle import load_bundle

    found = skeletons_of(load_bundle(path), path, cache, None)
    low = [each for each in cache.entries("low") if each.origin.split == "test"]
    x, mask = batch_input([cache.load(each.path) for each in low], ClipFormat(frames=8))
    np.testing.assert_array_equal(found.x, x)
    np.testing.assert_array_equal(found.mask, mask)


def test_without_skeletons_nothing_is_exported(tmp_path: Path) -> None:
    experiment = to_plain(tiny_experiment())
    trained = write_bundle(tmp_path, run={"method": "student", "experiment": experiment})
    with pytest.raises(DataError, match=r"^no pose cache at .*: name their cache with --cache, or other"):
        export_student(trained, cache=PoseCache(tmp_path / "nothing"))
    with pytest.raises(BundleError, match=r"does not say what its test clips are.*; name skeletons with"):
        export_student(write_bundle(tmp_path), cache=PoseCache(tmp_path / "nothing"))
    nobody = a_sequence(ACTIONS[0]).with_keypoints(
        np.float32([np.nan, np.nan, 0]) + np.zeros((12, 1, 17, 3), "f")
    )
    for given in ([], [nobody]):
        with pytest.raises(DataError, match=r"^nobody is seen in the [01] clips that were named"):
            export_student(trained, skeletons=given)
    assert not (tmp_path / "student-export").exists()


@pytest.mark.parametrize(
    ("count", "expected"), [(3, [0, 1, 2]), (4, [0, 1, 2, 3]), (7, [0, 2, 4, 6]), (1, [0])]
)
def test_evenly_spaced(count: int, expected: list[int]) -> None:
    assert evenly_spaced(range(count), 4) == expected


# The folder


def test_an_earlier_export_is_replaced_and_another_folder_is_not(tmp_path: Path) -> None:
    path, folder = write_bundle(tmp_path), tmp_path / "folder"
    folder.mkdir()
    only_onnx(path, folder)
    (folder / "pose.onnx").touch()
    only_onnx(path, folder)
    assert "pose.onnx" not in digests(folder)
    (folder / "notes.txt").touch()
    with pytest.raises(
        ConfigError, match=r"folder contains notes\.txt and is no export; .* name another with"
    ):
        only_onnx(path, folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "card.md").touch()
    with pytest.raises(ConfigError, match=r"other contains card\.md and is no export"):
        only_onnx(path, other)
    with pytest.raises(ConfigError, match="is a file; expected a folder"):
        only_onnx(path, path)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_export import only_onnx
import skdpipe.export.student as student
student.card_of = lambda metadata: os.kill(os.getpid(), signal.SIGKILL)
only_onnx(Path(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_export_leaves_no_folder_that_looks_complete(tmp_path: Path) -> None:
    path = write_bundle(tmp_path)
    command = [sys.executable, "-c", KILLED, str(path), str(Path(__file__).parent)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (hidden,) = (each for each in tmp_path.iterdir() if each != path)
    assert hidden.name.startswith(".")
    only_onnx(path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["student-export", "student.safetensors"]


def test_formats_that_are_unknown_or_not_installed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_bundle(tmp_path)
    with pytest.raises(ConfigError, match=r"^format 'coreml'; expected onnx, openvino, litert$"):
        export_student(path, formats=["coreml"], skeletons=SKELETONS)
    monkeypatch.setattr("skdpipe.errors.find_spec", lambda name: None if name == "litert_torch" else name)
    with pytest.raises(MissingDependencyError, match=r"^litert_torch not found.*skdpipe\[litert\]"):
        export_student(path, formats=["litert"], skeletons=SKELETONS)


# The pose network


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Some frames of a rendered actor."""
    scene = make_scene("wave", subject=1, take=0, seed=3, size=(160, 120), frames=6, fps=12.0)
    write_video(tmp_path / "people.mp4", render_clip(scene).frames, 12.0)
    return tmp_path / "people.mp4"


def fingerprint_of(settings: OpenPifPafSettings) -> str:
    return load_estimator(settings).fingerprint


def test_the_pose_network_is_exported_beside_the_student(tmp_path: Path, video: Path) -> None:
    path = write_bundle(tmp_path, estimator=LOW, fingerprint=fingerprint_of(LOW))
    report = only_onnx(path, pose=True, video=video)
    assert report.pose is not None
    assert (report.pose.parity.clips, report.pose.parity.equal) == (6, 1.0)
    assert report.pose.parity.largest_difference < 0.01
    stated = metadata_of(tmp_path / "student-export/pose.onnx")
    assert stated["format"] == "skdpipe-pose-network-1"
    assert json.loads(stated["parity"]) == {
        "clips": 6,
        "largest_difference": report.pose.parity.largest_difference,
        "equal": 1.0,
    }
    description = json.loads(stated["description"])
    assert parse_estimator_settings(description["settings"], "pose.onnx") == LOW
    assert description["fingerprint"] == fingerprint_of(LOW)
    network = NetworkDescription(description["backbone"], description["upsample"], description["checksum"])
    model = (tmp_path / "student-export/pose.onnx").read_bytes()
    estimator = OpenPifPaf(
        ExportedFields(open_session(model, "onnx"), network, calls=1), long_edge=97, thresholds=LOW.thresholds
    )
    frames = list(read_frames(video))
    assert estimator.fingerprint == fingerprint_of(LOW)
    for found, expected in zip(
        estimator(frames), load_estimator(replace(LOW, runtime="torch"))(frames), strict=True
    ):
        assert len(expected) == 1
        np.testing.assert_allclose(found, expected, atol=0.01)


def test_the_videos_of_the_skeletons_are_compared(tmp_path: Path, video: Path) -> None:
    path = write_bundle(tmp_path, estimator=LOW, fingerprint=fingerprint_of(LOW))
    filmed = [replace(each, origin=replace(each.origin, source=str(video))) for each in SKELETONS]
    report = export_student(path, formats=["onnx"], skeletons=filmed, pose=True)
    assert report.pose is not None
    assert (report.pose.videos, report.pose.parity.clips) == (1, 6)


def test_without_people_on_video_the_pose_network_is_not_exported(tmp_path: Path) -> None:
    path = write_bundle(tmp_path, estimator=LOW, fingerprint=fingerprint_of(LOW))
    with pytest.raises(
        DataError, match=r"^no video to compare the pose network on .*; name one with --video$"
    ):
        only_onnx(path, pose=True)
    write_video(tmp_path / "empty.mp4", [np.zeros((48, 64, 3), np.uint8)] * 3, 12.0)
    with pytest.raises(DataError, match=r"^nobody is found in the frames of .*empty\.mp4"):
        only_onnx(path, pose=True, video=tmp_path / "empty.mp4")
    assert not (tmp_path / "student-export").exists()


@pytest.mark.parametrize("estimator", [PluginSettings(BOX_PLUGIN), RtmlibSettings("rtmo")])
def test_other_estimators_are_named_and_not_exported(tmp_path: Path, estimator: Estimator) -> None:
    path = write_bundle(tmp_path, estimator=estimator, fingerprint="box")
    report = only_onnx(path, pose=True)
    assert report.pose is None
    (note,) = report.notes
    assert note.startswith("no pose.onnx: ")
    assert ("plugin" if isinstance(estimator, PluginSettings) else "rtmlib rtmo") in note
    stated = json.loads(metadata_of(tmp_path / "student-export/student.onnx")["description"])
    assert parse_estimator_settings(stated["estimator"], "student.onnx") == estimator


def test_a_pickle_that_only_the_bundle_names_is_never_opened(tmp_path: Path, video: Path) -> None:
    pickled = tmp_path / "weights.pkl"
    pickled.write_bytes(pickle.dumps(Trap(tmp_path / "opened")))
    settings = replace(LOW, weights=str(pickled))
    path = write_bundle(tmp_path, estimator=settings)
    with pytest.raises(BundleError, match=r"code outside skdpipe .*never run on the word of a bundle"):
        only_onnx(path, pose=True, video=video)
    assert not (tmp_path / "opened").exists()
    assert not (tmp_path / "student-export").exists()
    only_onnx(path)  # without the pose network nothing of the estimator is read


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def test_weights_that_have_changed_since_the_training_are_refused(tmp_path: Path, video: Path) -> None:
    path = write_bundle(tmp_path, estimator=LOW, fingerprint="openpifpaf shufflenetv2x1 of another training")
    with pytest.raises(BundleError, match="of another training', but the estimator found here is"):
        only_onnx(path, pose=True, video=video)
    given = replace(LOW, long_edge=129)
    assert only_onnx(path, pose=True, video=video, estimator=given).pose is not None


def test_three_coordinates_have_no_pose_network(tmp_path: Path) -> None:
    path = write_bundle(tmp_path, clip=ClipFormat(frames=8, coordinates=3), estimator=LOW)
    with pytest.raises(BundleError, match="trained on three coordinates"):
        only_onnx(path, pose=True)


def test_people_in_another_order_are_the_same(tmp_path: Path) -> None:
    left, right = (a_sequence(ACTIONS[0]).keypoints[0] + np.float32([shift, 0, 0]) for shift in (0, 30))
    both = np.concatenate([left, right])
    moved = both[::-1] + np.float32([0.25, 0, 0])
    assert largest_difference(both, moved) == pytest.approx(0.25)
    assert largest_difference(both, both[:1]) is None
    hidden = both.copy()
    hidden[0, 3] = np.nan, np.nan, 0
    assert largest_difference(both, hidden) is None
    assert largest_difference(both[:0], both[:0]) == 0
