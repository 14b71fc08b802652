"""ONNX Runtime, OpenVINO and the export to ONNX."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from typing import Final, Literal

from skdpipe.doctor.requirements import installed
from skdpipe.doctor.setup import Check, Setup
from skdpipe.errors import in_one_line
from skdpipe.finding import Finding

TINY_MODEL: Final = base64.b64decode(
    "CAgSB3NrZHBpcGU6egoSCgF4CgF3EgJ4dyIGTWF0TXVsCg0KAnh3EgF5IgRSZWx1EgR0aW55KhsIAggC"
    "EAEiEAAAgD8AAADAAABAQAAAgEBCAXdaGAoBeBITChEIARINCgcSBWJhdGNoCgIIAmIYCgF5EhMKEQgB"
    "Eg0KBxIFYmF0Y2gKAggCQgQKABAR"
)
"""An ONNX model: the positive part of x W, where W is ((1, -2), (3, 4)); tests/test_doctor.py builds it."""

_PACKAGES: Final = {"onnx": "onnxruntime", "openvino": "openvino"}
_WITHOUT: Final = "networks run in PyTorch, if it is there"


def check_runtime(runtime: Literal["onnx", "openvino"], _: Setup) -> Iterator[Finding]:
    """Whether a runtime computes a small model right."""
    package = _PACKAGES[runtime]
    command = f'pip install "skdpipe[{runtime}]"'
    if find_spec(package) is None:
        yield Finding(package, "note", f"not installed; {_WITHOUT}, which is slower without a GPU", command)
        return
    import numpy as np

    from skdpipe.runtimes import open_session

    try:
        (found,) = open_session(TINY_MODEL, runtime)({"x": np.array([[1, 1], [2, -1]], np.float32)})
    except Exception as error:  # whatever the runtime raises
        yield Finding(package, "problem", f"fails ({in_one_line(error)})", f"{command} --force-reinstall")
        return
    right = found.tolist() == [[4.0, 2.0], [0.0, 0.0]]
    text = f"{installed(package)}, the result of a small model is {'right' if right else found.tolist()}"
    if right:
        yield Finding(package, "fine", text)
    else:
        yield Finding(
            package, "problem", f"{text}, expected [[4, 2], [0, 0]]", f"{command} --force-reinstall"
        )


def check_bfloat16(_: Setup) -> Iterator[Finding]:
    """Whether this processor computes in bfloat16."""
    if find_spec("openvino") is None:
        return
    from skdpipe.runtimes.session import openvino_has_bfloat16

    if openvino_has_bfloat16():
        yield Finding(
            "bfloat16", "fine", "this processor has it: precision bfloat16 is about 1.5 times as fast"
        )
    else:
        yield Finding("bfloat16", "fine", "this processor lacks it: leave precision at float32")


def check_export(_: Setup) -> Iterator[Finding]:
    """Whether networks can be exported to ONNX."""
    if find_spec("onnx") is None:
        yield Finding(
            "export",
            "note",
            "onnx is not installed; without it no network is exported to ONNX Runtime or OpenVINO",
            'pip install "skdpipe[onnx]"',
        )
        return
    import onnx

    onnx.checker.check_model(TINY_MODEL)
    yield Finding("export", "fine", f"onnx {installed('onnx')}")


CHECKS: Final[dict[str, Check]] = {
    "onnxruntime": partial(check_runtime, "onnx"),
    "openvino": partial(check_runtime, "openvino"),
    "bfloat16": check_bfloat16,
    "export": check_export,
}
