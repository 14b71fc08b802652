"""A video, decoded once: pose sequences of a clip by several estimators, or tracked frames of footage."""

from __future__ import annotations

import sys
from array import array
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from skdpipe.errors import VideoError
from skdpipe.pose.prefetch import prefetch
from skdpipe.pose.protocol import PoseEstimator, concurrent_calls, detect_people
from skdpipe.pose.tracker import TrackCollector, Tracker
from skdpipe.skeleton import Keypoints, Origin, PoseSequence
from skdpipe.skeleton.timing import FrameSampler, timing_of
from skdpipe.skeleton.tracks import Track, TrackedFrame, lay_out, most_confident

if TYPE_CHECKING:
    from skdpipe.video import Frame, VideoInfo

_MEMORY = 2.0  # seconds for which a person of footage may be out of view and keep the number
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
    with _decoding(path, [each.every for each in estimators]) as video:
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


class TimedFrame(NamedTuple):
    """A frame on which an estimator runs.

    Attributes:
        frame: its number, higher than those before.
        seconds: since the first frame.
        image: RGB ``(height, width, 3)`` uint8.
    """

    frame: int
    seconds: float
    image: Frame


@dataclass(frozen=True)
class Extent:
    """The extent of a whole video; frames on which no estimator runs are part of it.

    Attributes:
        frames: number of frames.
        seconds: from the start of the first to the end of the last frame.
        size: width and height of the frames in pixels.
    """

    frames: int
    seconds: float
    size: tuple[int, int]


def track_video(
    path: Path,
    estimator: SampledEstimator,
    *,
    batch: int,
    on_frames: Callable[[int], None] = lambda frames: None,
) -> Generator[TrackedFrame, None, Extent]:
    """Follow the people of a video, which is decoded once in a thread of its own.

    Memory does not grow with the length of the video. Closing the generator ends the decoding.

    Args:
        path: the video.
        estimator: the estimator and its sampling.
        batch, on_frames: as for :func:`estimate_video`.

    Yields:
        Each frame on which the estimator runs, in order, when its people are known.

    Returns:
        The extent of the video: ``extent = yield from track_video(...)``.

    Raises:
        VideoError: if the video cannot be decoded; as `PoseError`, when a frame is requested.
        PoseError: if the estimator fails or returns something else than people.
    """
    with _decoding(path, [estimator.every]) as video:
        chosen = _Chosen(video.frames, video.samplers[0], on_frames)
        yield from track_frames(chosen, estimator.estimator, batch=video.most_in_batch(batch))
        if not chosen.frames:
            raise VideoError(f"{path} has no frames; expected one or more")
        return Extent(chosen.frames, chosen.end(video.info.fps), video.info.size)


def track_frames(
    frames: Iterable[TimedFrame], estimator: PoseEstimator, *, batch: int = 1
) -> Generator[TrackedFrame]:
    """Follow the people in frames, for example of a live source, in constant memory.

    A person who is out of view for more than two seconds returns with a new number.

    Args:
        frames: all of one size. Numbers and times are returned as they are given; numbers may be left out.
        estimator: runs on all these frames.
        batch: number of frames in one call of the estimator; with 1, each frame is returned before the next
            one is taken.

    Raises:
        PoseError: if the estimator fails or returns something else than people.
    """
    tracker: Tracker | None = None
    waiting: deque[TimedFrame] = deque()
    with closing(_Detector(estimator, batch)) as detector:
        for each in chain(frames, [None]):
            with redirect_stdout(sys.stderr):  # what an estimator prints is no result
                detected = detector.finish() if each is None else detector.add(each.image)
            if each is not None:
                waiting.append(each)
            for people in detected:
                frame, seconds, image = waiting.popleft()
                size = (image.shape[1], image.shape[0])
                tracker = tracker or Tracker(estimator.layout, size, memory=_MEMORY)
                numbers = tracker.update(frame, people, seconds).numbers
                rows = np.argsort(numbers)[(numbers < 0).sum() :]
                yield TrackedFrame(frame, seconds, numbers[rows], people[rows])


class _Chosen:
    """The frames of a video that a sampler chooses; counts all of them.

    Attributes:
        frames: number of frames decoded.
    """

    def __init__(
        self,
        decoded: Iterable[tuple[Frame | None, float]],
        sampler: FrameSampler,
        on_frames: Callable[[int], None],
    ) -> None:
        self._decoded, self._sampler, self._on_frames = decoded, sampler, on_frames
        self.frames, self._last = 0, 0.0

    def __iter__(self) -> Iterator[TimedFrame]:
        for image, seconds in self._decoded:
            if self._sampler.chooses(seconds):
                assert image is not None
                yield TimedFrame(self.frames, seconds, image)
            self.frames, self._last = self.frames + 1, seconds
            self._on_frames(1)

    def end(self, stated_fps: float) -> float:
        """Seconds at the end of the last frame, which is shown for as long as the mean frame."""
        return self._last * self.frames / (self.frames - 1) if self.frames > 1 else 1 / stated_fps


class _Decoding(NamedTuple):
    """A video that is being decoded.

    Attributes:
        info: its size and stated rate.
        samplers: one for each sampling step.
        frames: all frames with their times; None for those that no sampler chooses.
    """

    info: VideoInfo
    samplers: list[FrameSampler]
    frames: Iterable[tuple[Frame | None, float]]

    def most_in_batch(self, batch: int) -> int:
        """The size of a batch, fewer frames if they are larger than 4K."""
        return max(1, min(batch, _BATCH_BYTES // _bytes_of_frame(self.info)))


def _bytes_of_frame(info: VideoInfo) -> int:
    return 3 * info.size[0] * info.size[1]


@contextmanager
def _decoding(path: Path, every: Sequence[int]) -> Iterator[_Decoding]:
    """Decode the needed frames in a thread, a few frames ahead; the end of the context ends the thread.

    Raises:
        VideoError: if the video cannot be decoded.
    """
    from skdpipe.video import probe

    info = probe(path)
    samplers = samplers_of(path, every)
    limit = max(1, min(_PREFETCHED_FRAMES, _PREFETCHED_BYTES // _bytes_of_frame(info)))
    with closing(prefetch(_runs(read_needed_frames(path, samplers)), limit)) as runs:
        yield _Decoding(info, samplers(), chain.from_iterable(runs))


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

    A context manager, which ends the threads of the estimator.

    Args:
        estimator: the pose estimator.
        people: number of people kept.
        batch: number of frames in all calls together.
    """

    def __init__(self, estimator: PoseEstimator, people: int, batch: int) -> None:
        self.estimator = estimator
        self._people, self._frames = people, 0
        self._detector = _Detector(estimator, batch)
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


class _Detector:
    """Runs an estimator on frames that are added one by one.

    A batch is divided among the calls that the estimator runs at once, in threads; meanwhile further frames
    are added, and what was detected is used. A batch of one frame is detected when it is added.

    Args:
        estimator: the pose estimator.
        batch: number of frames in all calls together.
    """

    def __init__(self, estimator: PoseEstimator, batch: int) -> None:
        self._estimator = estimator
        calls = min(concurrent_calls(estimator), batch)
        self._threads = ThreadPoolExecutor(calls, "estimator") if calls > 1 else None
        self._running: deque[Future[list[Keypoints]]] = deque()
        self._calls, self._frames_of_call = calls, batch // calls
        self._waiting: list[Frame] = []

    def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def add(self, frame: Frame) -> list[Keypoints]:
        """Detect the people in the next frame, at once or later.

        Returns:
            The people of the next frames, in their order, that have become known.

        Raises:
            PoseError: if the estimator fails or returns something else than people.
        """
        self._waiting.append(frame)
        return self._detect() if len(self._waiting) == self._frames_of_call else []

    def finish(self) -> list[Keypoints]:
        """The people of the frames whose people have not become known.

        Raises:
            PoseError: as `add`.
        """
        known = self._detect() if self._waiting else []
        while self._running:
            known += self._running.popleft().result()
        return known

    def _detect(self) -> list[Keypoints]:
        frames, self._waiting = self._waiting, []
        if self._threads is None:
            return detect_people(self._estimator, frames)
        # One call more than run at once, so that no thread waits for the use of the results.
        known = self._running.popleft().result() if len(self._running) > self._calls else []
        self._running.append(self._threads.submit(detect_people, self._estimator, frames))
        return known
