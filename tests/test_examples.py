"""The examples: an estimator from outside the package, the pipeline in Python, a loss of one's own.

The reference poses were made with the network under test. Agreement shows that frames are preprocessed and
keypoints postprocessed correctly; it does not measure the accuracy of MoveNet.
"""

import hashlib
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from moving_body import ACTIONS, BOX_PLUGIN, a_sequence, blurred, write_action_video
from stream_server import served
from typer.testing import CliRunner

import skdpipe
from skdpipe.cache import PoseCache
from skdpipe.cli.commands import app
from skdpipe.config import (
    ClipFormat,
    Estimator,
    Experiment,
    Extraction,
    PluginSettings,
    load_config,
    to_plain,
)
from skdpipe.errors import MissingDependencyError, PoseError
from skdpipe.inference.model_input import model_input
from skdpipe.pose import PoseEstimator
from skdpipe.pose.load import load_estimator
from skdpipe.skeleton import COCO_17, PoseSequence, describe_layout, layout_named, map_layout
from skdpipe.skeleton.people import pairwise_oks
from skdpipe.video import Frame, read_frames

REPO = Path(__file__).parents[1]
CLIPS = REPO.parent / "shared/data/clips"
WEIGHTS = REPO.parent / "shared/weights/movenet"
CPU = torch.device("cpu")

needs_clips = pytest.mark.skipif(not CLIPS.is_dir(), reason=f"no clips in {CLIPS}")
needs_movenet = pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime") is None or not WEIGHTS.is_dir(),
    reason=f"MoveNet needs onnxruntime and weights in {WEIGHTS}",
)


@pytest.fixture(autouse=True)
def _as_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The root of the repository is the working directory; no example stays imported."""
    monkeypatch.chdir(REPO)
    monkeypatch.syspath_prepend(REPO / "examples")
    for path in (REPO / "examples").glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)


def example(name: str) -> ModuleType:
    return importlib.import_module(name)


# MoveNet: the protocol


def movenet(**options: object) -> PoseEstimator:
    weights = {"weights": str(WEIGHTS / "multipose_256.onnx"), "threads": 1}
    return load_estimator(
        PluginSettings(plugin="examples/movenet.py:MoveNet", options=weights | options), CPU
    )


@pytest.fixture(scope="module")
def lifter() -> list[Frame]:
    """Three frames of the weightlifter, whole and from the front."""
    return [f for i, f in enumerate(read_frames(CLIPS / "clean_and_jerk.mp4")) if i in (0, 150, 290)]


@needs_movenet
@pytest.mark.parametrize("section", ["high", "low"])
def test_the_config_loads_an_estimator_from_outside_the_package(section: str) -> None:
    settings = load_config(Extraction, REPO / "configs/movenet.yaml", section="extraction")
    chosen: Estimator = getattr(settings, section)
    estimator = load_estimator(chosen, CPU)
    assert isinstance(estimator, PoseEstimator)
    assert estimator.layout is COCO_17
    assert estimator([]) == []
    digest = hashlib.sha256(Path(chosen.options["weights"]).read_bytes()).hexdigest()
    side = {"high": 384, "low": 256}[section]
    assert estimator.fingerprint == f"movenet-multipose-{side} {digest[:16]} person0.25 keypoint0.2"


def test_the_estimator_for_prediction_is_the_low_quality_of_the_config() -> None:
    extraction = load_config(Extraction, REPO / "configs/movenet.yaml", section="extraction")
    assert load_config(Estimator, REPO / "configs/movenet-estimator.yaml") == extraction.low
    load_config(Experiment, REPO / "configs/movenet.yaml", section="experiment")


@needs_movenet
def test_another_threshold_is_another_estimator() -> None:
    assert len({movenet(**o).fingerprint for o in ({}, {"person": 0.3}, {"keypoint": 0.1})}) == 3


@needs_movenet
@needs_clips
def test_people_are_as_the_protocol_requires(lifter: list[Frame]) -> None:
    found = movenet(keypoint=0.5)([*lifter, np.zeros_like(lifter[0])])
    assert [len(people) for people in found] == [1, 1, 1, 0]
    for people in found:
        assert people.dtype == np.float32
        assert people.shape[1:] == (17, 3)
        unseen = people[..., 2] == 0
        assert np.array_equal(np.isnan(people[..., :2]), np.stack([unseen, unseen], axis=-1))
        assert np.all(unseen | ((people[..., 2] >= 0.5) & (people[..., 2] <= 1)))


@needs_movenet
@needs_clips
def test_in_a_mirror_image_left_is_right(lifter: list[Frame]) -> None:
    estimator, width = movenet(), lifter[0].shape[1]
    mirrored = estimator([np.ascontiguousarray(frame[:, ::-1]) for frame in lifter])
    for people, images in zip(estimator(lifter), mirrored, strict=True):
        back = images[:, list(COCO_17.mirror)] * [-1, 1, 1] + [width, 0, 0]
        assert pairwise_oks(people, back.astype(np.float32), COCO_17.sigmas)[0, 0] > 0.9


@needs_movenet
@needs_clips
def test_a_lifter_who_faces_the_camera_has_his_left_side_on_the_right(
    lifter: list[Frame],
) -> None:
    for frame, (person,) in zip(lifter, movenet()(lifter), strict=True):
        joints = dict(zip(COCO_17.joints, person[:, :2], strict=True))
        for joint in ("shoulder", "hip", "ankle"):
            assert joints[f"left_{joint}"][0] > joints[f"right_{joint}"][0]
        assert joints["nose"][1] < joints["left_hip"][1] < joints["left_knee"][1] < frame.shape[0]


def test_the_frame_is_in_the_top_left_corner_of_the_square() -> None:
    square = example("movenet").letterbox(np.full((100, 200, 3), 255, np.uint8), 64)
    assert square.shape == (64, 64, 3)
    assert np.all(square[:32] == 255)
    assert np.all(square[32:] == 0)


def test_keypoints_of_a_row_computed_by_hand() -> None:
    row = np.zeros((1, 56), np.float32)
    row[0, :9] = [0.5, 0.25, 0.9, 0.1, 1.2, 0.3, 0.4, 0.4, 0.1]
    nose, left_eye, right_eye = example("movenet").to_keypoints(row, 200, 0.2)[0, :3]
    assert nose == pytest.approx([50, 100, 0.9])
    assert left_eye == pytest.approx([240, 20, 0.3])  # outside the frame, as in the output of MoveNet
    assert right_eye == pytest.approx([np.nan, np.nan, 0], nan_ok=True)


# MoveNet: mistakes of a user


def error_of(**options: object) -> str:
    with pytest.raises(PoseError) as caught:
        movenet(**options)
    return str(caught.value)


def test_without_onnx_runtime_the_message_contains_a_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r'onnxruntime not found.*pip install "skdpipe\[onnx\]"'):
        movenet()


@needs_movenet
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weights": "nowhere.onnx"}, [str(REPO / "nowhere.onnx"), "expected multipose_256", "weights"]),
        ({"weights": "LICENSE"}, ["LICENSE", "ONNX Runtime", "download it again"]),
        ({"weights": str(WEIGHTS / "thunder.onnx")}, ["[1, 1, 17, 3]", "expected", "[1, 6, 56]"]),
        ({"person": 25}, ["person", "25", "from 0 to 1"]),
        ({"keypoint": "high"}, ["keypoint", "'high'", "from 0 to 1"]),
    ],
)
def test_a_mistake_in_the_options_is_one_line(options: dict[str, object], words: list[str]) -> None:
    message = error_of(**options)
    assert "\n" not in message
    assert all(word in message for word in words), message


@needs_movenet
def test_an_option_that_does_not_exist_is_one_line() -> None:
    message = error_of(persn=0.25)
    assert "\n" not in message
    assert "persn" in message


def test_a_plugin_that_is_not_there_is_one_line() -> None:
    with pytest.raises(PoseError, match=r"^cannot load .*movnet\.py.*expected path/to/file\.py:Name.*$"):
        load_estimator(PluginSettings(plugin="examples/movnet.py:MoveNet"), CPU)


# MoveNet: on real clips


@pytest.fixture(scope="module")
def real_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One person from the side (reference made at 256), one in pixels that are not square, three in a row."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "reference_poses").symlink_to(CLIPS / "reference_poses")
    for name in ("clean_and_jerk.mp4", "ta_chi.mp4", "three_people_aerobics.avi"):
        (folder / name).symlink_to(CLIPS / name)
    return folder


@needs_movenet
@needs_clips
def test_skeletons_agree_with_the_reference(real_clips: Path, tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    compared = example("compare_with_reference").compare_folder(real_clips, cache, "movenet")
    rows = {(row.clip, row.estimator[-3:]): row for row in compared}
    assert [len(row.found_people) for row in compared] == [60, 60, 60, 60, 79, 79]
    for same in (rows["ta_chi.mp4", "256"], rows["three_people_aerobics.avi", "384"]):
        assert same.reference.endswith(same.estimator[-3:])
        assert same.agreement > 0.98  # measured: 1
        assert same.oks > 0.99  # measured: 1.000
    assert rows["clean_and_jerk.mp4", "384"].oks > 0.95  # measured: 0.983
    assert rows["three_people_aerobics.avi", "256"].oks > 0.8  # measured: 0.846
    assert all(row.agreement > 0.95 for row in compared)  # measured: 0.99 and 1

    example("draw_skeletons").main(cache.root, tmp_path / "images", frames=3)
    images = sorted((tmp_path / "images").glob("*/*/*.png"))
    assert [image.stem for image in images] == ["clean_and_jerk", "ta_chi", "three_people_aerobics"] * 2
    assert cv2.imread(str(images[0])).shape == (256, 3 * 455, 3)  # square pixels of 340x256


@needs_movenet
@needs_clips
def test_the_command_line_takes_the_config_by_name(tmp_path: Path) -> None:
    clip, settings = str(CLIPS / "clean_and_jerk.mp4"), ["--set", "high.every=30", "--set", "low.every=60"]
    ran = CliRunner().invoke(
        app, ["extract", clip, "-c", "movenet", "--cache", str(tmp_path), "--device", "cpu", *settings]
    )
    assert ran.exit_code == 0, ran.output
    assert "1 videos extracted" in " ".join(ran.output.split())
    high, low = PoseCache(tmp_path).entries()
    assert (high.quality, high.frames, low.quality, low.frames) == ("high", 10, "low", 5)
    assert high.settings.startswith("movenet-multipose-384-k30-")


# The pipeline on videos of a white box that moves sideways or up and down

CONFIG = f"""
extraction:
  high: {{plugin: "{BOX_PLUGIN}"}}
  low: {{plugin: "{BOX_PLUGIN}", options: {{shake: 2.0}}, every: 2}}
experiment:
  name: boxes
  clip: {{frames: 12, people: 1, scale: image}}
  teacher: {{name: st_2sgcn, width: 8}}
  student: {{name: st_2sgcn, width: 8}}
  recipe: {{epochs: 40, batch: 4, learning_rate: 0.02, warmup: 2}}
  distillation: {{node_variant: relative}}
"""


def test_own_videos_then_a_loss_of_one_s_own(tmp_path: Path) -> None:
    config, cache, models = tmp_path / "boxes.yaml", PoseCache(tmp_path / "cache"), tmp_path / "models"
    config.write_text(CONFIG, encoding="utf-8")
    for action in ACTIONS:
        for number in range(6):
            write_action_video(tmp_path / "videos" / action / f"{number}.mp4", action, number)
    new = {action: write_action_video(tmp_path / f"{action}.mp4", action, 7) for action in ACTIONS}

    own_videos = example("own_videos")
    result = own_videos.train_on(tmp_path / "videos", str(config), cache, models)
    assert result.manifest.classes == ACTIONS
    assert result.figures["student"].top1 == 100
    for action, clip in new.items():
        assert own_videos.label(clip, result.folder / "student.safetensors", str(config)).label == action

    settings = load_config(Extraction, config, section="extraction")
    predictor = skdpipe.load_predictor(result.folder / "student.safetensors", estimator=settings.low)
    windows = skdpipe.FootageSettings(window=1.0)
    for action, clip in new.items():
        with served(lambda *_, clip=clip: clip.read_bytes()) as address:
            labels = list(example("live_camera").labels_of(predictor, address, windows))
        assert {each.label for each in labels} == {action}

    experiment = load_config(Experiment, config, section="experiment")
    figures = example("own_loss").train_student(experiment, cache, result.folder, weight=1.0)
    assert figures.top1 == 100
    for action, clip in new.items():
        assert own_videos.label(clip, result.folder / "attention.safetensors", str(config)).label == action


def test_the_attention_loss_does_not_depend_on_scale() -> None:
    loss = example("own_loss").attention_loss
    features = torch.rand(2, 4, 3, 17, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert loss(7 * features.repeat(1, 3, 1, 1), features) == pytest.approx(0)
    here, there = torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, 2)
    here[..., 0], there[..., 1] = 3, 5
    assert loss(here, there) == pytest.approx(2)  # (1, 0) against (0, 1)
    assert loss(features[:0], features[:0]) == 0


# Skeletons without skdpipe


def several_people(people: int) -> PoseSequence:
    """Every other frame of people of whom joints are missing; the last is the most confident."""
    shown = [blurred(a_sequence(ACTIONS[number % 2], number)) for number in range(people)]
    keypoints = np.concatenate([each.keypoints for each in shown], axis=1)
    keypoints[..., 2] *= np.linspace(0.5, 1, people, dtype=np.float32)[:, None]
    keypoints[:2, 0] = np.nan, np.nan, 0
    return shown[0].with_keypoints(keypoints)


def as_fields(sequence: PoseSequence) -> dict[str, object]:
    return {
        "keypoints": sequence.keypoints,
        "frame": sequence.frame_index,
        "frames": sequence.video_frames,
        "size": sequence.size,
    }


@pytest.mark.parametrize("people", [1, 2, 3])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"frames": 30, "smoothing": 3},
        {"fill": "replay", "frames": 20},
        {"scale": "image", "missing": "interpolate"},
        {"scale": "root", "stream": "bone"},
        {"smoothing": 5, "missing": "interpolate", "stream": "joint_motion"},
        {"layout": "penn-13", "stream": "bone_motion", "missing": "interpolate"},
    ],
    ids=str,
)
def test_the_input_of_a_network_without_skdpipe_is_that_of_skdpipe(
    settings: dict[str, Any], people: int
) -> None:
    clip = ClipFormat(**{"frames": 8, **settings})
    layout = layout_named(clip.layout)
    sequence = map_layout(several_people(people), layout)
    described = json.loads(json.dumps([to_plain(clip), to_plain(describe_layout(layout))]))
    x, mask = example("label_skeletons").network_input(as_fields(sequence), *described)
    expected, shown = model_input(sequence, clip)
    np.testing.assert_array_equal(mask, shown)
    np.testing.assert_array_equal(x, expected)
    assert x.dtype == expected.dtype


def test_nobody_and_other_joints_are_refused_without_skdpipe() -> None:
    run = example("label_skeletons").network_input
    described = to_plain(ClipFormat()), to_plain(describe_layout(COCO_17))
    nobody = {"keypoints": np.zeros((3, 1, 17, 3))}
    assert not run(nobody, *described)[1].any()
    with pytest.raises(ValueError, match=r"keypoints \(3, 1, 13, 3\), expected \(frame, person, 17, 3\)"):
        run({"keypoints": np.zeros((3, 1, 13, 3))}, *described)


def test_a_skeleton_in_json_is_that_in_npz(tmp_path: Path) -> None:
    script, fields = example("label_skeletons"), as_fields(several_people(2))
    np.savez(tmp_path / "a.npz", **fields)
    keypoints = np.asarray(fields["keypoints"])
    plain = {name: np.asarray(value).tolist() for name, value in fields.items()}
    plain["keypoints"] = np.where(np.isnan(keypoints), None, keypoints.astype(object)).tolist()
    (tmp_path / "a.json").write_text(json.dumps(plain))
    described = to_plain(ClipFormat()), to_plain(describe_layout(COCO_17))
    in_npz, in_json = (
        script.network_input(script.load_skeleton(tmp_path / name), *described)[0]
        for name in ("a.npz", "a.json")
    )
    np.testing.assert_array_equal(in_npz, in_json)
