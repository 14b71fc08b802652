"""Runtimes: a trained network as a function from numpy arrays to numpy arrays."""

from __future__ import annotations

import sys
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import require_extra

_OPENVINO_STATISTICS: Final = "openvino_telemetry"

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Runtime(Protocol):
    """Runs a network.

    Attributes:
        name: of the runtime, for messages and reports.
    """

    name: str

    def __call__(self, x: Floats, mask: Mask) -> Floats:
        """Compute logits.

        Args:
            x: clips ``(batch, person, channel, frame, joint)``.
            mask: ``(batch, person)``, true for real people.

        Returns:
            Logits ``(batch, class)``.
        """
        ...


class OnnxRuntime:
    """Runs an ONNX model in ONNX Runtime, on the CPU.

    Args:
        model: as exported by :func:`skdpipe.networks.to_onnx`.
        threads: number of threads.

    Raises:
        MissingDependencyError: if ONNX Runtime is not installed.
    """

    name = "onnx"

    def __init__(self, model: bytes, threads: int) -> None:
        require_extra("onnx", "onnxruntime")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def __call__(self, x: Floats, mask: Mask) -> Floats:
        """See :class:`Runtime`."""
        (logits,) = self._session.run(["logits"], {"x": x, "mask": mask})
        return np.asarray(logits, np.float32)


class OpenVinoRuntime:
    """Runs an ONNX model in OpenVINO, on the CPU, in single precision.

    Args:
        model: as exported by :func:`skdpipe.networks.to_onnx`.
        threads: number of threads.

    Raises:
        MissingDependencyError: if OpenVINO is not installed.
    """

    name = "openvino"

    def __init__(self, model: bytes, threads: int) -> None:
        openvino = _import_openvino()
        core = openvino.Core()
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self._compiled: Any = core.compile_model(core.read_model(model), "CPU", settings)

    def __call__(self, x: Floats, mask: Mask) -> Floats:
        """See :class:`Runtime`."""
        outputs = self._compiled({"x": x, "mask": mask})
        return np.array(outputs["logits"], np.float32)


def _import_openvino() -> Any:
    """OpenVINO without the usage statistics that its import sends over the network.

    It works without the module that sends them, which an entry of None in `sys.modules` makes missing.
    """
    require_extra("openvino", "openvino")
    without_statistics = _OPENVINO_STATISTICS not in sys.modules
    if without_statistics:
        sys.modules[_OPENVINO_STATISTICS] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if without_statistics:
            del sys.modules[_OPENVINO_STATISTICS]
    return openvino
