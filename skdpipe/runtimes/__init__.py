"""Runtimes of exported networks: ONNX Runtime and OpenVINO; this package never imports torch."""

from skdpipe.runtimes.choice import (
    ExportRuntime,
    Runtime,
    assigned_cores,
    available_cores,
    available_threads,
    choose_runtime,
    choose_runtime_of_export,
    has_nvidia_gpu,
)
from skdpipe.runtimes.exported_files import exported_network, stored_exports, user_cache
from skdpipe.runtimes.session import (
    OnnxSession,
    OpenVinoSession,
    Requests,
    Session,
    open_session,
    openvino_core,
)

__all__ = [
    "ExportRuntime",
    "OnnxSession",
    "OpenVinoSession",
    "Requests",
    "Runtime",
    "Session",
    "assigned_cores",
    "available_cores",
    "available_threads",
    "choose_runtime",
    "choose_runtime_of_export",
    "exported_network",
    "has_nvidia_gpu",
    "open_session",
    "openvino_core",
    "stored_exports",
    "user_cache",
]
