"""OpenPifPaf as a pose estimator: letterboxed frames, network, decoder, keypoints in pixels of the frame.

Nothing here imports torch or OpenPifPaf; the network is a function from images to fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from skdpipe.config import Precision, Thresholds
from skdpipe.pose.openpifpaf.decoder import decode
from skdpipe.pose.openpifpaf.letterbox import STRIDE, Letterbox
from skdpipe.skeleton import COCO_17, Keypoints, Layout
from skdpipe.video import Frame

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class NetworkDescription:
    """Which network it is.

    Attributes:
        backbone: the backbone's name in OpenPifPaf.
        upsample: ratio of the backbone's stride to that of the heads.
        checksum: sha256 of the tensors, or "untrained".
    """

    backbone: str
    upsample: int = 1
    checksum: str = "untrained"


class FieldNetwork(Protocol):
    """A network from images to fields; several threads may call it at once.

    Attributes:
        description: which network it is.
        runtime: what runs it: torch, onnx or openvino.
        precision: number format in which it computes.
        calls: number of calls that should run at once to use all its threads.
    """

    description: NetworkDescription
    runtime: str
    precision: Precision
    calls: int

    def __call__(self, images: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """The fields of images.

        Args:
            images: ``(image, height, width, 3)``, RGB; height and width are multiples of 16, plus 1.

        Returns:
            ``(image, 17, 5, row, column)`` and ``(image, 19, 8, row, column)``, see `decode`.
        """
        ...


class OpenPifPaf:
    """A `PoseEstimator`: an OpenPifPaf network and its decoder.

    Args:
        network: the trained network.
        long_edge: length of the longer side of the scaled frame in pixels.
        thresholds: thresholds of the decoder.
    """

    layout: Layout = COCO_17

    def __init__(
        self, network: FieldNetwork, *, long_edge: int, thresholds: Thresholds | None = None
    ) -> None:
        self.network = network
        self._long_edge = long_edge
        self._thresholds = thresholds or Thresholds()

    @property
    def fingerprint(self) -> str:
        """Backbone, checksum of the weights, long edge, thresholds, and precision unless it is float32."""
        t, network = self._thresholds, self.network.description
        return (
            f"openpifpaf {network.backbone} {network.checksum[:16]} edge{self._long_edge} "
            f"seed{t.seed:g} keypoint{t.keypoint:g} instance{t.instance:g} cif{t.cif:g} caf{t.caf:g}"
            + (" complete" if t.complete else "")
            + (f" {self.network.precision}" if self.network.precision != "float32" else "")
        )

    @property
    def calls(self) -> int:
        """Number of calls that should run at once."""
        return self.network.calls

    def __call__(self, frames: Sequence[Frame]) -> list[Keypoints]:
        """See `PoseEstimator.__call__`."""
        if not frames:
            return []
        return self.decode(self.network(self.prepare(frames)), frames[0].shape)

    def prepare(self, frames: Sequence[Frame]) -> NDArray[np.uint8]:
        """The network's input images ``(frame, height, width, 3)`` for frames of one size."""
        box = self._letterbox(frames[0].shape)
        return np.stack([box.apply(frame) for frame in frames])

    def decode(self, fields: tuple[Floats, Floats], shape: tuple[int, ...]) -> list[Keypoints]:
        """The people in the fields of each frame, in pixels of the frames.

        Args:
            fields: of the network.
            shape: of a frame, ``(height, width, 3)``.
        """
        box = self._letterbox(shape)
        people = decode(*fields, STRIDE // self.network.description.upsample, self._thresholds)
        for each in people:
            each[..., :2] = box.to_frame(each[..., :2])
        return people

    def _letterbox(self, shape: tuple[int, ...]) -> Letterbox:
        return Letterbox.fit((shape[1], shape[0]), self._long_edge)
