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


@dataclass(frozen=True)
class InputImages:
    """Input images ``(frame, height, width, 3)``, uint8, and the place of the frames in them."""

    pixels: NDArray[np.uint8]
    letterbox: Letterbox


@dataclass(frozen=True)
class Fields:
    """The fields of a batch of frames, see `decode`, and the place of the frames in the images."""

    cif: Floats
    caf: Floats
    letterbox: Letterbox


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
    def runtime(self) -> str:
        """What runs the network."""
        return self.network.runtime

    @property
    def calls(self) -> int:
        """Number of calls that should run at once."""
        return self.network.calls

    def __call__(self, frames: Sequence[Frame]) -> list[Keypoints]:
        """See `PoseEstimator.__call__`."""
        if not frames:
            return []
        return self.decode(self.run(self.prepare(frames)))

    def prepare(self, frames: Sequence[Frame]) -> InputImages:
        """The network's input for frames of one size."""
        height, width = frames[0].shape[:2]
        box = Letterbox.fit((width, height), self._long_edge)
        return InputImages(np.stack([box.apply(frame) for frame in frames]), box)

    def run(self, images: InputImages) -> Fields:
        """The network's output."""
        return Fields(*self.network(images.pixels), images.letterbox)

    def decode(self, fields: Fields) -> list[Keypoints]:
        """The people in each frame, in pixels of the frame."""
        stride = STRIDE // self.network.description.upsample
        people = decode(fields.cif, fields.caf, stride, self._thresholds)
        for each in people:
            each[..., :2] = fields.letterbox.to_frame(each[..., :2])
        return people
