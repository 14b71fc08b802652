"""Pose sequences of several estimators from the frames of a video, which is decoded once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skdpipe.errors import VideoError
from skdpipe.pose.prefetch import prefetch
from skdpipe.pose.protocol import PoseEstimator
from skdpipe.pose.tracker import track
from skdpipe.skeleton import Keypoints, Origin, PoseSequence
from skdpipe.skeleton.people import select_people

if TYPE_CHECKING:
    from skdpipe.video import Frame

_PREFETCHED_FRAMES = 64  # at most, and only as many as fit into _PREFETCHED_BYTES
_PREFETCHED_BYTES = 256 * 2**20


@dataclass(frozen=True)
class SampledEstimator:
    """An estimator that runs on one frame in ``every``."""

    estimator: PoseEstimator
    every: int = 1

    def __post_init__(self) -> None:
        assert self.every > 0


def estimate_video(
    path: Path,
    estimators: Sequence[SampledEstimator],
    origin: Origin,
    *,
    people: int,
    batch: int,
    on_frames: Callable[[int], None] = lambda frames: None,
) -> list[PoseSequence]:
    """Run all estimators on a video, which is decoded once in a thread of its own.

    Args:
        path: the video.
        estimators: the estimators and their sampling.
        origin: source, key and labels of the video; the estimator's fingerprint is filled in.
        people: number of people kept, those with the highest mean confidence.
        batch: number of frames in one call of an estimator.
        on_frames: called with the number of frames decoded since the last call.

    Returns:
        A sequence for each estimator.

    Raises:
        VideoError: if the video cannot be decoded to its end.
    """
    from skdpipe.video import probe, read_frames

    info = probe(path)
    limit = max(1, min(_PREFETCHED_FRAMES, _PREFETCHED_BYTES // (3 * info.size[0] * info.size[1] + 1)))
    with closing(prefetch(read_frames(path), limit)) as frames:
        return estimate_frames(
            frames, info.fps, estimators, origin, people=people, batch=batch, on_frames=on_frames
        )


def estimate_frames(
    frames: Iterable[Frame],
    fps: float,
    estimators: Sequence[SampledEstimator],
    origin: Origin,
    *,
    people: int,
    batch: int,
    on_frames: Callable[[int], None] = lambda frames: None,
) -> list[PoseSequence]:
    """Run all estimators on frames; people are tracked, so that each keeps one person index.

    Args:
        frames: RGB images ``(height, width, 3)`` uint8, all of one size.
        fps: frames per second.
        estimators, origin, people, batch, on_frames: as for :func:`estimate_video`.

    Raises:
        VideoError: if there are no frames.
    """
    batches: list[list[Frame]] = [[] for _ in estimators]
    detections: list[list[Keypoints]] = [[] for _ in estimators]
    count, size = 0, (0, 0)
    for frame in frames:
        size = (frame.shape[1], frame.shape[0])
        for sampled, pending, found in zip(estimators, batches, detections, strict=True):
            if count % sampled.every == 0:
                pending.append(frame)
            if len(pending) == batch:
                found.extend(sampled.estimator(pending))
                pending.clear()
        count += 1
        if count % batch == 0:
            on_frames(batch)
    if not count:
        raise VideoError(f"{origin.source or 'the input'} has no frames; expected one or more")
    sequences = []
    for sampled, pending, found in zip(estimators, batches, detections, strict=True):
        if pending:
            found.extend(sampled.estimator(pending))
        layout = sampled.estimator.layout
        sequences.append(
            PoseSequence(
                select_people(track(found, layout, size), people),
                np.arange(0, count, sampled.every, dtype=np.int32),
                count,
                layout,
                fps,
                size,
                replace(origin, estimator=sampled.estimator.fingerprint),
            )
        )
    on_frames(count % batch)
    return sequences
