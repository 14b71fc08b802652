"""How long the training clips are, and who is seen in them: what a network has learned to expect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from skdpipe.cache import PoseCache, Quality
from skdpipe.config import ClipFormat, Degradation
from skdpipe.dataset.clips import load_qualities
from skdpipe.dataset.manifest import PairedClip
from skdpipe.dataset.subset import evenly_spread
from skdpipe.inference.metadata import TrainingClips
from skdpipe.skeleton import PoseSequence

_CLIPS_READ: Final = 1000
_OFTEN: Final = 0.2  # share of the poses; in fewer, a second person is a passer-by or an error
_SELDOM: Final = 0.05  # the quantile of `TrainingClips.least_seen`


def describe_training_clips(
    cache: PoseCache,
    clips: Sequence[PairedClip],
    quality: Quality,
    clip: ClipFormat,
    derive: Degradation | None,
    seed: int,
) -> TrainingClips:
    """Describe clips of one quality. The headers of all are read, and at most 1,000, evenly spread, whole.

    Args:
        cache: contains the skeletons.
        clips: one or more that have the quality.
        quality: whose poses are described.
        clip: how they become the input of the network.
        derive: how low quality is derived from high, None if it is cached.
        seed: of the derivation.
    """
    lengths, windows = [], []
    for each in clips:
        path = each.low if quality == "low" and derive is None else each.high
        assert path is not None
        entry = cache.describe(path)
        used = entry.video_frames if clip.fill == "resample" else min(clip.frames, entry.video_frames)
        lengths.append(entry.video_frames / entry.fps)
        windows.append(used / entry.fps)
    poses = []
    for each in evenly_spread(clips, _CLIPS_READ):
        high, low, _ = load_qualities(cache, each, clip.people, derive, seed)
        sequence = high if quality == "high" else low
        assert sequence is not None
        poses.append(_describe(sequence))
    seen = [each.main_seen for each in poses]
    return TrainingClips(
        seconds=median(lengths),
        shortest=min(lengths),
        longest=max(lengths),
        window=median(windows),
        pose_fps=median(each.fps for each in poses),
        people=max(each.people for each in poses),
        several=float(np.mean([each.several for each in poses])),
        seen=median(seen),
        least_seen=float(np.quantile(seen, _SELDOM)),
    )


@dataclass(frozen=True)
class _Poses:
    """The poses of a clip.

    Attributes:
        fps: poses a second.
        people: number of people who are seen.
        several: whether two or more people are seen in a fifth of the poses.
        main_seen: share of the poses in which the person is seen who is seen most.
    """

    fps: float
    people: int
    several: bool
    main_seen: float


def _describe(sequence: PoseSequence) -> _Poses:
    present = sequence.seen.any(axis=2)
    if not present.any():
        return _Poses(_poses_per_second(sequence), 0, several=False, main_seen=0.0)
    return _Poses(
        _poses_per_second(sequence),
        int(present.any(axis=0).sum()),
        several=bool((present.sum(axis=1) >= 2).mean() >= _OFTEN),
        main_seen=float(present.mean(axis=0).max()),
    )


def _poses_per_second(sequence: PoseSequence) -> float:
    if len(sequence.frame_index) < 2:
        return sequence.fps
    if sequence.times is None:
        return sequence.fps / float(np.median(np.diff(sequence.frame_index)))
    return 1 / float(np.median(np.diff(sequence.times)))
