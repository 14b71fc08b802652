"""One pass over the clips of an experiment: the properties of each that the checks compare."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from skdpipe.cache import PoseCache
from skdpipe.classical import summary_features
from skdpipe.classical.features import Floats
from skdpipe.config import EstimatorNoise, Experiment
from skdpipe.dataset import Manifest, PairedClip, load_qualities
from skdpipe.dataset.subset import evenly_spread
from skdpipe.degradation import fit_noise
from skdpipe.errors import DataError
from skdpipe.inference.model_input import joint_input
from skdpipe.progress import Progress
from skdpipe.skeleton import PoseSequence, layout_named, map_layout
from skdpipe.skeleton.people import body_size

_REST: Final = 2e-3  # a joint that moves less than this share of the body size is at rest
_CLIPS_WITH_FEATURES: Final = 5000
_PAIRS_WITH_NOISE: Final = 300


@dataclass(frozen=True, slots=True)
class Skeletons:
    """Properties of the skeletons of one quality of a clip.

    Attributes:
        frames: number of frames of the video.
        seconds: its duration.
        step: number of video frames from one sampled frame to the next.
        occupied: share of the sampled frames in which a person is seen.
        joints: share of the joints that are seen of people who are seen; 0 if nobody is.
        people: number of people who are seen in any frame.
        constant: more than one frame, and no joint moves.
        digest: of the keypoints; equal for equal skeletons.
    """

    frames: int
    seconds: float
    step: float
    occupied: float
    joints: float
    people: int
    constant: bool
    digest: str


@dataclass(frozen=True, slots=True)
class InspectedClip:
    """A clip of the experiment.

    Attributes:
        clip: label, side of the split, source.
        subject: the person, None if the data does not contain it.
        high, low: None if the quality is missing.
        matched: number of people who are seen in both qualities.
        features: `summary_features` of the better quality; None if nobody is seen, for clips that have other
            coordinates than high quality, and for the clips of a large data set that are not in the sample.
    """

    clip: PairedClip
    subject: str | None
    high: Skeletons | None
    low: Skeletons | None
    matched: int
    features: Floats | None

    @property
    def best(self) -> Skeletons:
        """High quality, or low quality if there is no high quality."""
        found = self.high or self.low
        assert found is not None
        return found


def inspect_clips(
    cache: PoseCache, manifest: Manifest, experiment: Experiment, progress: Progress
) -> list[InspectedClip]:
    """Read each clip once. Features are computed for at most 5,000 clips, evenly spread."""
    with_features = {clip.key for clip in evenly_spread(manifest.clips, _CLIPS_WITH_FEATURES)}
    found = []
    with progress.task("checking", len(manifest.clips), unit="clips") as task:
        for number, clip in enumerate(manifest.clips, 1):
            found.append(_inspect(cache, clip, experiment, manifest, with_features=clip.key in with_features))
            task.advance_to(number)
    return found


def fit_noise_of_clips(cache: PoseCache, manifest: Manifest, experiment: Experiment) -> EstimatorNoise | None:
    """The errors of low quality in at most 300 clips, evenly spread; None if nobody is in both qualities."""
    derived = experiment.derive_low is not None
    paired = [clip for clip in manifest.clips if clip.high is not None and (derived or clip.low is not None)]
    pairs = _pairs(cache, evenly_spread(paired, _PAIRS_WITH_NOISE), experiment)
    try:
        return fit_noise(pairs, layout_named(experiment.clip.layout))
    except DataError:  # nobody is in both qualities; the layouts have been mapped by `inspect_clips`
        return None


def _pairs(
    cache: PoseCache, clips: Sequence[PairedClip], experiment: Experiment
) -> Iterator[tuple[PoseSequence, PoseSequence]]:
    for clip in clips:
        high, low, _ = _load(cache, clip, experiment)
        assert high is not None
        assert low is not None
        yield high, low


def _load(
    cache: PoseCache, clip: PairedClip, experiment: Experiment
) -> tuple[PoseSequence | None, PoseSequence | None, set[int]]:
    """Both qualities with matched people, in the layout of the network input."""
    high, low, same_person = load_qualities(
        cache, clip, experiment.clip.people, experiment.derive_low, experiment.seed
    )
    layout = layout_named(experiment.clip.layout)
    mapped = [None if each is None else map_layout(each, layout) for each in (high, low)]
    return mapped[0], mapped[1], same_person


def _inspect(
    cache: PoseCache, clip: PairedClip, experiment: Experiment, manifest: Manifest, *, with_features: bool
) -> InspectedClip:
    high, low, same_person = _load(cache, clip, experiment)
    best = high or low
    assert best is not None
    features = None
    if with_features and best.coordinates == manifest.coordinates["high"]:
        joints, mask = joint_input(best, experiment.clip)
        features = summary_features(joints, mask) if mask.any() else None
    matched = 0
    if high is not None and low is not None:
        in_both = np.flatnonzero(high.seen.any(axis=(0, 2)) & low.seen.any(axis=(0, 2)))
        matched = len(same_person.intersection(in_both.tolist()))
    skeletons = [None if each is None else _describe(each) for each in (high, low)]
    return InspectedClip(clip, best.origin.subject, skeletons[0], skeletons[1], matched, features)


def _describe(sequence: PoseSequence) -> Skeletons:
    seen = sequence.seen
    present = np.any(seen, axis=2)
    rows = sequence.frame_index
    return Skeletons(
        frames=sequence.video_frames,
        seconds=sequence.duration,
        step=float(median(np.diff(rows).tolist())) if len(rows) > 1 else 1.0,
        occupied=float(present.any(axis=1).mean()) if len(rows) else 0.0,
        joints=float(seen[present].mean()) if present.any() else 0.0,
        people=int(present.any(axis=0).sum()),
        constant=len(rows) > 1 and bool(present.any()) and not _has_motion(sequence),
        digest=hashlib.blake2b(sequence.keypoints.tobytes(), digest_size=16).hexdigest(),
    )


def _has_motion(sequence: PoseSequence) -> bool:
    """Whether a joint of any person moves in the image."""
    seen, xy = sequence.seen[..., None], sequence.keypoints[..., :-1]
    reach = np.where(seen, xy, -np.inf).max(axis=0) - np.where(seen, xy, np.inf).min(axis=0)
    moves = reach.max(axis=(1, 2)) > _REST * body_size(sequence.keypoints)
    return bool(moves.any())
