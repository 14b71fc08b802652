"""The pose network beside an exported student, compared with PyTorch on real frames."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from skdpipe.config import Estimator, OpenPifPafSettings, PluginSettings, to_plain
from skdpipe.errors import BundleError, DataError, in_brief
from skdpipe.export.metadata import as_json, with_onnx_metadata
from skdpipe.export.skeletons import evenly_spaced
from skdpipe.inference.export_format import POSE_FORMAT, Parity
from skdpipe.inference.metadata import BundleMetadata
from skdpipe.inference.trained_estimator import require_trained_estimator
from skdpipe.runtimes import open_session
from skdpipe.skeleton import COCO_17, Keypoints
from skdpipe.skeleton.people import assign, pairwise_oks
from skdpipe.video import EXTENSIONS, Frame, probe, read_frames

if TYPE_CHECKING:
    from skdpipe.pose.openpifpaf import OpenPifPaf, PoseNetwork

_FRAMES: Final = 32
_VIDEOS: Final = 8
_CERTAIN: Final = (
    0.01  # joints of a lower confidence are copied from their neighbour when people are completed
)

TOLERANCE: Final = 0.1
"""Largest difference of two joints in pixels of the network's input image."""

LEAST_EQUAL: Final = 0.9
"""Smallest share of frames with the same people: a confidence beside a threshold may fall on either side."""


@dataclass(frozen=True)
class ExportedPose:
    """An exported pose network.

    Attributes:
        model: ONNX with metadata.
        parity: how close it is to PyTorch.
        bound: largest difference that is accepted, in pixels of the largest frame.
        videos: number of videos of which frames were compared.
    """

    model: bytes
    parity: Parity
    bound: float
    videos: int


def export_pose(
    metadata: BundleMetadata, settings: OpenPifPafSettings, videos: Sequence[Path], threads: int
) -> ExportedPose:
    """Export a pose network, and compare it on frames of videos.

    Args:
        metadata: of the student.
        settings: of the estimator.
        videos: with people.
        threads: of ONNX Runtime.

    Raises:
        PoseError: if the weights are not available.
        BundleError: if they have changed since the training, or the people differ from those of PyTorch.
        DataError: if there is nobody in the videos.
    """
    from skdpipe.pose.openpifpaf import OpenPifPaf, TorchFields, load_weights
    from skdpipe.pose.openpifpaf.export import to_onnx
    from skdpipe.pose.openpifpaf.exported_fields import ExportedFields

    network = load_weights(settings.backbone, settings.weights)
    trained = OpenPifPaf(
        TorchFields(network, "cpu", settings.precision),
        long_edge=settings.long_edge,
        thresholds=settings.thresholds,
    )
    require_trained_estimator(metadata, settings, trained.fingerprint)
    model = to_onnx(network)
    sides = [
        OpenPifPaf(fields, long_edge=settings.long_edge, thresholds=settings.thresholds)
        for fields in (
            TorchFields(network),
            ExportedFields(open_session(model, "onnx", calls=threads), network.description, calls=threads),
        )
    ]
    parity, largest_side = _compare(sides[0], sides[1], videos)
    bound = TOLERANCE * max(largest_side / settings.long_edge, 1.0)
    _require_parity(parity, bound)
    fields = {
        "format": POSE_FORMAT,
        "description": _describe(settings, trained.fingerprint, network),
        "parity": as_json(parity),
    }
    return ExportedPose(with_onnx_metadata(model, fields), parity, bound, len(videos))


def _describe(settings: OpenPifPafSettings, fingerprint: str, network: PoseNetwork) -> str:
    description = {
        "settings": to_plain(settings),
        "fingerprint": fingerprint,
        "backbone": network.description.backbone,
        "upsample": network.description.upsample,
        "checksum": network.description.checksum,
    }
    return json.dumps(description, allow_nan=False)


def name_estimator(settings: Estimator) -> str:
    """An estimator that is not exported, in words."""
    if isinstance(settings, PluginSettings):
        return f"the plugin {in_brief(settings.plugin, 100)}"
    return f"{settings.kind} {getattr(settings, 'model', '')}".rstrip()


def videos_to_compare(named: Path | None, sources: Sequence[str]) -> list[Path]:
    """The video that is named, or at most eight of the sources that exist.

    Raises:
        DataError: if there is none.
    """
    if named is not None:
        return [named]
    files = [Path(each) for each in dict.fromkeys(sources)]
    found = [each for each in files if each.suffix.lower() in EXTENSIONS and each.is_file()]
    if not found:
        raise DataError(
            "no video to compare the pose network on (the sources of the skeletons are not videos that exist "
            "here); name one with --video"
        )
    return evenly_spaced(found, _VIDEOS)


def _compare(expected: OpenPifPaf, found: OpenPifPaf, videos: Sequence[Path]) -> tuple[Parity, int]:
    """The parity on frames of videos, and the longest side of a frame."""
    differences, equal, people, longest = [0.0], [], 0, 0
    for frames in _frames_of(videos):
        longest = max(longest, *frames[0].shape[:2])
        for there, here in zip(expected(frames), found(frames), strict=True):
            people += len(there)
            apart = largest_difference(there, here)
            equal.append(apart is not None)
            differences.append(apart or 0.0)
    if not people:
        raise DataError(
            f"nobody is found in the frames of {videos[0]}, on which the pose network is compared; name a "
            "video with people with --video"
        )
    return Parity(len(equal), max(differences), float(np.mean(equal))), longest


def _frames_of(videos: Sequence[Path]) -> Iterator[list[Frame]]:
    """Evenly spaced frames of each video."""
    each = -(-_FRAMES // len(videos))
    for video in videos:
        interval = max(1, probe(video).frames // each)
        yield [frame for number, frame in enumerate(read_frames(video)) if number % interval == 0][:each]


def largest_difference(there: Keypoints, here: Keypoints) -> float | None:
    """Pixels between the joints of the same people; None if the people are not the same."""
    if len(there) != len(here):
        return None
    pairs = assign(np.nan_to_num(pairwise_oks(there, here, COCO_17.sigmas)))
    if len(pairs) != len(there):
        return None
    order = [column for _, column in sorted(pairs)]
    seen = there[..., 2] > _CERTAIN
    if (seen != (here[order, :, 2] > _CERTAIN)).any():
        return None
    return float(np.abs(there - here[order])[seen][:, :2].max(initial=0))


def _require_parity(parity: Parity, bound: float) -> None:
    if parity.equal < LEAST_EQUAL or parity.largest_difference > bound:
        raise BundleError(
            f"the exported pose network finds the same people in {parity.equal:.0%} of {parity.clips} "
            f"frames, with joints up to {parity.largest_difference:.2g} pixels apart; expected "
            f"{LEAST_EQUAL:.0%} and {bound:.2g} pixels: nothing was written; update torch and onnxruntime, "
            "or leave out --pose"
        )
