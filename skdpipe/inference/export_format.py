"""The metadata of exported networks, stored in their ONNX and OpenVINO files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

STUDENT_FORMAT: Final = "skdpipe-student-1"
"""Value of ``format`` in an exported student.

Further fields: ``description``, as in the header of a bundle; ``parity``, a `Parity` as JSON; ``bundle``, the
SHA-256 of the bundle's file.
"""

POSE_FORMAT: Final = "skdpipe-pose-network-1"
"""Value of ``format`` in an exported pose network.

Further fields: ``description``, JSON with ``settings`` and ``fingerprint`` of the estimator and ``backbone``,
``upsample`` and ``checksum`` of the network; ``parity``, a `Parity` as JSON.
"""

STUDENT: Final = "student.onnx"
"""The student with a batch of any size."""

STATIC_STUDENT: Final = "student-batch-1.onnx"
"""The student with a batch of one clip."""

POSE: Final = "pose.onnx"
"""The pose network, from images to fields."""

OPENVINO_STUDENT: Final = "openvino/student.xml"
"""The student in OpenVINO's format, with a batch of one clip."""


LITERT_STUDENT: Final = "student.tflite"
"""The student in LiteRT's format, with a batch of one clip."""


@dataclass(frozen=True)
class Parity:
    """How close an exported network is to that in PyTorch.

    Attributes:
        clips: number of real clips on which both ran.
        largest_difference: largest absolute difference of their logits; of a pose network, of the joints in
            pixels of the frame.
        equal: share of the clips with the same label; of a pose network, of the frames with the same people.
    """

    clips: int
    largest_difference: float
    equal: float
