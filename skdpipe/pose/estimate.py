"""Pose sequences of several estimators from the frames of a video, which is decoded once."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from skdpipe.errors import VideoError
from skdpipe.pose.decoding import SampledEstimator, decoding
from skdpipe.pose.detector import Detector
from skdpipe.pose.protocol import PoseEstimator
from skdpipe.pose.tracker import TrackCollector
from skdpipe.skeleton import Keypoints, Origin, PoseSequence
from skdpipe.skeleton.timing import FrameSampler, timing_of
from skdpipe.skeleton.tracks import Track, lay_out, most_confident

if TYPE_CHECKING:
    from skdpipe.video import Frame


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
    with decoding(path, [each.every for each in estimators]) as video:
        return _estimate(
            video.frames,
            video.info.fps,
            video.samplers,
            estimators,
            origin,
            people=people,
            batch=video.most_in_batch(batch),
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

    A context manager, which ends the threads of the estimator.

    Args:
        estimator: the pose estimator.
        people: number of people kept.
        batch: number of frames in all calls together.
    """

    def __init__(self, estimator: PoseEstimator, people: int, batch: int) -> None:
        self.estimator = estimator
        self._people, self._frames = people, 0
        self._detector = Detector(estimator, batch)
        self._collector: TrackCollector | None = None
        self._ended: list[Track] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._detector.close()

    def add(self, frame: Frame) -> None:
        """Detect and track the people in the next frame, at once or later.

        Raises:
            PoseError: if the estimator fails or returns something else than people.
        """
        if self._collector is None:
            self._collector = TrackCollector(self.estimator.layout, (frame.shape[1], frame.shape[0]))
        self._track(self._detector.add(frame))

    def lay_out(self) -> Keypoints:
        """The people in all frames, ``(frame, person, joint, 3)``."""
        self._track(self._detector.finish())
        if self._collector is not None:
            self._keep_best(self._collector.finish())
        return lay_out(self._ended, (self._frames, self._people, len(self.estimator.layout), 3))

    def _track(self, detected: Iterable[Keypoints]) -> None:
        for people in detected:
            assert self._collector is not None
            if ended := self._collector.update(self._frames, people):
                self._keep_best(ended)
            self._frames += 1

    def _keep_best(self, ended: list[Track]) -> None:
        self._ended = most_confident([*self._ended, *ended], self._people)
