"""OpenPifPaf as a pose estimator: letterboxed frames, network, decoder, keypoints in pixels of the frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from skdpipe.config import Thresholds
from skdpipe.pose.openpifpaf.networks import PoseNetwork, openpifpaf
from skdpipe.skeleton import COCO_17, UNSEEN, Keypoints, Layout, is_seen
from skdpipe.video import Frame

_STRIDE = 16  # of every OpenPifPaf backbone; its input images have 16 n + 1 pixels per side
_MEAN = np.array([0.485, 0.456, 0.406], np.float32) * 255
_STD = np.array([0.229, 0.224, 0.225], np.float32) * 255
_RELATIVE_KEYPOINT = 0.5  # OpenPifPaf's default: minimum confidence of a joint relative to its neighbour's
_FILL = (124, 116, 104)  # the mean colour


@dataclass(frozen=True)
class Letterbox:
    """Position of a frame in the input image: scaled to a long edge, centred, padded to a multiple of the
    stride.

    Pixel centres are integers: x of the frame is at (x + 0.5) * scale - 0.5 + offset in the input image.

    Attributes:
        scale: horizontal and vertical scale.
        offset: left and top padding in pixels.
        inner: width and height of the scaled frame.
        outer: width and height of the input image.
    """

    scale: tuple[float, float]
    offset: tuple[int, int]
    inner: tuple[int, int]
    outer: tuple[int, int]

    @classmethod
    def fit(cls, size: tuple[int, int], long_edge: int) -> Letterbox:
        """The letterbox for frames of ``size`` (width, height)."""
        ratio = long_edge / max(size)
        inner = (max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio)))
        outer = (_round_up(inner[0]), _round_up(inner[1]))
        offset = ((outer[0] - inner[0]) // 2, (outer[1] - inner[1]) // 2)
        return cls((inner[0] / size[0], inner[1] / size[1]), offset, inner, outer)

    def apply(self, frame: Frame) -> Frame:
        """The input image of a frame, uint8."""
        method = cv2.INTER_AREA if self.scale[0] < 1 else cv2.INTER_LINEAR
        inner = cv2.resize(frame, self.inner, interpolation=method)
        left, top = self.offset
        right, bottom = self.outer[0] - self.inner[0] - left, self.outer[1] - self.inner[1] - top
        padded = cv2.copyMakeBorder(inner, top, bottom, left, right, cv2.BORDER_CONSTANT, value=_FILL)
        return np.asarray(padded, np.uint8)

    def to_input(self, xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Frame coordinates to coordinates of the input image."""
        moved: NDArray[np.float64] = (xy + 0.5) * np.array(self.scale) - 0.5 + np.array(self.offset)
        return moved.astype(np.float32)

    def to_frame(self, xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Coordinates of the input image to frame coordinates."""
        moved: NDArray[np.float64] = (xy - np.array(self.offset) + 0.5) / np.array(self.scale) - 0.5
        return moved.astype(np.float32)


def _round_up(length: int) -> int:
    """The smallest multiple of the stride plus 1 that is not below ``length``."""
    return -(-(length - 1) // _STRIDE) * _STRIDE + 1


def normalise(images: NDArray[np.uint8]) -> torch.Tensor:
    """uint8 RGB ``(batch, height, width, 3)`` to the network's float input ``(batch, 3, height, width)``."""
    scaled = (images.astype(np.float32) - _MEAN) / _STD
    return torch.from_numpy(scaled).permute(0, 3, 1, 2)


class OpenPifPaf:
    """A `PoseEstimator`: an OpenPifPaf network and its decoder.

    Args:
        network: the trained network.
        long_edge: length of the longer side of the scaled frame in pixels.
        thresholds: thresholds of the decoder.
        device: device of the network; the decoder runs on the CPU.
    """

    layout: Layout = COCO_17

    def __init__(
        self,
        network: PoseNetwork,
        *,
        long_edge: int,
        thresholds: Thresholds | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self._network = network
        self._module = network.module.to(device).eval()
        self._device = torch.device(device)
        self._long_edge = long_edge
        self._thresholds = thresholds or Thresholds()

    @property
    def fingerprint(self) -> str:
        """Backbone, checksum of the weights, long edge and thresholds."""
        t = self._thresholds
        return (
            f"openpifpaf {self._network.backbone} {self._network.checksum[:16]} edge{self._long_edge} "
            f"seed{t.seed:g} keypoint{t.keypoint:g} instance{t.instance:g} cif{t.cif:g} caf{t.caf:g}"
            + (" complete" if t.complete else "")
        )

    def __call__(self, frames: Sequence[Frame]) -> list[Keypoints]:
        """See `PoseEstimator.__call__`."""
        if not frames:
            return []
        height, width = frames[0].shape[:2]
        box = Letterbox.fit((width, height), self._long_edge)
        images = normalise(np.stack([box.apply(frame) for frame in frames]))
        with torch.inference_mode():
            fields = [head.cpu() for head in self._module(images.to(self._device))]
        _configure_decoder(self._thresholds)
        return [
            _people(self._decode([head[i] for head in fields]), box, self._thresholds.instance)
            for i in range(len(frames))
        ]

    def _decode(self, fields: list[torch.Tensor]) -> list[Any]:
        """OpenPifPaf's annotations of one frame.

        Each frame gets a new decoder: a decoder that is used again keeps adding to its maps, so the rounding
            would
        depend on the number of previous frames.
        """
        cif, caf = self._network.head_metas
        annotations: list[Any] = openpifpaf.decoder.CifCaf([cif], [caf])(fields)
        return annotations


def _configure_decoder(thresholds: Thresholds) -> None:
    utils = openpifpaf.decoder.utils
    cpp = torch.classes.openpifpaf_decoder.CifCaf
    utils.CifSeeds.set_threshold(thresholds.seed)
    utils.CifHr.set_threshold(thresholds.cif)
    utils.CafScored.set_default_score_th(thresholds.caf)
    utils.nms.Keypoints.set_instance_threshold(thresholds.instance)
    keypoint = 0.0 if thresholds.complete else thresholds.keypoint
    utils.nms.Keypoints.set_keypoint_threshold(keypoint)
    cpp.set_keypoint_threshold(keypoint)
    cpp.set_keypoint_threshold_rel(0.0 if thresholds.complete else _RELATIVE_KEYPOINT)
    cpp.set_force_complete(thresholds.complete)


def _people(annotations: list[Any], box: Letterbox, threshold: float) -> Keypoints:
    """Decoded annotations as ``(person, joint, 3)`` in pixels of the frame, highest score first."""
    found = sorted((a for a in annotations if a.score >= threshold), key=lambda a: -a.score)
    keypoints = np.broadcast_to(UNSEEN, (len(found), len(COCO_17), 3)).copy()
    for person, annotation in zip(keypoints, found, strict=True):
        seen = is_seen(annotation.data)
        person[seen, :2] = box.to_frame(annotation.data[seen, :2].astype(np.float32))
        person[seen, 2] = np.clip(annotation.data[seen, 2], 0, 1)
    return keypoints
