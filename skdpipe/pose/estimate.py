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
from skdpipe.pose.protocol import PoseEstimator, detect_people
from skdpipe.pose.tracker import track
from skdpipe.skeleton import Keypoints, Origin, PoseSequence
from skdpipe.skeleton.people import select_people
from skdpipe.skeleton.timing import FrameSampler, timing_of

if TYPE_CHECKING:
    from skdpipe.video import Frame

_PREFETCHED_FRAMES = 64  # at most, and only as many as fit into _PREFETCHED_BYTES
_PREFETCHED_BYTES = 256 * 2**20
_BATCH_BYTES = 384 * 2**20  # sixteen frames of 4K, three of 8K


@dataclass(frozen=True)
class SampledEstimator:
    """An estimator that runs on one frame in ``every``, chosen by a `FrameSampler`."""

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
        batch: number of frames in one call of an estimator, fewer if they are larger than 4K.
        on_frames: called with the number of frames decoded since the last call.

    Returns:
        A sequence for each estimator, with the times of its frames if they are not evenly spaced.

    Raises:
        VideoError: if the video cannot be decoded.
        PoseError: if an estimator fails or returns something else than people.
    """
    from skdpipe.video import measure_timing, probe, read_timed_frames

    info = probe(path)
    sampling = any(each.every > 1 for each in estimators)
    varying_fps = measure_timing(path).varying_fps if sampling else None
    frame_bytes = 3 * info.size[0] * info.size[1]
    limit = max(1, min(_PREFETCHED_FRAMES, _PREFETCHED_BYTES // frame_bytes))
    with closing(prefetch(read_timed_frames(path), limit)) as frames:
        return _estimate(
            frames,
            info.fps,
            [FrameSampler(each.every, varying_fps) for each in estimators],
            estimators,
            origin,
            people=people,
            batch=max(1, min(batch, _BATCH_BYTES // frame_bytes)),
            on_frames=on_frames,
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
        frames: RGB images ``(height, width, 3)`` uint8, all of one size, evenly spaced.
        fps: frames per second.
        estimators, origin, people, batch, on_frames: as for :func:`estimate_video`.

    Raises:
        VideoError: if there are no frames.
    """
    return _estimate(
        ((frame, number / fps) for number, frame in enumerate(frames)),
        fps,
        [FrameSampler(each.every) for each in estimators],
        estimators,
        origin,
        people=people,
        batch=batch,
        on_frames=on_frames,
    )


def _estimate(
    frames: Iterable[tuple[Frame, float]],
    stated_fps: float,
    samplers: Sequence[FrameSampler],
    estimators: Sequence[SampledEstimator],
    origin: Origin,
    *,
    people: int,
    batch: int,
    on_frames: Callable[[int], None],
) -> list[PoseSequence]:
    """Run each estimator on the frames, given with their times in seconds, that its sampler chooses."""
    batches: list[list[Frame]] = [[] for _ in estimators]
    detections: list[list[Keypoints]] = [[] for _ in estimators]
    chosen: list[list[int]] = [[] for _ in estimators]
    times: list[float] = []
    size = (0, 0)
    for frame, seconds in frames:
        size = (frame.shape[1], frame.shape[0])
        for each, sampler, pending, found, rows in zip(
            estimators, samplers, batches, detections, chosen, strict=True
        ):
            if sampler.chooses(seconds):
                pending.append(frame)
                rows.append(len(times))
            if len(pending) == batch:
                found.extend(detect_people(each.estimator, pending))
                pending.clear()
        times.append(seconds)
        if len(times) % batch == 0:
            on_frames(batch)
    if not times:
        raise VideoError(f"{origin.source or 'the input'} has no frames; expected one or more")
    timing = timing_of(times, stated_fps)
    sequences = []
    for each, pending, found, rows in zip(estimators, batches, detections, chosen, strict=True):
        if pending:
            found.extend(detect_people(each.estimator, pending))
        layout = each.estimator.layout
        sequences.append(
            PoseSequence(
                select_people(track(found, layout, size), people),
                np.array(rows, np.int32),
                len(times),
                layout,
                timing.fps,
                size,
                replace(origin, estimator=each.estimator.fingerprint),
                times=None if timing.times is None else timing.times[rows],
            )
        )
    on_frames(len(times) % batch)
    return sequences
