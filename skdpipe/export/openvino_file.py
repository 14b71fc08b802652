"""A network in OpenVINO's format: a file of layers and one of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skdpipe.export.metadata import Fields
from skdpipe.inference.model_input import Floats, Mask
from skdpipe.runtimes.session import Requests, import_openvino, openvino_core


def write_openvino(model: bytes, path: Path, fields: Fields) -> None:
    """Write ``path`` and the weights beside it, in float32; equal models give equal bytes.

    Args:
        model: ONNX, without metadata, which would be stored a second time.
        path: ends in ``.xml``.
        fields: metadata, stored as ``rt_info``.
    """
    openvino = import_openvino()
    converted = openvino_core().read_model(model)
    for number, layer in enumerate(converted.get_ordered_ops()):
        layer.set_friendly_name(f"{layer.get_type_name()}_{number}")  # not counted over the whole process
    for name, text in fields.items():
        converted.set_rt_info(text, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(converted, path, compress_to_fp16=False)


class OpenVinoFile:
    """A written network on the processor, in float32 (OpenVINO's default is bfloat16 where there is one).

    Args:
        path: ends in ``.xml``.
    """

    name = "openvino"

    def __init__(self, path: Path) -> None:
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
        compiled: Any = openvino_core().compile_model(path, "CPU", settings)
        self._requests = Requests(compiled)

    def __call__(self, x: Floats, mask: Mask) -> Floats:
        """See :class:`skdpipe.inference.Runtime`."""
        (logits,) = self._requests.run({"x": x, "mask": mask})
        return logits
