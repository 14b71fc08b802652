"""MoveNet as a pose estimator from outside the package.

A config uses it with ``plugin: examples/movenet.py:MoveNet``. Any object with a layout, a fingerprint and a
call is a `skdpipe.PoseEstimator`; nothing in skdpipe depends on this file. It needs ONNX Runtime
(``pip install "skdpipe[onnx]"``) and the weights described in configs/movenet.yaml.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from skdpipe import COCO_17, Frame, Keypoints, Layout, PoseError
from skdpipe.errors import require_extra

_JOINTS = len(COCO_17)
_PERSON = _JOINTS * 3 + 5  # y, x, score of each joint, then a box and the score of the person


class MoveNet:
    """Google's MoveNet MultiPose Lightning: up to six people in the whole frame.

    Args:
        weights: path of the ONNX file; the side of its input is the size to which a frame is scaled.
        person: people with a lower score are left out.
        keypoint: joints with a lower score are unseen. MoveNet outputs every joint, hidden ones with a low
            score. If the frame is scaled down by a third, six in ten joints with a score below 0.2 move by
            more than a fifth of the body size, but only one in forty with a score above 0.4.
        threads: number of threads of ONNX Runtime; 0 uses one per core.

    Raises:
        MissingDependencyError: if ONNX Runtime is not installed.
        PoseError: if the weights are missing or belong to another network, or a threshold is not in [0, 1].
    """

    layout: Layout = COCO_17

    def __init__(
        self, weights: str, *, person: float = 0.25, keypoint: float = 0.2, threads: int = 0
    ) -> None:
        for name, score in (("person", person), ("keypoint", keypoint)):
            if not (isinstance(score, int | float) and 0 <= score <= 1):
                raise PoseError(f"MoveNet's option {name} is {score!r}; expected a score from 0 to 1")
        path = Path(weights)
        self._session, self._side = _open(path, threads)
        self._person, self._keypoint = person, keypoint
        self._checksum = hashlib.sha256(path.read_bytes()).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Name and input size, checksum of the weights, thresholds."""
        settings = f"person{self._person:g} keypoint{self._keypoint:g}"
        return f"movenet-multipose-{self._side} {self._checksum[:16]} {settings}"

    def __call__(self, frames: Sequence[Frame]) -> list[Keypoints]:
        """See `skdpipe.pose.PoseEstimator.__call__`."""
        return [self._find_people(frame) for frame in frames]

    def _find_people(self, frame: Frame) -> Keypoints:
        (poses,) = self._session.run(["poses"], {"image": letterbox(frame, self._side)[None]})
        rows = poses[0][np.argsort(-poses[0][:, -1], kind="stable")]
        rows = rows[rows[:, -1] >= self._person]
        keypoints = to_keypoints(rows, max(frame.shape[:2]), self._keypoint)
        return keypoints[(keypoints[..., 2] > 0).any(axis=1)]


def letterbox(frame: Frame, side: int) -> Frame:
    """The frame in the top left corner of a black square, its longer edge scaled to the square's side."""
    scale = side / max(frame.shape[:2])
    height, width = (max(1, round(length * scale)) for length in frame.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square = np.zeros((side, side, 3), np.uint8)
    square[:height, :width] = cv2.resize(frame, (width, height), interpolation=method)
    return square


def to_keypoints(rows: NDArray[np.float32], edge: int, threshold: float) -> Keypoints:
    """MoveNet's output as keypoints ``(person, joint, 3)`` in pixels; unseen joints are NaN, NaN, 0.

    Args:
        rows: ``(person, 56)``; each row starts with ``y, x, score`` of every joint, relative to the square.
        edge: longer edge of the frame in pixels, which fills the square.
        threshold: lowest score of a seen joint.
    """
    y, x, score = np.moveaxis(rows[:, : _JOINTS * 3].reshape(-1, _JOINTS, 3), -1, 0)
    keypoints = np.stack([x * edge, y * edge, np.clip(score, 0, 1)], axis=-1)
    seen = (score >= threshold) & (score > 0)
    return np.where(seen[..., None], keypoints, [np.nan, np.nan, 0]).astype(np.float32)


def _open(path: Path, threads: int) -> tuple[Any, int]:
    """A session for the weights, and the side of its square input."""
    require_extra("onnx", "onnxruntime")
    import onnxruntime

    if not path.is_file():
        raise PoseError(
            f"no MoveNet weights at {path.absolute()}; expected multipose_256.onnx or multipose_384.onnx: "
            "download them as described in configs/movenet.yaml and set the option `weights` to their path"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # do not occupy idle cores
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common class
        reason = " ".join(str(error).split())
        raise PoseError(
            f"{path} is not a network that ONNX Runtime can read ({reason}); download it again"
        ) from error
    found = [(port.name, port.type, port.shape) for port in (*session.get_inputs(), *session.get_outputs())]
    side = found[0][2][1]
    expected = [
        ("image", "tensor(uint8)", [1, side, side, 3]),
        ("poses", "tensor(float)", [1, 6, _PERSON]),
    ]
    if found != expected:
        raise PoseError(f"{path} maps {found}; expected MoveNet MultiPose: {expected}")
    return session, int(side)
