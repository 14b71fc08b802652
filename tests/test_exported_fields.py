"""Exported pose networks: the fields and people of PyTorch, opened without it, exported once."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from skdpipe.config import OpenPifPafSettings, Precision, Thresholds
from skdpipe.errors import PoseError
from skdpipe.pose.load import load_estimator
from skdpipe.pose.openpifpaf import OpenPifPaf, PoseNetwork, TorchFields, build, load_weights, save_weights
from skdpipe.pose.openpifpaf.export import to_onnx
from skdpipe.pose.openpifpaf.exported_fields import ExportedFields
from skdpipe.pose.openpifpaf.networks import build_2019
from skdpipe.pose.openpifpaf.weights_file import describe_weights, embedded_path
from skdpipe.runtimes import open_session, user_cache
from skdpipe.runtimes.session import openvino_has_bfloat16
from skdpipe.skeleton import is_seen
from skdpipe.video import Frame, read_frames

pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

CLIPS = Path(__file__).parents[2] / "shared/data/clips"
LOW = OpenPifPafSettings("shufflenetv2x1", "actors-low", 97, Thresholds(complete=True))
HIGH = OpenPifPafSettings("resnet18", "actors-high", 161, Thresholds(complete=True))
EXPORTED: tuple[Literal["onnx", "openvino"], ...] = ("onnx", "openvino")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def images(height: int, width: int, count: int = 2) -> Any:
    return np.random.default_rng(height).integers(0, 256, (count, height, width, 3), np.uint8)


def with_statistics_of(network: PoseNetwork, pixels: Any) -> PoseNetwork:
    """An untrained network whose batch norm has seen images, so that its output has an ordinary size."""
    for module in network.module.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    network.module.train()
    with torch.no_grad():
        network.module(torch.from_numpy(pixels).float().permute(0, 3, 1, 2) / 255)
    network.module.eval()
    return network


@pytest.mark.parametrize("runtime", EXPORTED)
@pytest.mark.parametrize(
    ("backbone", "upsample"),
    [
        ("shufflenetv2x1", 1),
        ("mobilenetv3small", 2),
        pytest.param("resnet18", 1, marks=pytest.mark.slow),
        pytest.param("shufflenetv2k16", 2, marks=pytest.mark.slow),
    ],
)
def test_the_fields_are_those_of_pytorch_for_every_size(
    backbone: str, upsample: int, runtime: Literal["onnx", "openvino"]
) -> None:
    torch.manual_seed(1)
    network = with_statistics_of(build(backbone, upsample=upsample), images(97, 97, 4))
    assert_same_fields(network, runtime)


@pytest.mark.parametrize("runtime", EXPORTED)
def test_the_fields_of_networks_of_2019_are_those_of_pytorch(runtime: Literal["onnx", "openvino"]) -> None:
    torch.manual_seed(1)
    assert_same_fields(with_statistics_of(build_2019("shufflenetv2x1"), images(97, 97, 4)), runtime)


def assert_same_fields(network: PoseNetwork, runtime: Literal["onnx", "openvino"]) -> None:
    session = open_session(to_onnx(network), runtime, calls=2)
    exported = ExportedFields(session, network.description, calls=2)
    in_torch = TorchFields(network)
    for size in ((65, 81), (97, 65), (49, 129)):
        for count in (1, 3):
            for found, expected in zip(
                exported(images(*size, count)), in_torch(images(*size, count)), strict=True
            ):
                assert found.shape == expected.shape
                np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("runtime", EXPORTED)
@pytest.mark.parametrize("settings", [LOW, HIGH], ids=["low", "high"])
def test_keypoints_on_real_clips_are_within_a_tenth_of_a_pixel(
    settings: OpenPifPafSettings, runtime: Literal["onnx", "openvino"]
) -> None:
    paths = sorted(CLIPS.glob("*.mp4")) + sorted(CLIPS.glob("*.avi"))
    if not paths:
        pytest.skip(f"no clips in {CLIPS}")
    expected, found = (load_estimator(replace(settings, runtime=each)) for each in ("torch", runtime))
    assert expected.fingerprint == found.fingerprint
    joints = 0
    for path in paths:
        frames = some_frames(path, 4)
        for there, here in zip(expected(frames), found(frames), strict=True):
            np.testing.assert_array_equal(is_seen(here), is_seen(there))
            seen = is_seen(there) & (there[..., 2] > 1e-4)  # joints copied from a neighbour may have another
            assert np.abs((here - there)[seen][:, :2]).max(initial=0) < 0.1
            joints += int(seen.sum())
    assert joints > 100


def some_frames(path: Path, count: int) -> list[Frame]:
    frames = []
    for number, frame in enumerate(read_frames(path)):
        if number % 12 == 0:
            frames.append(frame)
        if len(frames) == count:
            break
    return frames


def test_bfloat16_is_another_estimator() -> None:
    if not openvino_has_bfloat16():
        pytest.skip("no bfloat16 on this processor")
    single, half = (load_estimator(replace(LOW, precision=each)) for each in ("float32", "bfloat16"))
    assert half.fingerprint == f"{single.fingerprint} bfloat16"
    (there,), (here,) = (each([images(240, 320, 1)[0]]) for each in (single, half))
    assert here.shape[1:] == there.shape[1:] == (17, 3)


def test_threads_get_the_same_people_at_once() -> None:
    from concurrent.futures import ThreadPoolExecutor

    estimator = load_estimator(replace(LOW, runtime="openvino"), threads=2)
    frames = [images(120, 160, 1)[0], *(np.roll(images(120, 160, 1)[0], 9 * k, 1) for k in range(7))]
    alone = [estimator([frame])[0] for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda frame: estimator([frame])[0], frames))
    for here, there in zip(together, alone, strict=True):
        np.testing.assert_array_equal(here, there)


def test_a_network_is_exported_once_and_kept_under_its_checksum(tmp_path: Path) -> None:
    load_estimator(LOW)
    checksum = describe_weights(embedded_path("actors-low"), "shufflenetv2x1").checksum
    (file,) = (user_cache() / "exported").iterdir()
    assert file.name.startswith(f"shufflenetv2x1-{checksum[:32]}-2-")
    before = file.stat().st_mtime_ns
    load_estimator(replace(LOW, runtime="onnx"))
    assert [each.stat().st_mtime_ns for each in (user_cache() / "exported").iterdir()] == [before]
    assert checksum == load_weights("shufflenetv2x1", "actors-low").checksum


def test_the_checksum_without_torch_is_that_of_the_network(tmp_path: Path) -> None:
    torch.manual_seed(3)
    for half in (False, True):
        save_weights(build("mobilenetv3small", upsample=2), tmp_path / "a.safetensors", notes={}, half=half)
        loaded = load_weights("mobilenetv3small", str(tmp_path / "a.safetensors"))
        assert describe_weights(tmp_path / "a.safetensors", "mobilenetv3small") == loaded.description


def test_an_exported_network_opens_without_torch() -> None:
    frame = "np.zeros((48, 64, 3), np.uint8)"
    code = f"""
import sys, numpy as np
from skdpipe import OpenPifPafSettings, load_estimator
load_estimator(OpenPifPafSettings("shufflenetv2x1", "actors-low", 97))([{frame}])
sys.exit(any(name in sys.modules for name in ("torch", "openpifpaf")))
"""
    load_estimator(LOW)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_weights_of_another_backbone_are_refused_without_torch(tmp_path: Path) -> None:
    with pytest.raises(PoseError, match="contains weights of shufflenetv2x1, not of resnet18"):
        load_estimator(replace(LOW, backbone="resnet18"))
    (tmp_path / "a.safetensors").write_bytes(embedded_path("actors-low").read_bytes()[:-100])
    with pytest.raises(PoseError, match=r"a\.safetensors is not a readable safetensors file"):
        load_estimator(replace(LOW, weights=str(tmp_path / "a.safetensors")))


def test_an_estimator_says_what_runs_it() -> None:
    estimator = load_estimator(LOW)
    assert isinstance(estimator, OpenPifPaf)
    assert (estimator.runtime, estimator.network.precision) == ("openvino", "float32")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("precision", "within"), [("float32", 1e-2), ("bfloat16", 0.2), ("float16", 0.05)])
def test_the_fields_on_a_gpu_are_those_of_the_processor(precision: Precision, within: float) -> None:
    on_gpu = TorchFields(load_weights("resnet18", "actors-high"), "cuda", precision)
    in_memory = TorchFields(load_weights("resnet18", "actors-high"))
    pixels = images(129, 161, 3)
    for found, expected in zip(on_gpu(pixels), in_memory(pixels), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=within, atol=within)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_pytorch_runs_in_both_precisions_of_the_processor(precision: Precision) -> None:
    estimator = load_estimator(replace(LOW, runtime="torch", precision=precision))
    assert isinstance(estimator, OpenPifPaf)
    assert (estimator.runtime, estimator.network.precision) == ("torch", precision)
    cif, caf = estimator.network(images(73, 97, 2))
    assert (cif.shape, caf.shape, cif.dtype) == ((2, 17, 5, 5, 7), (2, 19, 8, 5, 7), np.float32)
