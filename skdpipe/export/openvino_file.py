"""A network in OpenVINO's format: a file of layers and one of weights."""

from __future__ import annotations

from pathlib import Path

from skdpipe.export.metadata import Fields
from skdpipe.runtimes.session import import_openvino, openvino_core


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
