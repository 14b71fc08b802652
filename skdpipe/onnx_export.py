"""Export of PyTorch modules to ONNX."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

_OPSET: Final = 20  # the newest of this exporter; ONNX Runtime 1.17 and OpenVINO 2024.0 have it


def export_to_onnx(
    module: nn.Module, inputs: Mapping[str, Tensor], dynamic: Mapping[str, Mapping[int, str]]
) -> bytes:
    """A module as an ONNX model.

    PyTorch's exporter by tracing is used; the newer one takes ten times as long for these networks.

    Args:
        module: in evaluation mode.
        inputs: an example of each input, by name, in the order of the module's arguments.
        dynamic: for each input, and then for each output, the dimensions whose size may vary, with names.
    """
    model: Any = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the exporter is deprecated, and of the tracer about constants
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            model,
            input_names=list(inputs),
            output_names=[name for name in dynamic if name not in inputs],
            dynamic_axes={name: dict(axes) for name, axes in dynamic.items()},
            opset_version=_OPSET,
            dynamo=False,
        )
    exported: bytes = model.getvalue()
    return exported
