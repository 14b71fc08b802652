"""Pose sequences of several estimators from the frames of a video, which is decoded once."""

from __future__ import annotations

import sys
from array import array
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, redirect_stdout
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from skdpipe.errors import VideoError
from skdpipe.pose.prefetch import prefetch
from skdpipe.pose.protocol import PoseEstimator, concurrent_calls, detect_people
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
    from skdpipe.video import probe

    info = probe(path)
    samplers = samplers_of(path, [each.every for each in estimators])
    frame_bytes = 3 * info.size[0] * info.size[1]
    limit = max(1, min(_PREFETCHED_FRAMES, _PREFETCHED_BYTES // frame_bytes))
    with closing(prefetch(_runs(read_needed_frames(path, samplers)), limit)) as runs:
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


def samplers_of(path: Path, every: Sequence[int]) -> Callable[[], list[FrameSampler]]:
    """What makes new samplers for a video, one for each sampling step.

    Raises:
        VideoError: if the video cannot be decoded.
    """
    from skdpipe.video import measure_timing

    varying_fps = measure_timing(path).varying_fps if max(every, default=1) > 1 else None
    return lambda: [FrameSampler(each, varying_fps) for each in every]


def read_needed_frames(
    path: Path, samplers: Callable[[], list[FrameSampler]]
) -> Generator[tuple[Frame | None, float]]:
    """The frames of a video with their times, and None for those that no sampler chooses.

    Raises:
        VideoError: if the video cannot be decoded.
    """
    from skdpipe.video import read_timed_frames

    all_frames = any(sampler.every == 1 for sampler in samplers())
    return read_timed_frames(path, None if all_frames else lambda: _any_of(samplers()))


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
    chosen = [array("i") for _ in estimators]
    times = array("d")
    size = (0, 0)
    with redirect_stdout(sys.stderr), ExitStack() as stack:  # what an estimator prints is no result
        found = [stack.enter_context(_BestPeople(each.estimator, people, batch)) for each in estimators]
        for frame, seconds in frames:
            if not times:
                assert frame is not None  # a sampler chooses the first frame
                size = (frame.shape[1], frame.shape[0])
            for sampler, best, rows in zip(samplers, found, chosen, strict=True):
                if sampler.chooses(seconds):
                    assert frame is not None
                    best.add(frame)
                    rows.append(len(times))
            times.append(seconds)
            if len(times) % batch == 0:
                on_frames(batch)
        if not times:
            raise VideoError(f"{origin.source or 'the input'} has no frames; expected one or more")
        keypoints = [best.lay_out() for best in found]
    timing = timing_of(times, stated_fps)
    sequences = []
    for best, laid_out, rows in zip(found, keypoints, chosen, strict=True):
        index = np.array(rows, np.int32)
        sequences.append(
            PoseSequence(
                laid_out,
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
    """Runs an estimator, tracks the people, and keeps those with the highest mean confidence.

    A batch is divided among the calls that the estimator runs at once, in threads; meanwhile further frames
    are added, and people are tracked. A context manager, which ends the threads.

    Args:
        estimator: the pose estimator.
        people: number of people kept.
        batch: number of frames in all calls together.
    """

    def __init__(self, estimator: PoseEstimator, people: int, batch: int) -> None:
        self.estimator = estimator
        self._people, self._frames = people, 0
        self._tracker: Tracker | None = None
        self._ended: list[Track] = []
        calls = min(concurrent_calls(estimator), batch)
        self._threads = ThreadPoolExecutor(calls, "estimator") if calls > 1 else None
        self._running: deque[Future[list[Keypoints]]] = deque()
        self._calls, self._frames_of_call = calls, batch // calls
        self._waiting: list[Frame] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def add(self, frame: Frame) -> None:
        """Detect and track the people in the next frame, at once or later.

        Raises:
            PoseError: if the estimator fails or returns something else than people.
        """
        if self._tracker is None:
            self._tracker = Tracker(self.estimator.layout, (frame.shape[1], frame.shape[0]))
        self._waiting.append(frame)
        if len(self._waiting) == self._frames_of_call:
            self._detect()

    def lay_out(self) -> Keypoints:
        """The people in all frames, ``(frame, person, joint, 3)``."""
        if self._waiting:
            self._detect()
        while self._running:
            self._track(self._running.popleft().result())
        if self._tracker is not None:
            self._keep_best(self._tracker.finish())
        return lay_out(self._ended, (self._frames, self._people, len(self.estimator.layout), 3))

    def _detect(self) -> None:
        frames, self._waiting = self._waiting, []
        if self._threads is None:
            return self._track(detect_people(self.estimator, frames))
        if len(self._running) > self._calls:  # one more, so that no thread waits for the tracking
            self._track(self._running.popleft().result())
        self._running.append(self._threads.submit(detect_people, self.estimator, frames))
        return None

    def _track(self, detected: Sequence[Keypoints]) -> None:
        assert self._tracker is not None
        for people in detected:
            if ended := self._tracker.update(self._frames, people):
                self._keep_best(ended)
            self._frames += 1

    def _keep_best(self, ended: list[Track]) -> None:
        self._ended = most_confident([*self._ended, *ended], self._people)
