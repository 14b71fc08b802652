"""Metadata inside of exported files: see `skdpipe.inference.export_format`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from skdpipe.inference.export_format import STUDENT_FORMAT, Parity
from skdpipe.inference.metadata import BundleMetadata

Fields = Mapping[str, str]


def student_fields(metadata: BundleMetadata, digest: str, parity: Parity) -> Fields:
    """The metadata of an exported student.

    Args:
        metadata: of the bundle.
        digest: SHA-256 of the bundle's file.
        parity: of the exported file.
    """
    return {
        "format": STUDENT_FORMAT,
        "description": metadata.to_header()["description"],
        "parity": as_json(parity),
        "bundle": digest,
    }


def as_json(parity: Parity) -> str:
    """A parity as it is stored."""
    return json.dumps(asdict(parity), allow_nan=False)


def with_onnx_metadata(model: bytes, fields: Fields) -> bytes:
    """An ONNX model with ``metadata_props``; needs the package onnx."""
    import onnx

    loaded = onnx.load_from_string(model)
    onnx.helper.set_model_props(loaded, dict(fields))
    with_metadata: bytes = loaded.SerializeToString(deterministic=True)
    return with_metadata
