"""A student with random weights, as a bundle and as an export, beside the embedded pose network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import onnx
import openvino
import torch
from network_contract import perturbed

from skdpipe.bundle import Bundle, build_network, save_bundle
from skdpipe.config import ClipFormat, NetworkChoice, OpenPifPafSettings, to_plain
from skdpipe.file_digest import sha256_of
from skdpipe.inference import BundleMetadata, TrainingClips
from skdpipe.inference.export_format import (
    OPENVINO_STUDENT,
    POSE,
    POSE_FORMAT,
    STATIC_STUDENT,
    STUDENT,
    STUDENT_FORMAT,
    Parity,
)
from skdpipe.networks import deployed, to_onnx
from skdpipe.pose.load import load_estimator
from skdpipe.pose.openpifpaf.export import to_onnx as pose_network_to_onnx
from skdpipe.pose.openpifpaf.weights import load_weights
from skdpipe.runtime import input_shape

LOW = OpenPifPafSettings(backbone="shufflenetv2x1", weights="actors-low", long_edge=97, every=2)
CLASSES = ("push", "wave", "kick")
_PARITY = json.dumps(asdict(Parity(clips=1, largest_difference=0.0, equal=1.0)))


def a_student(name: str = "st_2sgcn", coordinates: int = 2) -> Bundle:
    """A student of two people, by its own account trained on clips of one second."""
    torch.manual_seed(0)
    clip = ClipFormat(frames=8, coordinates=coordinates, scale="root" if coordinates == 3 else "body")  # type: ignore[arg-type]
    choice = NetworkChoice(name, width=8)  # type: ignore[arg-type]
    clips = TrainingClips(1.0, 1.0, 1.0, 1.0, 6.0, 2, 0.0, 1.0, 1.0)
    fingerprint = load_estimator(replace(LOW, runtime="torch")).fingerprint
    metadata = BundleMetadata(
        choice, CLASSES, clip, fingerprint, LOW, {"seed": 0}, temperature=1.5, training_clips=clips
    )
    return Bundle(perturbed(build_network(choice, clip, len(CLASSES))), metadata)


def with_fields(model: bytes, fields: Mapping[str, str]) -> bytes:
    """An ONNX model with metadata."""
    loaded = onnx.load_from_string(model)
    onnx.helper.set_model_props(loaded, dict(fields))
    return loaded.SerializeToString()


def student_fields(bundle: Bundle, digest: str = "") -> dict[str, str]:
    description = bundle.metadata.to_header()["description"]
    return {"format": STUDENT_FORMAT, "description": description, "parity": _PARITY, "bundle": digest}


def pose_fields(bundle: Bundle, settings: OpenPifPafSettings = LOW) -> dict[str, str]:
    network = load_weights(LOW.backbone, LOW.weights).description
    described = {
        "settings": to_plain(settings),
        "fingerprint": bundle.metadata.fingerprint,
        **asdict(network),
    }
    return {"format": POSE_FORMAT, "description": json.dumps(described), "parity": _PARITY}


def student_model(bundle: Bundle) -> bytes:
    return to_onnx(deployed(bundle.network), input_shape(bundle.metadata.clip))


def write_export(folder: Path, bundle: Bundle, *, pose: bool = True) -> Path:
    """Write ``student.safetensors`` and the folder ``export`` beside it, which is returned."""
    export = folder / "export"
    (export / OPENVINO_STUDENT).parent.mkdir(parents=True)
    save_bundle(bundle, folder / "student.safetensors")
    fields = student_fields(bundle, sha256_of(folder / "student.safetensors"))
    model = student_model(bundle)
    (export / STUDENT).write_bytes(with_fields(model, fields))
    single = onnx.load_from_string(model)
    for each in (*single.graph.input, *single.graph.output):
        each.type.tensor_type.shape.dim[0].dim_value = 1
    (export / STATIC_STUDENT).write_bytes(with_fields(single.SerializeToString(), fields))
    converted = openvino.Core().read_model(model)
    for name, text in fields.items():
        converted.set_rt_info(text, name)
    openvino.save_model(converted, export / OPENVINO_STUDENT, compress_to_fp16=False)
    if pose:
        exported = pose_network_to_onnx(load_weights(LOW.backbone, LOW.weights))
        (export / POSE).write_bytes(with_fields(exported, pose_fields(bundle)))
    return export
