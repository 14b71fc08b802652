"""Pose sequences of several estimators from the frames of a video, which is decoded once."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skdpipe.errors import VideoError
from skdpipe.pose.prefetch import prefetch
from skdpipe.pose.protocol import PoseEstimator, detect_people
from skdpipe.pose.tracker import Tracker
from skdpipe.skeleton import Keypoints, Origin, PoseSequence
from skdpipe.skeleton.timing import FrameSampler, timing_of
from skdpipe.skeleton.tracks import Track, lay_out, most_confident

if TYPE_CHECKING:
    from skdpipe.video import Frame

_PREFETCHED_FRAMES = 64  # at most, and only as many as fit into _PREFETCHED_BYTES
_LONGEST_RUN = 64  # frames that are not chosen, between two steps of the progress
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

    def samplers() -> list[FrameSampler]:
        return [FrameSampler(each.every, varying_fps) for each in estimators]

    every_frame = any(each.every == 1 for each in estimators)
    decoded = read_timed_frames(path, None if every_frame else _any_of(samplers()))
    with closing(prefetch(_runs(decoded), limit)) as runs:
        return _estimate(
            chain.from_iterable(runs),
            info.fps,
            samplers(),
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
        PoseError: as :func:`estimate_video`.
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


def _any_of(samplers: Sequence[FrameSampler]) -> Callable[[float], bool]:
    """Whether one of the samplers, or several, choose the next frame; each counts all frames."""
    return lambda seconds: sum(sampler.chooses(seconds) for sampler in samplers) > 0


def _runs(
    frames: Generator[tuple[Frame | None, float]],
) -> Generator[list[tuple[Frame | None, float]]]:
    """Pieces of a video that contain one frame each, the last of the piece, or none.

    The queue between decoder and estimators counts pieces: frames that no estimator needs do not fill it.
    """
    run: list[tuple[Frame | None, float]] = []
    with closing(frames):
        for frame, seconds in frames:
            run.append((frame, seconds))
            if frame is not None or len(run) == _LONGEST_RUN:
                yield run
                run = []
    yield run


def _estimate(
    frames: Iterable[tuple[Frame | None, float]],
    stated_fps: float,
    samplers: Sequence[FrameSampler],
    estimators: Sequence[SampledEstimator],
    origin: Origin,
    *,
    people: int,
    batch: int,
    on_frames: Callable[[int], None],
) -> list[PoseSequence]:
    """Run each estimator on the frames, given with their times in seconds, that its sampler chooses.

    The other frames may be None.
    """
    batches: list[list[Frame]] = [[] for _ in estimators]
    chosen = [array("i") for _ in estimators]
    times = array("d")
    size = (0, 0)
    found: list[_BestPeople] = []
    for frame, seconds in frames:
        if not times:
            assert frame is not None  # a sampler chooses the first frame
            size = (frame.shape[1], frame.shape[0])
            found = [_BestPeople(each.estimator, size, people) for each in estimators]
        for sampler, pending, best, rows in zip(samplers, batches, found, chosen, strict=True):
            if sampler.chooses(seconds):
                assert frame is not None
                pending.append(frame)
                rows.append(len(times))
            if len(pending) == batch:
                best.add(pending)
                pending.clear()
        times.append(seconds)
        if len(times) % batch == 0:
            on_frames(batch)
    if not times:
        raise VideoError(f"{origin.source or 'the input'} has no frames; expected one or more")
    timing = timing_of(times, stated_fps)
    sequences = []
    for pending, best, rows in zip(batches, found, chosen, strict=True):
        if pending:
            best.add(pending)
        index = np.array(rows, np.int32)
        sequences.append(
            PoseSequence(
                best.lay_out(),
                index,
                len(times),
                best.estimator.layout,
                timing.fps,
                size,
                replace(origin, estimator=best.estimator.fingerprint),
                times=None if timing.times is None else timing.times[index],
            )
        )
    on_frames(len(times) % batch)
    return sequences


class _BestPeople:
    """Runs an estimator, tracks the people, and keeps those with the highest mean confidence."""

    def __init__(self, estimator: PoseEstimator, size: tuple[int, int], people: int) -> None:
        self.estimator = estimator
        self._tracker = Tracker(estimator.layout, size)
        self._people, self._frames = people, 0
        self._ended: list[Track] = []

    def add(self, frames: Sequence[Frame]) -> None:
        """Detect and track the people in the next frames.

        Raises:
            PoseError: if the estimator fails or returns something else than people.
        """
        for detected in detect_people(self.estimator, frames):
            self._keep_best(self._tracker.update(self._frames, detected))
            self._frames += 1

    def lay_out(self) -> Keypoints:
        """The people in all frames, ``(frame, person, joint, 3)``."""
        self._keep_best(self._tracker.finish())
        return lay_out(self._ended, (self._frames, self._people, len(self.estimator.layout), 3))

    def _keep_best(self, ended: list[Track]) -> None:
        self._ended = most_confident([*self._ended, *ended], self._people)
