"""Tracked frames of footage: who is where, frame by frame."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, redirect_stdout
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skdpipe.errors import VideoError
from skdpipe.pose.decoding import SampledEstimator, decoding
from skdpipe.pose.detector import Detector
from skdpipe.pose.protocol import PoseEstimator
from skdpipe.pose.tracker import Tracker
from skdpipe.skeleton.timing import FrameSampler
from skdpipe.skeleton.tracks import TrackedFrame

if TYPE_CHECKING:
    from skdpipe.video import Frame


_MEMORY = 2.0  # seconds for which a person of footage may be out of view and keep the number


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
    with decoding(path, [estimator.every]) as video:
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
    with closing(Detector(estimator, batch)) as detector:
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
