"""RTMPose, which finds joints in the boxes of a detector, and RTMO, which finds all people at once.

rtmlib prepares the images and decodes what the networks put out. The networks do not run in rtmlib's own
sessions, of which neither threads nor precision can be set, and whose idle threads keep the cores busy.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from skdpipe.config import RtmlibSettings
from skdpipe.errors import PoseError, require_extra
from skdpipe.pose.rtmlib.download import fetch
from skdpipe.pose.rtmlib.network import Floats, Network, Open, choose_runtime, load_network, opener
from skdpipe.runtimes import available_threads
from skdpipe.skeleton import COCO_17, UNSEEN, Keypoints, Layout, is_seen
from skdpipe.skeleton.builtin_layouts import COCO_WHOLEBODY_133, HALPE_26
from skdpipe.video import Frame

_BODIES: Final = {  # rtmlib's class with the addresses of the networks, and the order of their joints
    "coco-17": ("Body", COCO_17),
    "halpe-26": ("BodyWithFeet", HALPE_26),
    "coco-wholebody-133": ("Wholebody", COCO_WHOLEBODY_133),
}
_PEOPLE: Final = 0  # class of people in detectors trained with COCO or Human-Art
_STRIDES: Final = (8, 16, 32)  # of YOLOX
_BINS: Final = 2  # of RTMPose's output for each pixel of its input
_MEAN: Final = np.array([123.675, 116.28, 103.53])  # of RTMPose's input, RGB
_DEVIATION: Final = np.array([58.395, 57.12, 57.375])
_OVERLAP: Final = 0.45  # rtmlib's default: of two boxes that overlap more, the less certain one is left out


class Rtmlib:
    """A `PoseEstimator`: RTMPose or RTMO by rtmlib.

    RTMPose's detector runs on the first frame of a call and on every ``detect_every``-th after it. Between
    these frames each person is searched for around the joints of the frame before, as by rtmlib's
    `PoseTracker` without tracking. Nothing is kept from call to call, as the next one may be of another
    video. So an interval that is longer than a call (`extraction.batch`) acts like one of its length, and the
    detector runs on all frames that come one by one.

    YOLOX and RTMO were trained with BGR images, RTMPose with RGB images, and each gets its own; rtmlib's
    classes for whole frames give all of them one order.

    Confidences are rtmlib's scores. A score above 1, as RTMPose's can be, counts as 1. The most confident
    person has the highest mean confidence of all joints. Boxes end at the border of the frame.

    Args:
        settings: networks, thresholds, interval of detections, runtime.
        device: ``cpu`` or ``cuda``, which ONNX Runtime uses if it is built for it.
        threads: number of threads of each network; by default one per core.

    Attributes:
        layout: of the joints.
        runtime: that runs the networks, onnx or openvino.

    Raises:
        MissingDependencyError: if rtmlib or the runtime is not installed.
        PoseError: if a network is missing, cannot be downloaded, is damaged, or is another than expected, or
            if RTMO gets a setting of RTMPose.
    """

    def __init__(self, settings: RtmlibSettings, device: str = "cpu", *, threads: int | None = None) -> None:
        require_extra("rtmlib", "rtmlib", "onnxruntime")
        import rtmlib

        source, self.layout = _BODIES[settings.body]
        self.runtime = choose_runtime(settings.runtime, device)
        open_file = opener(self.runtime, device, threads or available_threads())
        if settings.model == "rtmo":
            _require_no_detector(settings)
            files = rtmlib.Body.RTMO_MODE[settings.mode]
            network = _load("pose", settings.pose, files["pose"], files["pose_input_size"], open_file)
            self._find: _RtmPose | _Rtmo = _Rtmo(network, settings.person, settings.keypoint)
            made_of = f"rtmo-{network}"
        else:
            files = getattr(rtmlib, source).MODE[settings.mode]
            boxes = _load("detector", settings.detector, files["det"], files["det_input_size"], open_file)
            joints = _load("pose", settings.pose, files["pose"], files["pose_input_size"][::-1], open_file)
            detect = _Detector(boxes, settings.person)
            self._find = _RtmPose(detect, settings.detect_every, joints, self.layout, settings.keypoint)
            made_of = f"rtmpose-{joints} {settings.body} yolox-{boxes} detect{settings.detect_every}"
        thresholds = f"person{settings.person:g} keypoint{settings.keypoint:g}"
        self._fingerprint = f"{made_of} {thresholds} rtmlib-{version('rtmlib')}"

    @property
    def fingerprint(self) -> str:
        """Input size and checksum of each network, layout, interval, thresholds, version of rtmlib.

        The mode is not part of it, as the same network can be published or given by its path. Neither is the
        runtime: all of them compute in single precision.
        """
        return self._fingerprint

    def __call__(self, frames: Sequence[Frame]) -> list[Keypoints]:
        """See `PoseEstimator.__call__`."""
        return self._find(frames)


def _require_no_detector(settings: RtmlibSettings) -> None:
    for name, expected in (("body", "coco-17"), ("detector", ""), ("detect_every", 1)):
        if (found := getattr(settings, name)) != expected:
            raise PoseError(
                f"{name} is {found!r} with the model rtmo, which has 17 joints and no detector; expected "
                f"{expected!r}: correct it, or use the model rtmpose"
            )


def _load(role: str, path: str, address: str, published: tuple[int, int], open_file: Open) -> Network:
    """The network at the path or, without one, at rtmlib's address.

    Args:
        role: name of the setting with the path.
        path: of an ONNX file, or empty.
        address: of the published archive.
        published: height and width of its input.
        open_file: opens it in the runtime.

    Raises:
        PoseError: if it cannot be found, downloaded or opened.
    """
    try:
        found = Path(path) if path else fetch(address)
    except PoseError as error:
        raise PoseError(
            f"{error}; run again with network access, or set `{role}` to the path of the ONNX file"
        ) from error
    try:
        return load_network(found, published, open_file)
    except PoseError as error:
        raise PoseError(f"{error} (setting `{role}`)") from error


class _Detector:
    """YOLOX: from a frame to the boxes ``(person, 4)`` of people, left, top, right and bottom in pixels.

    Raises:
        PoseError: if the network is not YOLOX.
    """

    def __init__(self, network: Network, person: float) -> None:
        import rtmlib

        height, width = network.size
        cells = sum((height // stride) * (width // stride) for stride in _STRIDES)

        def fits(found: list[tuple[int, ...]]) -> bool:
            suppressed = found[0][-1] == 5
            return len(found[0]) == 3 and (suppressed or (found[0][1] == cells and found[0][2] > 5))

        network.require(fits, f"YOLOX's boxes and scores, (1, n, 5) or (1, {cells}, 5 + classes)")
        self._person = person
        self._tool = _make(
            rtmlib.YOLOX, network, network.size, det_mode="multiclass", nms_thr=_OVERLAP, score_thr=person
        )

    def __call__(self, frame: Frame) -> Floats:
        image, ratio = self._tool.preprocess(_to_bgr(frame))
        outputs = self._tool.inference(image)
        if outputs[0].shape[2] > 5:
            boxes, classes = self._tool.postprocess(outputs[0], ratio)
        else:  # rtmlib would ignore the classes and the threshold
            boxes, scores = outputs[0][0, :, :4] / ratio, outputs[0][0, :, 4]
            classes = np.where(scores < self._person, -1, outputs[1][0] if len(outputs) > 1 else _PEOPLE)
        return _inside(boxes.reshape(-1, 4)[classes == _PEOPLE], frame)


class _RtmPose:
    """A detector, and the network that finds the joints of the person in each box.

    Raises:
        PoseError: if the network is not RTMPose with the joints of the layout.
    """

    def __init__(
        self, detect: _Detector, detect_every: int, network: Network, layout: Layout, keypoint: float
    ) -> None:
        import rtmlib

        height, width = network.size
        joints = len(layout)
        network.require(
            lambda found: found == [(1, joints, _BINS * width), (1, joints, _BINS * height)],
            f"RTMPose's scores of columns and rows for the {joints} joints of {layout.name}",
        )
        size = (width, height)
        self._tool = _make(rtmlib.RTMPose, network, size, mean=_MEAN, std=_DEVIATION, to_openpose=False)
        self._detect, self._detect_every = detect, detect_every
        self._layout, self._keypoint = layout, keypoint

    def __call__(self, frames: Sequence[Frame]) -> list[Keypoints]:
        found: list[Keypoints] = []
        for number, frame in enumerate(frames):
            detects = number % self._detect_every == 0
            boxes = self._detect(frame) if detects else _around(found[-1], frame)
            found.append(self._people(frame, boxes))
        return found

    def _people(self, frame: Frame, boxes: Floats) -> Keypoints:
        if not len(boxes):  # rtmlib would search the whole frame for one person
            return _nobody(self._layout)
        xy, scores = self._tool(frame, boxes)
        return _to_people(xy, scores, self._keypoint)


class _Rtmo:
    """The network that finds all people of a frame.

    Raises:
        PoseError: if it is not RTMO.
    """

    def __init__(self, network: Network, person: float, keypoint: float) -> None:
        import rtmlib

        joints = len(COCO_17)
        network.require(
            lambda found: len(found) == 2 and found == [(1, found[0][1], 5), (1, found[0][1], joints, 3)],
            f"RTMO's boxes (1, n, 5) and joints (1, n, {joints}, 3)",
        )
        self._tool = _make(rtmlib.RTMO, network, network.size, mean=None, std=None)
        self._person, self._keypoint = person, keypoint

    def __call__(self, frames: Sequence[Frame]) -> list[Keypoints]:
        return [self._people(frame) for frame in frames]

    def _people(self, frame: Frame) -> Keypoints:
        image, ratio = self._tool.preprocess(_to_bgr(frame))
        outputs = self._tool.inference(image)
        if not outputs[0].shape[1]:  # rtmlib expects one box or more
            return _nobody(COCO_17)
        xy, scores = self._tool.postprocess(outputs, ratio, nms_thr=_OVERLAP, score_thr=self._person)
        return _to_people(xy, scores, self._keypoint)


def _make(tool: Any, network: Network, size: tuple[int, int], **settings: object) -> Any:
    """One of rtmlib's tools for a network that is open; its own constructor would open a session."""
    made = tool.__new__(tool)
    vars(made).update(settings, model_input_size=size, inference=network.run)
    return made


def _to_people(xy: Floats, scores: Floats, keypoint: float) -> Keypoints:
    """rtmlib's joints ``(person, joint, 2)`` and scores ``(person, joint)`` as `PoseEstimator` describes."""
    confidence: Floats = np.clip(scores, 0, 1)
    unseen = (confidence < keypoint) | (confidence == 0)  # NaN is neither; `detect_people` refuses it
    joints = np.concatenate([xy, confidence[..., None]], axis=-1)
    people = np.where(unseen[..., None], UNSEEN, joints).astype(np.float32)
    people = people[~unseen.all(axis=1)]
    order = np.argsort(-people[..., 2].mean(axis=1), kind="stable")
    found: Keypoints = people[order]
    return found


def _nobody(layout: Layout) -> Keypoints:
    return np.empty((0, len(layout), 3), np.float32)


def _around(people: Keypoints, frame: Frame) -> Floats:
    """Boxes ``(person, 4)`` around the seen joints; people whose joints have no extent are left out."""
    from rtmlib.tools.solution.pose_tracker import pose_to_bbox

    boxes = [pose_to_bbox(person[is_seen(person), :2]) for person in people]
    return _inside(np.array(boxes, np.float32).reshape(-1, 4), frame)


def _inside(boxes: Floats, frame: Frame) -> Floats:
    """The parts ``(n, 4)`` of boxes inside the frame; those of less than a pixel are left out."""
    height, width = frame.shape[:2]
    parts: Floats = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
    return parts[(parts[:, 2:] - parts[:, :2] >= 1).all(axis=1)]


def _to_bgr(frame: Frame) -> Frame:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), np.uint8)
