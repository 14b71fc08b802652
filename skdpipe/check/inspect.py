"""One pass over the clips of an experiment: what the checks need to know of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from skdpipe.cache import PoseCache
from skdpipe.classical.features import Floats, summary_features
from skdpipe.config import Experiment
from skdpipe.dataset import Manifest, PairedClip, load_qualities
from skdpipe.inference.model_input import joint_input
from skdpipe.progress import Progress
from skdpipe.skeleton import PoseSequence

# Joints that move less than this share of the body size are at rest.
_REST = 1e-4


@dataclass(frozen=True)
class Seen:
    """The skeletons of one quality of a clip.

    Attributes:
        frames: number of frames of the video.
        seconds: its duration.
        occupied: share of the sampled frames in which somebody is seen.
        joints: share of the joints that are seen of people who are seen.
        people: number of people who are seen in any frame.
        constant: nothing moves, or there is one frame only.
        digest: equal for equal skeletons, wherever they are in the picture and whatever their scale.
        features: :func:`skdpipe.classical.summary_features` of the clip, None if nobody is seen.
    """

    frames: int
    seconds: float
    occupied: float
    joints: float
    people: int
    constant: bool
    digest: str
    features: Floats | None


@dataclass(frozen=True)
class InspectedClip:
    """A clip of the experiment.

    Attributes:
        clip: label, side of the split, source.
        subject: the person, None if the data does not say.
        high, low: None if the quality is missing.
        matched: number of people who are seen in both qualities.
    """

    clip: PairedClip
    subject: str | None
    high: Seen | None
    low: Seen | None
    matched: int


def inspect_clips(
    cache: PoseCache, manifest: Manifest, experiment: Experiment, progress: Progress
) -> Iterator[tuple[InspectedClip, PoseSequence | None, PoseSequence | None]]:
    """Each clip with its sequences, whose people are matched; None for a missing quality."""
    with progress.task("checking", len(manifest.clips), unit="clips") as task:
        for number, clip in enumerate(manifest.clips, 1):
            high, low, matched = load_qualities(
                cache, clip, experiment.clip.people, experiment.derive_low, experiment.seed
            )
            subject = next((each.origin.subject for each in (high, low) if each is not None), None)
            views = [_seen(each, experiment) if each is not None else None for each in (high, low)]
            yield InspectedClip(clip, subject, views[0], views[1], len(matched)), high, low
            task.advance_to(number)


def _seen(sequence: PoseSequence, experiment: Experiment) -> Seen:
    seen = sequence.seen
    present = np.any(seen, axis=2)
    clip, mask = joint_input(sequence, experiment.clip)
    rounded = np.round(clip, 3) + 0.0  # no negative zeros
    return Seen(
        frames=sequence.video_frames,
        seconds=sequence.video_frames / sequence.fps,
        occupied=float(present.any(axis=1).mean()),
        joints=float(seen[present].mean()) if present.any() else 0.0,
        people=int(present.any(axis=0).sum()),
        constant=bool(np.ptp(clip[:, :2], axis=2).max() < _REST),
        digest=hashlib.sha256(rounded.tobytes()).hexdigest(),
        features=summary_features(clip, mask) if mask.any() else None,
    )
