"""rtmlib's estimators, end to end through rtmlib's own code, with networks that find coloured figures.

The published weights are not here: what the networks find in pictures of people is not measured.
"""

from __future__ import annotations

import hashlib
import http.server
import importlib.metadata
import importlib.util
import io
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rtmlib_networks as networks
import torch
from rtmlib_networks import draw
from typer.testing import CliRunner

from skdpipe.cache import PoseCache
from skdpipe.cli.commands import app
from skdpipe.config import (
    Experiment,
    Extraction,
    RtmlibSettings,
    config_path,
    load_config,
    parse_estimator_settings,
)
from skdpipe.errors import ConfigError, PoseError
from skdpipe.extraction import extract_videos, find_videos, open_sources
from skdpipe.pose import PoseEstimator
from skdpipe.pose.load import load_estimator
from skdpipe.pose.protocol import detect_people
from skdpipe.pose.rtmlib import Rtmlib
from skdpipe.pose.rtmlib.download import fetch
from skdpipe.profile.variants import describe_settings
from skdpipe.skeleton import Keypoints, is_seen
from skdpipe.skeleton.builtin_layouts import COCO_17, COCO_WHOLEBODY_133, HALPE_26
from skdpipe.video import Frame, write_video

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(module) is None for module in ("rtmlib", "onnxruntime", "onnx")),
    reason="needs the extras rtmlib and onnx",
)
RUNTIMES = ["onnx", pytest.param("openvino", marks=pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="needs the extra openvino"))]  # fmt: skip
BLUE, CYAN = (60, 50, 140, 250), (400, 90, 520, 330)  # left, top, right, bottom
EVEN, ODD, LAST = 0, 1, 16  # joints of COCO
PIXELS = (
    0.5  # a bin of RTMPose's output is half a pixel of its crop, and a crop is at most 1.6 times a person
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks: detector.onnx, raw.onnx (a detector before suppression), pose.onnx, rtmo.onnx."""
    path = tmp_path_factory.mktemp("networks")
    networks.write_detector(path / "detector.onnx")
    networks.write_raw_detector(path / "raw.onnx")
    networks.write_rtmpose(path / "pose.onnx")
    networks.write_rtmo(path / "rtmo.onnx")
    return path


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No downloaded network, and a proxy that nothing listens to."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def rtmpose(folder: Path, **settings: Any) -> Rtmlib:
    paths = {"detector": str(folder / "detector.onnx"), "pose": str(folder / "pose.onnx")}
    return Rtmlib(RtmlibSettings(**{"runtime": "onnx", **paths, **settings}), threads=2)


def rtmo(folder: Path, **settings: Any) -> Rtmlib:
    defaults = {"model": "rtmo", "runtime": "onnx", "pose": str(folder / "rtmo.onnx")}
    return Rtmlib(RtmlibSettings(**{**defaults, **settings}), threads=2)


def empty_frame() -> Frame:
    return np.full((360, 640, 3), 40, np.uint8)


def frame_with(*boxes: tuple[int, int, int, int]) -> Frame:
    """A frame with blue people."""
    frame = empty_frame()
    for box in boxes:
        draw(frame, box)
    return frame


def shifted(box: tuple[int, int, int, int], right: int) -> tuple[int, int, int, int]:
    return (box[0] + right, box[1], box[2] + right, box[3])


def people_in(estimator: PoseEstimator, *frames: Frame) -> list[Keypoints]:
    return detect_people(estimator, list(frames))


# Where the joints are


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_rtmpose_finds_the_squares_of_both_people(folder: Path, runtime: str) -> None:
    frame = empty_frame()
    squares = [draw(frame, BLUE), draw(frame, CYAN, cyan=True)]
    (people,) = people_in(rtmpose(folder, runtime=runtime), frame)
    assert people.shape == (2, 17, 3)
    for person, (red, green) in zip(people, squares, strict=True):
        assert np.allclose(person[0:16:2, :2], red, atol=PIXELS)
        assert np.allclose(person[1:16:2, :2], green, atol=PIXELS)
        assert np.isnan(person[LAST, :2]).all()
    assert np.allclose(people[:, [EVEN, ODD, LAST], 2], [[1, 0.8, 0], [1, 0.5, 0]], atol=0.01)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_rtmo_finds_the_squares_of_both_people(folder: Path, runtime: str) -> None:
    frame = empty_frame()
    squares = [draw(frame, BLUE), draw(frame, CYAN, cyan=True)]
    (people,) = people_in(rtmo(folder, runtime=runtime), frame)
    assert people.shape == (2, 17, 3)
    assert np.allclose(people[:, [EVEN, ODD], :2], squares, atol=0.01)  # the frame is not scaled
    assert np.allclose(people[:, [EVEN, ODD], 2], [[0.9, 0.45], [0.6, 0.3]])


@pytest.mark.parametrize("size", [(1280, 720), (480, 640), (333, 250)])
def test_frames_of_any_size_are_scaled_back(folder: Path, size: tuple[int, int]) -> None:
    frame = np.full((size[1], size[0], 3), 40, np.uint8)
    squares = draw(frame, (100, 40, 220, 240))
    for estimator in (rtmpose(folder), rtmo(folder)):
        ((person,),) = people_in(estimator, frame)
        assert np.allclose(person[[EVEN, ODD], :2], squares, atol=1)


def test_the_first_person_is_the_most_confident_one(folder: Path) -> None:
    """The networks put out the cyan person first."""
    frame = empty_frame()
    draw(frame, CYAN)
    draw(frame, BLUE, cyan=True)
    for estimator in (rtmpose(folder), rtmo(folder)):
        (people,) = people_in(estimator, frame)
        means = people[..., 2].mean(axis=1)
        assert means[0] > means[1] + 0.1
        assert people[0, EVEN, 0] > people[1, EVEN, 0]


def test_a_detector_before_suppression_finds_a_person_once_and_no_thing(folder: Path) -> None:
    frame = empty_frame()
    squares = draw(frame, BLUE)
    (people,) = people_in(rtmpose(folder, detector=str(folder / "raw.onnx")), frame)
    assert len(people) == 1
    assert np.allclose(people[0, [EVEN, ODD], :2], squares, atol=PIXELS)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_files_that_leave_the_size_open_get_that_of_the_mode(
    folder: Path, tmp_path: Path, runtime: str
) -> None:
    detector = str(networks.write_detector(tmp_path / "detector.onnx", 640, fixed=False))
    pose = str(networks.write_rtmpose(tmp_path / "pose.onnx", fixed=False))
    frame = empty_frame()
    squares = draw(frame, BLUE)
    for mode, side in (("balanced", 640), ("lightweight", 416)):
        estimator = rtmpose(folder, detector=detector, pose=pose, mode=mode, runtime=runtime)
        assert estimator.fingerprint.startswith("rtmpose-192x256 ")
        assert f" yolox-{side}x{side} " in estimator.fingerprint
        assert np.allclose(people_in(estimator, frame)[0][0, [EVEN, ODD], :2], squares, atol=PIXELS)


def test_the_size_of_another_rtmpose_is_read_from_its_file(folder: Path, tmp_path: Path) -> None:
    pose = networks.write_rtmpose(tmp_path / "large.onnx", (288, 384))
    frame = empty_frame()
    squares = draw(frame, BLUE)
    estimator = rtmpose(folder, pose=str(pose), mode="lightweight")
    assert "rtmpose-288x384 " in estimator.fingerprint
    assert np.allclose(people_in(estimator, frame)[0][0, [EVEN, ODD], :2], squares, atol=PIXELS)


@pytest.mark.parametrize("layout", [HALPE_26, COCO_WHOLEBODY_133], ids=lambda layout: layout.name)
def test_other_bodies(folder: Path, tmp_path: Path, layout: Any) -> None:
    pose = networks.write_rtmpose(tmp_path / "pose.onnx", joints=len(layout))
    estimator = rtmpose(folder, pose=str(pose), body=layout.name)
    assert estimator.layout is layout
    (people,) = people_in(estimator, frame_with(BLUE))
    assert people.shape == (1, len(layout), 3)


def test_the_joints_are_in_the_order_of_the_layouts() -> None:
    from rtmlib.visualization import skeleton

    other_names = {"head": "head_top", "hip": "hip_centre"}
    for layout, theirs in (
        (COCO_17, skeleton.coco17),
        (HALPE_26, skeleton.halpe26),
        (COCO_WHOLEBODY_133, skeleton.coco133),
    ):
        names = [theirs["keypoint_info"][joint]["name"].replace("-", "_") for joint in range(len(layout))]
        expected = [other_names.get(name, name) if layout is HALPE_26 else name for name in names]
        assert list(layout.joints) == expected


# rtmlib itself as the reference


def test_rtmpose_is_rtmlibs_own_body(folder: Path, tmp_path: Path) -> None:
    """With a detector of RGB images, as `rtmlib.Body` gives one order of channels to both networks."""
    import rtmlib

    detector = networks.write_detector(tmp_path / "rgb.onnx", order="rgb")
    body = rtmlib.Body(
        det=str(detector),
        det_input_size=(416, 416),
        pose=str(folder / "pose.onnx"),
        pose_input_size=(192, 256),
    )
    frame = empty_frame()
    draw(frame, CYAN)  # blue, and away from the thing, which rtmlib takes for a person
    xy, scores = body(frame)
    (people,) = people_in(rtmpose(folder), frame)
    real = scores[:, EVEN] > 0.3
    assert real.sum() == len(people) == 1
    seen = is_seen(people[0])
    assert np.allclose(people[0, seen, :2], xy[real][0, seen], atol=1e-3)
    assert np.allclose(people[0, seen, 2], np.clip(scores[real][0, seen], 0, 1))


def test_rtmo_is_rtmlibs_own(folder: Path) -> None:
    import rtmlib

    frame = np.full((250, 333, 3), 40, np.uint8)
    draw(frame, (20, 40, 100, 200))
    draw(frame, (200, 40, 280, 200), cyan=True)
    xy, scores = rtmlib.RTMO(str(folder / "rtmo.onnx"), score_thr=0.3)(np.ascontiguousarray(frame[..., ::-1]))
    (people,) = people_in(rtmo(folder, keypoint=0), frame)
    order = np.argsort(-scores.mean(axis=1))
    assert np.allclose(people, np.concatenate([xy, scores[..., None]], axis=-1)[order], atol=1e-4)


# When the detector runs


def test_the_detector_runs_on_the_first_of_n_frames(folder: Path) -> None:
    """A person that enters is found in the next frame with a detection, and one that is known before."""
    known = [shifted(BLUE, 4 * number) for number in range(7)]
    frames = [frame_with(box) for box in known]
    for frame in frames[1:]:
        draw(frame, CYAN, cyan=True)
    found = people_in(rtmpose(folder, detect_every=3), *frames)
    assert [len(people) for people in found] == [1, 1, 1, 2, 2, 2, 2]
    for people, (left, top, *_) in zip(found, known, strict=True):
        assert np.allclose(people[0, EVEN, :2], (left + 9, top + 9), atol=PIXELS)
    assert [len(people) for people in people_in(rtmpose(folder), *frames)] == [1, 2, 2, 2, 2, 2, 2]


def test_a_person_that_leaves_its_box_is_lost_until_the_next_detection(folder: Path) -> None:
    frames = [frame_with(BLUE)] + 3 * [frame_with(shifted(BLUE, 300))]
    found = people_in(rtmpose(folder, detect_every=3), *frames)
    assert [len(people) for people in found] == [1, 0, 0, 1]


def test_every_call_starts_with_a_detection(folder: Path) -> None:
    """Nothing of the last video is in the next one, and frames one by one are all searched."""
    estimator = rtmpose(folder, detect_every=100)
    people_in(estimator, frame_with(BLUE))
    elsewhere = frame_with(shifted(BLUE, 300))
    ((person,),) = people_in(estimator, elsewhere)
    assert person[EVEN, 0] == pytest.approx(BLUE[0] + 300 + 9, abs=PIXELS)
    assert estimator([]) == []


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_several_threads_may_call_an_estimator_at_once(folder: Path, runtime: str) -> None:
    clips = [[frame_with(shifted(BLUE, 50 * clip + 4 * number)) for number in range(4)] for clip in range(8)]
    for estimator in (rtmpose(folder, detect_every=2, runtime=runtime), rtmo(folder, runtime=runtime)):
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(estimator, clips))
        for frames, people in zip(clips, found, strict=True):
            for several, alone in zip(people, people_in(estimator, *frames), strict=True):
                assert np.array_equal(several, alone, equal_nan=True)


def test_a_person_at_the_border_keeps_its_box(folder: Path) -> None:
    """The box around the joints ends at the frame, however often it is made larger."""
    frame = empty_frame()
    squares = draw(frame, (0, 0, 640, 360))
    for people in people_in(rtmpose(folder, detect_every=50), *50 * [frame]):
        assert np.allclose(people[0, [EVEN, ODD], :2], squares, atol=2)


# Thresholds


def test_nobody_is_in_an_empty_frame(folder: Path) -> None:
    """rtmlib takes the whole frame for a person (RTMPose), or fails (RTMO)."""
    for estimator in (rtmpose(folder, detect_every=2), rtmo(folder)):
        assert [people.shape for people in people_in(estimator, *3 * [empty_frame()])] == 3 * [(0, 17, 3)]


def test_people_below_the_threshold_are_left_out(folder: Path) -> None:
    frame = empty_frame()
    draw(frame, BLUE)
    draw(frame, CYAN, cyan=True)
    for make in (rtmpose, rtmo):
        for threshold, expected in ((0.1, 2), (0.59, 2), (0.61, 1), (0.95, 0)):
            assert len(people_in(make(folder, person=threshold), frame)[0]) == expected


def test_joints_below_the_threshold_are_unseen_and_people_without_joints_left_out(folder: Path) -> None:
    frame = frame_with(BLUE)
    for threshold, expected in ((0.0, 17), (0.3, 16), (0.85, 8)):
        ((person,),) = people_in(rtmpose(folder, keypoint=threshold), frame)
        assert is_seen(person).sum() == expected
    ((person,),) = people_in(rtmo(folder, keypoint=0.5), frame)
    assert is_seen(person).sum() == 9
    assert people_in(rtmo(folder, keypoint=0.95), frame)[0].shape == (0, 17, 3)


# Fingerprint


def test_the_fingerprint_names_all_on_which_the_result_depends(folder: Path) -> None:
    first = rtmpose(folder).fingerprint
    others = [
        rtmpose(folder, **changed).fingerprint
        for changed in (
            {"person": 0.4},
            {"keypoint": 0.4},
            {"detect_every": 2},
            {"detector": str(folder / "raw.onnx")},
        )
    ]
    assert len({first, *others, rtmo(folder).fingerprint}) == 6
    assert rtmpose(folder, mode="performance").fingerprint == first  # it only chooses what is downloaded
    files = {name: (folder / f"{name}.onnx").read_bytes() for name in ("detector", "pose", "rtmo")}
    digests = {name: hashlib.sha256(content).hexdigest()[:16] for name, content in files.items()}
    assert first == (
        f"rtmpose-192x256 {digests['pose']} coco-17 yolox-416x416 {digests['detector']} detect1 "
        f"person0.3 keypoint0.3 rtmlib-{importlib.metadata.version('rtmlib')}"
    )
    assert rtmo(folder).fingerprint.startswith(f"rtmo-640x640 {digests['rtmo']} person0.3 ")


# From settings, and on a video


def test_settings_load_the_estimator(folder: Path) -> None:
    settings = parse_estimator_settings(
        {"kind": "rtmlib", "model": "rtmo", "pose": str(folder / "rtmo.onnx"), "runtime": "onnx"}, "memory"
    )
    assert isinstance(settings, RtmlibSettings)
    estimator = load_estimator(settings, torch.device("cpu"))
    assert isinstance(estimator, PoseEstimator)
    assert estimator.fingerprint == rtmo(folder).fingerprint


def test_the_fastest_installed_runtime_is_chosen_and_known(folder: Path) -> None:
    fastest = "onnx" if importlib.util.find_spec("openvino") is None else "openvino"
    assert rtmo(folder, runtime="auto").runtime == fastest
    assert rtmo(folder, runtime="onnx").runtime == "onnx"


def test_a_profile_names_networks_and_interval() -> None:
    assert describe_settings(RtmlibSettings(mode="lightweight")) == "rtmpose lightweight auto"
    own = RtmlibSettings(model="rtmpose", pose="my/pose.onnx", detect_every=8, every=2, runtime="onnx")
    assert describe_settings(own) == "rtmpose pose onnx detect_every 8 1/2"


def test_torch_is_no_runtime_of_rtmlib() -> None:
    with pytest.raises(ConfigError, match=r"runtime: found 'torch'; input should be 'auto', 'onnx' or"):
        parse_estimator_settings({"kind": "rtmlib", "runtime": "torch"}, "memory")


def test_the_shipped_config_is_performance_against_lightweight() -> None:
    extraction = load_config(Extraction, config_path("rtmpose"), section="extraction")
    assert extraction.high == RtmlibSettings(mode="performance")
    assert extraction.low == RtmlibSettings(mode="lightweight", detect_every=8)
    assert extraction.batch % 8 == 0  # every batch starts with a detection
    experiment = load_config(Experiment, config_path("rtmpose"), section="experiment")
    assert experiment.teacher.name == experiment.student.name == "auto"


@pytest.mark.parametrize("batch", [5, 16])
def test_a_video_is_extracted_in_both_qualities(folder: Path, tmp_path: Path, batch: int) -> None:
    """A person walks to the right, 3 pixels a frame, and its green square is seen in every frame."""
    video = tmp_path / "videos/wave/walk.mp4"
    frames, greens = [], []
    for number in range(12):
        frame = empty_frame()
        greens.append(draw(frame, shifted(BLUE, 3 * number))[1])
        frames.append(frame)
    write_video(video, frames, fps=10)
    paths = {"detector": str(folder / "detector.onnx"), "pose": str(folder / "pose.onnx")}
    settings = Extraction(
        high=RtmlibSettings(**paths, runtime="onnx"),
        low=RtmlibSettings(**paths, runtime="onnx", detect_every=4, every=2),
    )
    cache = PoseCache(tmp_path / "cache")
    items = find_videos(tmp_path / "videos")
    report = extract_videos(items, open_sources(settings, torch.device("cpu")), cache, batch=batch)
    assert (report.done, report.failed) == (1, ())
    for quality, step in (("high", 1), ("low", 2)):
        (entry,) = cache.entries(quality)
        sequence = cache.load(entry.path)
        assert sequence.origin.label == "wave"
        assert sequence.origin.estimator.startswith("rtmpose-192x256 ")
        assert sequence.frame_index.tolist() == list(range(0, 12, step))
        assert np.allclose(sequence.keypoints[:, 0, ODD, :2], greens[::step], atol=1)
        assert not is_seen(sequence.keypoints[:, 1]).any()


# Networks that are missing or wrong


def test_without_a_network_connection_the_message_names_the_way_out(tmp_path: Path) -> None:
    before = time.monotonic()
    with pytest.raises(
        PoseError, match=r"^no network .*yolox_x.*huggingface.*set `detector` to the path of"
    ) as caught:
        Rtmlib(RtmlibSettings(mode="performance", runtime="onnx"))
    assert time.monotonic() - before < 10
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


def test_the_command_ends_with_the_message(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 3 * [empty_frame()], fps=10)
    command = ["extract", str(tmp_path / "clip.mp4"), "-c", "rtmpose", "--cache", str(tmp_path / "cache")]
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, PoseError)
    assert str(done.exception).startswith("no network ")
    assert done.output == ""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_missing_and_a_damaged_file(folder: Path, tmp_path: Path, runtime: str) -> None:
    with pytest.raises(PoseError, match=r"no network at .*nowhere\.onnx; expected an ONNX file.*`pose`"):
        rtmpose(folder, pose=str(tmp_path / "nowhere.onnx"), runtime=runtime)
    cut = tmp_path / "cut.onnx"
    cut.write_bytes((folder / "pose.onnx").read_bytes()[:1000])
    with pytest.raises(PoseError, match=r"cut\.onnx is not a network that can be opened.*`pose`") as caught:
        rtmpose(folder, pose=str(cut), runtime=runtime)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"detector": "pose.onnx"}, r"puts out \(1, 17, 384\) and \(1, 17, 512\).*; expected YOLOX's boxes"),
        ({"pose": "detector.onnx"}, r"expected RTMPose's scores .* 17 joints of coco-17"),
        ({"pose": "pose.onnx", "body": "halpe-26"}, r"expected RTMPose's scores .* 26 joints of halpe-26"),
        ({"detector": "rtmo.onnx", "pose": "rtmo.onnx"}, r"expected RTMPose's scores"),
    ],
)
def test_another_network_than_expected(folder: Path, settings: dict[str, str], message: str) -> None:
    paths = {
        name: str(folder / value) if value.endswith(".onnx") else value for name, value in settings.items()
    }
    with pytest.raises(PoseError, match=message):
        rtmpose(folder, **paths)


def test_another_network_than_rtmo(folder: Path) -> None:
    for other in ("detector.onnx", "pose.onnx", "raw.onnx"):
        with pytest.raises(PoseError, match=r"expected RTMO's boxes"):
            rtmo(folder, pose=str(folder / other))


@pytest.mark.parametrize("settings", [{"body": "halpe-26"}, {"detector": "x.onnx"}, {"detect_every": 5}])
def test_rtmo_has_no_settings_of_rtmpose(folder: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(
        PoseError, match=rf"^{next(iter(settings))} is .* with the model rtmo.*use the model rtmpose"
    ):
        rtmo(folder, **settings)


# Downloads


@pytest.fixture
def server() -> Iterator[dict[str, tuple[bytes, int]]]:
    """Files of a local server by name: their bytes and the length that it announces; "address" is its own."""
    files: dict[str, tuple[bytes, int]] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content, length = files[self.path[1:]]
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        files["address"] = (f"http://127.0.0.1:{running.server_port}/".encode(), 0)
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield files
        running.shutdown()


def archive_of(*contents: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as files:
        for number, content in enumerate(contents):
            files.writestr(f"2023/rtmpose_onnx/{number}/end2end.onnx", content)
            files.writestr(f"2023/rtmpose_onnx/{number}/pipeline.json", b"{}")
    return packed.getvalue()


def test_a_download_is_unpacked_once_and_kept_where_rtmlib_looks(
    server: dict[str, tuple[bytes, int]], tmp_path: Path
) -> None:
    from rtmlib.tools.file import download_checkpoint

    kept = tmp_path / "home/hub/checkpoints"
    left = kept / "tmp/2022/end2end.onnx"  # of a download by rtmlib that was interrupted
    left.parent.mkdir(parents=True)
    left.write_bytes(b"part of another network")
    archive = archive_of(b"the network")
    server["net-1a2b_2023.zip"] = (archive, len(archive))
    address = server["address"][0].decode() + "net-1a2b_2023.zip"
    path = fetch(address)
    assert path == kept / "net-1a2b_2023.onnx"
    assert path.read_bytes() == b"the network"
    del server["net-1a2b_2023.zip"]
    assert fetch(address) == path
    assert download_checkpoint(address) == str(path)


@pytest.mark.parametrize(
    ("archive", "announced", "reason"),
    [
        (archive_of(b"the network")[:80], 80, "BadZipFile"),
        (archive_of(b"the network")[:80], 1000, "BadZipFile|IncompleteRead"),
        (archive_of(), 22, "0 files end2end.onnx"),
        (archive_of(b"a", b"b"), len(archive_of(b"a", b"b")), "2 files end2end.onnx"),
        (
            archive_of(b"the network").replace(b"the net", b"the nat", 1),
            len(archive_of(b"the network")),
            "CRC",
        ),
    ],
    ids=["cut", "interrupted", "empty", "two", "changed"],
)
def test_a_damaged_download_is_not_kept(
    server: dict[str, tuple[bytes, int]], tmp_path: Path, archive: bytes, announced: int, reason: str
) -> None:
    server["net.zip"] = (archive, announced)
    with pytest.raises(PoseError, match=rf"no network .*net\.onnx, .*net\.zip \(.*({reason})"):
        fetch(server["address"][0].decode() + "net.zip")
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


def test_the_estimator_runs_without_torch(folder: Path) -> None:
    code = (
        "import sys, numpy as np, skdpipe; from skdpipe.pose.rtmlib import Rtmlib\n"
        f"pose = {str(folder / 'rtmo.onnx')!r}\n"
        "settings = skdpipe.RtmlibSettings(model='rtmo', pose=pose, runtime='onnx')\n"
        "Rtmlib(settings)([np.zeros((64, 64, 3), np.uint8)])\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
