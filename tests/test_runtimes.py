"""Runtimes: logits of evaluation mode whatever runs the network, and errors for packages that are missing."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from test_deploy import MASK, clips, trained

from skdpipe.errors import SkdpipeError
from skdpipe.inference.runtimes import OnnxRuntime, OpenVinoRuntime, Runtime
from skdpipe.networks import deployed, to_onnx
from skdpipe.runtime import RuntimeChoice, TorchRuntime, open_runtime

CPU, SHAPE = torch.device("cpu"), (4, 2, 3, 8, 13)


@cache
def model() -> bytes:
    pytest.importorskip("onnxscript")
    return to_onnx(deployed(trained()), SHAPE)


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
    assert_logits_equal_evaluation_mode(TorchRuntime(trained(), CPU))


def test_onnx_runtime() -> None:
    pytest.importorskip("onnxruntime")
    assert_logits_equal_evaluation_mode(OnnxRuntime(model(), threads=1))


def test_openvino() -> None:
    pytest.importorskip("openvino")
    assert_logits_equal_evaluation_mode(OpenVinoRuntime(model(), threads=1))


def test_logits_are_not_overwritten_by_the_next_call() -> None:
    pytest.importorskip("openvino")
    runtime = OpenVinoRuntime(model(), threads=1)
    first = runtime(clips()[:1].numpy(), MASK[:1].numpy())
    before = first.copy()
    runtime(clips()[1:2].numpy(), MASK[1:2].numpy())
    np.testing.assert_array_equal(first, before)


@pytest.mark.parametrize("choice", ["onnx", "openvino"])
def test_a_chosen_runtime_runs_the_network(choice: RuntimeChoice, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = model()  # an export takes seconds: one for all tests
    monkeypatch.setattr("skdpipe.runtime.to_onnx", lambda network, shape: exported)
    pytest.importorskip({"onnx": "onnxruntime"}.get(choice, choice))
    runtime = open_runtime(trained(), SHAPE, choice, CPU)
    assert runtime.name == choice
    assert_logits_equal_evaluation_mode(runtime)


@pytest.mark.parametrize("choice", ["auto", "torch"])
def test_torch_needs_no_other_package(choice: RuntimeChoice, monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall(("onnx", "onnxscript", "onnxruntime", "openvino"), monkeypatch)
    runtime = open_runtime(trained(), SHAPE, choice, CPU)
    assert runtime.name == "torch"
    assert_logits_equal_evaluation_mode(runtime)


@pytest.mark.parametrize(
    ("choice", "package"),
    [("onnx", "onnxruntime"), ("openvino", "openvino"), ("onnx", "onnxscript"), ("openvino", "onnx")],
)
def test_a_missing_package_is_named_with_the_extra_that_installs_it(
    choice: RuntimeChoice, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip({"onnx": "onnxruntime"}.get(choice, choice))
    uninstall((package,), monkeypatch)
    with pytest.raises(SkdpipeError, match=package) as caught:
        open_runtime(trained(), SHAPE, choice, CPU)
    assert f"skdpipe[{choice}]" in str(caught.value)


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
from skdpipe.inference.runtimes import OpenVinoRuntime
try:
    OpenVinoRuntime(b"no model", threads=1)
except RuntimeError:
    assert "openvino" in sys.modules
sys.exit("openvino_telemetry" in sys.modules or threading.active_count() > 1)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
