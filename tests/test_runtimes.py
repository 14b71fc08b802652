"""Runtimes: logits of evaluation mode whatever runs the network, and errors for packages that are missing."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_deploy import MASK, clips, trained

from skdpipe.bundle import Bundle, build_network, save_bundle
from skdpipe.config import ClipFormat, NetworkChoice, Precision, RuntimeChoice
from skdpipe.errors import ConfigError, SkdpipeError
from skdpipe.inference import BundleMetadata
from skdpipe.inference.runtimes import ExportedRuntime, Runtime
from skdpipe.networks import deployed, to_onnx
from skdpipe.runtime import TorchRuntime, open_runtime
from skdpipe.runtimes import (
    OpenVinoSession,
    available_cores,
    available_threads,
    choose_runtime,
    exported_network,
    user_cache,
)

SHAPE = (4, 2, 3, 8, 13)
CLIP = ClipFormat(frames=8, people=2, layout="penn-13")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@cache
def model() -> bytes:
    pytest.importorskip("onnx")
    return to_onnx(deployed(trained()), SHAPE)


def bundle() -> Bundle:
    return Bundle(trained(), BundleMetadata(NetworkChoice("st_gcn"), ("a", "b"), CLIP, "mine"))


def assert_logits_equal_evaluation_mode(runtime: Runtime) -> None:
    """For several batch sizes, with clips of fewer people than slots and without people."""
    network = trained()
    for rows in (slice(0, 4), slice(1, 3), slice(3, 4)):
        x, mask = clips()[rows], MASK[rows]
        expected = network(x, mask).logits.detach().numpy()
        logits = runtime(x.numpy(), mask.numpy())
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_the_model_has_logits_alone_by_default() -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.load_from_string(model()).graph
    assert [each.name for each in graph.input] == ["x", "mask"]
    assert [each.name for each in graph.output] == ["logits"]


def test_torch() -> None:
    assert_logits_equal_evaluation_mode(TorchRuntime(trained(), "cpu"))


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_exported_networks(name: Any) -> None:
    pytest.importorskip({"onnx": "onnxruntime"}.get(name, name))
    assert_logits_equal_evaluation_mode(ExportedRuntime(model(), name, threads=1))


def test_logits_are_not_overwritten_by_the_next_call() -> None:
    pytest.importorskip("openvino")
    runtime = ExportedRuntime(model(), "openvino", threads=1)
    first = runtime(clips()[:1].numpy(), MASK[:1].numpy())
    before = first.copy()
    runtime(clips()[1:2].numpy(), MASK[1:2].numpy())
    np.testing.assert_array_equal(first, before)


@pytest.mark.parametrize("choice", ["torch", "onnx", "openvino"])
def test_a_chosen_runtime_runs_the_network(choice: RuntimeChoice) -> None:
    pytest.importorskip({"onnx": "onnxruntime"}.get(choice, choice))
    runtime = open_runtime(bundle(), CLIP, choice, "cpu")
    assert runtime.name == choice
    assert_logits_equal_evaluation_mode(runtime)


def test_a_bundle_is_exported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    small = NetworkChoice("st_2sgcn", width=4)
    network = build_network(small, CLIP, 2).eval()
    save_bundle(Bundle(network, BundleMetadata(small, ("a", "b"), CLIP, "mine")), tmp_path / "a.safetensors")
    first = open_runtime(tmp_path / "a.safetensors", CLIP, "onnx", "cpu")
    monkeypatch.setattr("skdpipe.networks.to_onnx", None)
    x, mask = clips().numpy(), MASK.numpy()
    again = open_runtime(tmp_path / "a.safetensors", CLIP, "onnx", "cpu")(x, mask)
    np.testing.assert_array_equal(again, first(x, mask))
    expected = network(clips(), MASK).logits.detach().numpy()
    np.testing.assert_allclose(again, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


class Without:
    """A finder of modules that does not find some packages."""

    def __init__(self, packages: tuple[str, ...], finder: Any) -> None:
        self._packages, self._finder = packages, finder

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        return None if name in self._packages else self._finder.find_spec(name, path, target)


def uninstall(packages: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test run as if packages were not installed."""
    monkeypatch.setattr(sys, "meta_path", [Without(packages, finder) for finder in sys.meta_path])
    for package in packages:
        monkeypatch.delitem(sys.modules, package, raising=False)


def test_runtimes_are_imported_without_torch() -> None:
    code = "import sys, skdpipe.inference.runtimes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_openvino_is_imported_without_its_usage_statistics() -> None:
    pytest.importorskip("openvino")
    code = """
import sys, threading
import numpy as np
from skdpipe.runtimes import OpenVinoSession
try:
    OpenVinoSession(b"no model", threads=1)({"x": np.zeros(1)})
except RuntimeError:
    assert "openvino" in sys.modules
sys.exit("openvino_telemetry" in sys.modules or threading.active_count() > 1)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# The choice


@pytest.mark.parametrize(
    ("choice", "package"),
    [("onnx", "onnxruntime"), ("openvino", "openvino"), ("onnx", "onnx"), ("openvino", "onnx")],
)
def test_a_missing_package_is_named_with_the_extra_that_installs_it(
    choice: RuntimeChoice, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip({"onnx": "onnxruntime"}.get(choice, choice))
    uninstall((package,), monkeypatch)
    with pytest.raises(SkdpipeError, match=package) as caught:
        choose_runtime(choice, "float32", "cpu")
    assert f"skdpipe[{choice}]" in str(caught.value)
    assert choose_runtime("auto", "float32", "cpu") != choice


@pytest.mark.parametrize(
    ("installed", "precision", "device", "expected"),
    [
        ({"onnxruntime", "openvino"}, "float32", "cpu", "openvino"),
        ({"onnxruntime"}, "float32", "cpu", "onnx"),
        (set(), "float32", "cpu", "torch"),
        ({"onnxruntime"}, "bfloat16", "cpu", "torch"),
        ({"onnxruntime", "openvino"}, "float32", "cuda:0", "torch"),
        ({"onnxruntime", "openvino"}, "float16", "cuda", "torch"),
    ],
)
def test_auto_takes_the_fastest_that_is_installed(
    installed: set[str], precision: Precision, device: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in installed:
        pytest.importorskip(package)
    uninstall(tuple({"onnxruntime", "openvino"} - installed), monkeypatch)
    assert choose_runtime("auto", precision, device) == expected


@pytest.mark.parametrize(
    ("choice", "precision", "device"),
    [("onnx", "bfloat16", "cpu"), ("openvino", "float16", "cpu"), ("torch", "float16", "cpu")],
)
def test_a_precision_that_a_runtime_does_not_have_is_refused(
    choice: RuntimeChoice, precision: Precision, device: str
) -> None:
    with pytest.raises(
        ConfigError, match=f"^precision {precision} with the runtime {choice} on cpu; expected"
    ):
        choose_runtime(choice, precision, device)


def test_bfloat16_is_refused_where_the_processor_does_not_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr("skdpipe.runtimes.choice.openvino_has_bfloat16", lambda: False)
    with pytest.raises(ConfigError, match=r"^precision bfloat16, which this processor does not have; set"):
        choose_runtime("openvino", "bfloat16", "cpu")
    assert choose_runtime("auto", "bfloat16", "cpu") == "torch"


# Exported networks


def test_an_exported_network_is_kept() -> None:
    assert exported_network("a-1", lambda: b"model") == b"model"
    assert exported_network("a-1", lambda: b"another") == b"model"
    assert exported_network("a-2", lambda: b"another") == b"another"
    first, second = sorted(user_cache().rglob("*.onnx"))
    assert first.name == f"a-1-{hashlib.sha256(b'model').hexdigest()[:16]}.onnx"
    assert (first.read_bytes(), second.read_bytes()) == (b"model", b"another")


def test_an_exported_network_that_was_altered_is_exported_again() -> None:
    exported_network("a-1", lambda: b"model")
    (file,) = user_cache().rglob("*.onnx")
    file.write_bytes(b"modem")
    assert exported_network("a-1", lambda: b"model") == b"model"
    assert file.read_bytes() == b"model"


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "torch").touch()
    with pytest.warns(UserWarning, match=r"a-1-\w+\.onnx: cannot be written .*exported again next time$"):
        assert exported_network("a-1", lambda: b"model") == b"model"


def test_the_cache_is_a_part_of_that_of_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert user_cache() == Path(torch.hub.get_dir()) / "skdpipe"
    monkeypatch.delenv("TORCH_HOME")
    assert user_cache() == Path(torch.hub.get_dir()) / "skdpipe"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert user_cache() == Path(torch.hub.get_dir()) / "skdpipe" == tmp_path / "xdg/torch/hub/skdpipe"


def test_openvino_runs_inputs_of_many_sizes() -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("onnx")
    from skdpipe.onnx_export import export_to_onnx

    axes = {0: "batch", 1: "width"}
    doubled = export_to_onnx(Doubled(), {"x": torch.zeros(2, 3)}, {"x": axes, "y": axes})
    session = OpenVinoSession(doubled, threads=1, calls=2)
    for width in (1, 2, 3, 4, 5, 6, 1):
        for batch in (1, 3):
            x = np.random.default_rng(width).normal(size=(batch, width)).astype(np.float32)
            np.testing.assert_array_equal(session({"x": x})[0], 2 * x)


class Doubled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


FIRST_CALLS = """
import os, sys, threading
from skdpipe.runtimes.session import import_openvino

openvino = import_openvino()
sys.setswitchinterval(1e-6)
together = threading.Barrier(16)

def call():
    together.wait()
    openvino.Type.f32.to_dtype()  # as every inference does

threads = [threading.Thread(target=call) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_the_first_calls_of_openvino_may_come_from_several_threads() -> None:
    """Without preparation, about every second of these processes would never end."""
    pytest.importorskip("openvino")
    for _ in range(3):
        subprocess.run([sys.executable, "-c", FIRST_CALLS], check=True, timeout=60)


ENDS_IN_A_THREAD = """
import signal, subprocess, sys, threading, time
from pathlib import Path
import numpy as np
from skdpipe.runtimes import OpenVinoSession

sessions = [OpenVinoSession(Path(sys.argv[1]).read_bytes(), threads=1)]
sessions[0]({"x": np.ones((2, 3), np.float32)})
thread = threading.Thread(target=sessions.clear)
thread.start()
thread.join()
signal.signal(signal.SIGCHLD, lambda *_: None)
child = subprocess.Popen([sys.executable, "-c", ""])
time.sleep(1)
sys.exit(child.wait())
"""


def test_a_signal_after_the_end_of_a_session_does_no_harm(tmp_path: Path) -> None:
    """OpenVINO frees a stack for signals with its core, which a thread may still have."""
    pytest.importorskip("openvino")
    pytest.importorskip("onnx")
    from skdpipe.onnx_export import export_to_onnx

    axes = {0: "batch", 1: "width"}
    (tmp_path / "a.onnx").write_bytes(
        export_to_onnx(Doubled(), {"x": torch.zeros(2, 3)}, {"x": axes, "y": axes})
    )
    subprocess.run([sys.executable, "-c", ENDS_IN_A_THREAD, tmp_path / "a.onnx"], check=True, timeout=60)


@pytest.mark.parametrize(
    ("limit", "processes", "threads"),
    [("", 1, 4), ("", 3, 1), ("", 9, 1), ("2", 1, 2), ("2", 4, 1), ("8", 1, 4), ("0", 1, 4), ("many", 2, 2)],
)
def test_processes_share_the_cores_and_omp_num_threads_is_the_limit(
    limit: str, processes: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skdpipe.runtimes.choice.available_cores", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert available_threads(processes) == threads


@pytest.mark.parametrize(("limit", "cores"), [(None, 4), (8.0, 4), (2.9, 2), (0.5, 1)])
def test_a_container_may_leave_fewer_cores(
    limit: float | None, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skdpipe.runtimes.choice.assigned_cores", lambda: 4)
    monkeypatch.setattr("skdpipe.runtimes.choice.processor_limit", lambda: limit)
    assert available_cores() == cores
