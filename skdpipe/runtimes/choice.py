"""Which runtime runs a network, and on how many threads."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final, Literal

from skdpipe.config import Precision, RuntimeChoice
from skdpipe.control_groups import processor_limit
from skdpipe.errors import ConfigError, require_extra
from skdpipe.runtimes.session import openvino_has_bfloat16

Runtime = Literal["torch", "onnx", "openvino"]
ExportRuntime = Literal["onnx", "openvino"]

_PACKAGES: Final = {"onnx": ("onnxruntime", "onnx"), "openvino": ("openvino", "onnx")}  # onnx exports
_PRECISIONS: Final = {
    "onnx": {"float32"},
    "openvino": {"float32", "bfloat16"},
    "torch": {"float32", "bfloat16"},
    "torch on a GPU": {"float32", "bfloat16", "float16"},
}


def choose_runtime(
    choice: RuntimeChoice,
    precision: Precision,
    device: str,
    *,
    fastest: Sequence[Runtime] = ("openvino", "onnx"),
) -> Runtime:
    """The runtime of a network.

    Args:
        choice: auto takes PyTorch on a GPU. On a processor it takes the fastest that is installed and has the
            precision, or PyTorch.
        precision: in which the network computes.
        device: of PyTorch, for example ``cpu`` or ``cuda:0``.
        fastest: the runtimes that are faster than PyTorch for the kind of network, the fastest first.

    Raises:
        MissingDependencyError: if the chosen runtime is not installed.
        ConfigError: if it does not have the precision, here or on any machine.
    """
    if choice == "auto":
        choice = _fastest(precision, device, fastest)
    where = "torch on a GPU" if choice == "torch" and device != "cpu" else choice
    if precision not in _PRECISIONS[where]:
        raise ConfigError(
            f"precision {precision} with the runtime {where} on {device}; expected "
            f"{' or '.join(sorted(_PRECISIONS[where]))}: change precision or runtime"
        )
    if choice != "torch":
        require_extra(choice, *_PACKAGES[choice])
    _require_processor(choice, precision)
    return choice


def choose_runtime_of_export(
    choice: RuntimeChoice, precision: Precision, *, fastest: Sequence[ExportRuntime]
) -> ExportRuntime:
    """The runtime of an exported network, which needs neither PyTorch nor the package that exports.

    Args:
        choice: auto takes the first of the fastest that is installed and has the precision.
        precision: in which the network computes.
        fastest: the runtimes that can read the file, the fastest first.

    Raises:
        MissingDependencyError: if no such runtime is installed.
        ConfigError: if the chosen runtime cannot read the file or does not have the precision.
    """
    able = [each for each in fastest if precision in _PRECISIONS[each]]
    if choice == "auto":
        installed = [each for each in able if find_spec(_PACKAGES[each][0])]
        chosen = (installed or able)[0]
    elif choice in able:
        chosen = choice
    else:
        raise ConfigError(
            f"runtime {choice} for an exported network in {precision}; expected {' or '.join(able)}, or auto"
        )
    require_extra({"onnx": "runner"}.get(chosen, chosen), _PACKAGES[chosen][0])
    _require_processor(chosen, precision)
    return chosen


def _fastest(precision: Precision, device: str, candidates: Sequence[Runtime]) -> Runtime:
    if device != "cpu" or precision == "float16":
        return "torch"
    for runtime in candidates:
        installed = all(map(find_spec, _PACKAGES[runtime]))
        if precision in _PRECISIONS[runtime] and installed and _processor_has(runtime, precision):
            return runtime
    return "torch"


def _require_processor(runtime: Runtime, precision: Precision) -> None:
    if not _processor_has(runtime, precision):
        raise ConfigError(
            "precision bfloat16, which this processor does not have; set precision to float32 (its joints "
            "differ a little), or the runtime to torch, which is slow in bfloat16"
        )


def _processor_has(runtime: Runtime, precision: Precision) -> bool:
    """Whether this processor has a precision that an installed runtime has."""
    return runtime != "openvino" or precision != "bfloat16" or openvino_has_bfloat16()


def available_cores() -> int:
    """Number of processor cores whose time this process may use; a container may limit it."""
    limit = processor_limit()
    cores = assigned_cores()
    return cores if limit is None else max(1, min(cores, int(limit)))


def assigned_cores() -> int:
    """Number of processor cores on which this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_threads(processes: int = 1) -> int:
    """Number of threads of each of several processes that share the cores; at most ``OMP_NUM_THREADS``.

    With more threads than cores, those of PyTorch wait for each other and occupy the cores while they wait.
    """
    limit = os.environ.get("OMP_NUM_THREADS", "")
    threads = max(1, available_cores() // processes)
    return min(threads, int(limit)) if limit.isdecimal() and int(limit) else threads


def has_nvidia_gpu() -> bool:
    """Whether NVIDIA's driver finds a GPU; torch is not imported, which takes seconds."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    found = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return bool(found and count.value)
