"""Networks in ONNX files, from an image to arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import PoseError, in_one_line, require_extra
from skdpipe.file_digest import sha256_of
from skdpipe.runtimes import Requests, openvino_core

Runtime = Literal["auto", "onnx", "openvino"]
Floats = NDArray[np.floating[Any]]

_CUDA: Final = "CUDAExecutionProvider"


@dataclass(frozen=True)
class Network:
    """A network in its runtime.

    Attributes:
        path: its file.
        checksum: sha256 of the file in hexadecimal digits.
        size: height and width of the input image.
        run: an image ``(height, width, 3)`` to the outputs, each with a first axis of length 1.
    """

    path: Path
    checksum: str
    size: tuple[int, int]
    run: Callable[[Floats], list[Floats]]

    def __str__(self) -> str:
        return f"{self.size[1]}x{self.size[0]} {self.checksum[:16]}"

    def require(self, fits: Callable[[list[tuple[int, ...]]], bool], expected: str) -> None:
        """Run the network on a black image, and check the shapes of what it puts out.

        Raises:
            PoseError: if it does not run, or the shapes do not fit.
        """
        try:
            found = [output.shape for output in self.run(np.zeros((*self.size, 3), np.float32))]
        except Exception as error:  # of a runtime; they have no common class
            raise PoseError(
                f"{self.path} cannot be run ({in_one_line(error)}); expected {expected}"
            ) from error
        if not fits(found):
            raise PoseError(
                f"{self.path} puts out {' and '.join(map(str, found))} for an image of {self.size[1]} x "
                f"{self.size[0]}; expected {expected}: correct the path, the model or the body"
            )


@dataclass(frozen=True)
class Session:
    """An open file: the shape of its input, None where it is not fixed, and the call to its outputs.

    Several threads may call it at once.
    """

    shape: list[int | None]
    run: Callable[[Floats], list[Floats]]


Open = Callable[[Path], Session]


def choose_runtime(runtime: Runtime, device: str) -> Literal["onnx", "openvino"]:
    """The runtime of the networks.

    Args:
        runtime: ``auto`` takes ONNX Runtime on a GPU, and otherwise OpenVINO if it is installed.
        device: ``cpu`` or, if ONNX Runtime is built for it, ``cuda`` or ``cuda:0``.

    Raises:
        MissingDependencyError: if the runtime is not installed.
    """
    if runtime == "auto":
        return "openvino" if find_spec("openvino") and not _on_gpu(device) else "onnx"
    require_extra(runtime, {"onnx": "onnxruntime"}.get(runtime, runtime))
    return runtime


def opener(runtime: Literal["onnx", "openvino"], device: str, threads: int) -> Open:
    """What opens files in a runtime.

    Args:
        runtime, device: see `choose_runtime`.
        threads: number of threads of a network.
    """
    if runtime == "openvino":
        return partial(_open_openvino, threads=threads)
    providers = [(_CUDA, {"device_id": device.partition(":")[2] or "0"})] if _on_gpu(device) else []
    return partial(_open_onnx, providers=[*providers, "CPUExecutionProvider"], threads=threads)


def _on_gpu(device: str) -> bool:
    import onnxruntime

    return device.startswith("cuda") and _CUDA in onnxruntime.get_available_providers()


def load_network(path: Path, published: tuple[int, int], open_file: Open) -> Network:
    """Open a network of images.

    Args:
        path: an ONNX file whose first input is an image ``(1, 3, height, width)``.
        published: height and width where the file leaves them open.
        open_file: opens it.

    Raises:
        PoseError: if there is no such file, or it is not such a network.
    """
    if not path.is_file():
        raise PoseError(f"no network at {path.absolute()}; expected an ONNX file: correct the path")
    try:
        session = open_file(path)
    except Exception as error:  # of a runtime; they have no common class
        raise PoseError(
            f"{path} is not a network that can be opened ({in_one_line(error)}); replace it by an ONNX file"
        ) from error
    if len(session.shape) != 4 or session.shape[1] not in (3, None):
        raise PoseError(
            f"{path} has an input of shape {session.shape}; expected an image, (1, 3, height, width): "
            "correct the path"
        )
    size = (session.shape[2] or published[0], session.shape[3] or published[1])

    def run(image: Floats) -> list[Floats]:
        return session.run(np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32))

    return Network(path, sha256_of(path), size, run)


def _open_onnx(path: Path, providers: list[Any], threads: int) -> Session:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # detector and pose run in turn
    session = onnxruntime.InferenceSession(path, options, providers=providers)
    image = session.get_inputs()[0]
    shape = [length if isinstance(length, int) else None for length in image.shape]
    return Session(shape, lambda array: list(session.run(None, {image.name: array})))


def _open_openvino(path: Path, threads: int) -> Session:
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = openvino_core().compile_model(path, "CPU", settings)
    image, requests = compiled.inputs[0], Requests(compiled)
    shape = [length.get_length() if length.is_static else None for length in image.partial_shape]
    return Session(shape, lambda array: list(requests.run({image.any_name: array})))
