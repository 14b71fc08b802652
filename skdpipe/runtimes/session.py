"""Sessions: an ONNX model as a function from numpy arrays to numpy arrays, on the CPU."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import require_extra

Arrays = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float32]
Shape = tuple[int | None, ...]
_OPENVINO_STATISTICS: Final = "openvino_telemetry"
_MOST_SHAPES: Final = 4  # for which OpenVINO keeps a compiled model


class Session(Protocol):
    """Runs a model; several threads may call it at once.

    Attributes:
        name: of the runtime, for messages and reports.
        metadata: texts in the file of the model.
        inputs: shapes by name; None where a length is not fixed.
    """

    name: str
    metadata: Mapping[str, str]
    inputs: Mapping[str, Shape]

    def __call__(self, inputs: Arrays) -> list[Floats]:
        """The outputs of the model, in its order, for its inputs by name."""
        ...


def open_session(
    model: bytes | Path,
    runtime: Literal["onnx", "openvino"],
    *,
    calls: int = 1,
    threads: int = 1,
    precision: str = "float32",
) -> Session:
    """A session for a model.

    Args:
        model: ONNX, or the path of a file; OpenVINO also reads files of its own format.
        runtime: what runs it; ONNX Runtime computes in float32 alone.
        calls: number of calls that run at once.
        threads: number of threads of each call.
        precision: float32, or bfloat16 with OpenVINO.

    Raises:
        MissingDependencyError: if the runtime is not installed.
    """
    if runtime == "onnx":
        assert precision == "float32"
        return OnnxSession(model, threads)
    return OpenVinoSession(model, threads, calls, precision)


class OnnxSession:
    """A model in ONNX Runtime; any number of calls run at once.

    Args:
        model: ONNX, or the path of a file.
        threads: number of threads of a call.

    Raises:
        MissingDependencyError: if ONNX Runtime is not installed.
    """

    name = "onnx"

    def __init__(self, model: bytes | Path, threads: int) -> None:
        require_extra("runner", "onnxruntime")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.inputs: Mapping[str, Shape] = {
            each.name: tuple(length if isinstance(length, int) else None for length in each.shape)
            for each in self._session.get_inputs()
        }

    def __call__(self, inputs: Arrays) -> list[Floats]:
        """See :class:`Session`."""
        return [np.asarray(each, np.float32) for each in self._session.run(None, dict(inputs))]


class OpenVinoSession:
    """A model in OpenVINO.

    A model with a fixed size is faster; for each size of the input, apart from the batch, one is compiled.

    Args:
        model: ONNX, or the path of a file in ONNX or OpenVINO's format.
        threads: number of threads of a call.
        calls: number of calls that run at once; others wait.
        precision: float32 or bfloat16.

    Raises:
        MissingDependencyError: if OpenVINO is not installed.
    """

    name = "openvino"

    def __init__(self, model: bytes | Path, threads: int, calls: int = 1, precision: str = "float32") -> None:
        self._core = openvino_core()
        self._model: Any = self._core.read_model(model)
        self.metadata: Mapping[str, str] = _texts_in(self._model)
        self.inputs: Mapping[str, Shape] = {
            each.any_name: tuple(
                length.get_length() if length.is_static else None for length in each.partial_shape
            )
            for each in self._model.inputs
        }
        self._settings = {
            "INFERENCE_NUM_THREADS": threads * calls,
            "NUM_STREAMS": calls,
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        }
        self._requests: dict[tuple[tuple[int, ...], ...], Requests] = {}
        self._compiling = Lock()

    def __call__(self, inputs: Arrays) -> list[Floats]:
        """See :class:`Session`."""
        shapes = tuple(each.shape[1:] for each in inputs.values())
        with self._compiling:
            if (requests := self._requests.get(shapes)) is None:
                requests = self._requests[shapes] = Requests(self._compile(inputs))
                if len(self._requests) > _MOST_SHAPES:
                    del self._requests[next(iter(self._requests))]
        return requests.run(inputs)

    def _compile(self, inputs: Arrays) -> Any:
        model = self._model.clone()
        model.reshape({name: [self.inputs[name][0] or -1, *each.shape[1:]] for name, each in inputs.items()})
        return self._core.compile_model(model, "CPU", self._settings)


def _texts_in(model: Any) -> dict[str, str]:
    """The texts in the metadata of a model; OpenVINO keeps those of an ONNX file apart, under "framework"."""
    stated = dict(model.get_rt_info().items())
    values = {**stated.pop("framework", {}), **stated}
    texts = {name: getattr(value, "value", value) for name, value in values.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


class Requests:
    """The inference requests of a model compiled by OpenVINO, each used by one thread at a time."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._idle: SimpleQueue[Any] = SimpleQueue()

    def run(self, inputs: Arrays) -> list[Floats]:
        try:
            request = self._idle.get_nowait()
        except Empty:
            request = self._compiled.create_infer_request()
        outputs = request.infer(dict(inputs), share_inputs=True)
        found = [np.array(outputs[index], np.float32) for index in range(len(self._compiled.outputs))]
        self._idle.put(request)
        return found


def openvino_has_bfloat16() -> bool:
    """Whether OpenVINO computes in bfloat16 on this processor."""
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@cache
def openvino_core() -> Any:
    """The core of OpenVINO, one for the whole process.

    OpenVINO gives the thread that first needs its plugin a stack for signals, and frees it together with the
    core: the next signal would end the process.
    """
    return import_openvino().Core()


def import_openvino() -> Any:
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
    openvino.Type.f32.to_dtype()  # its first call never returns if two threads make it at the same moment
    return openvino
