"""Labels of live video, frame by frame."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import DataError
from skdpipe.inference.footage import FootageLabeller, Labels
from skdpipe.inference.timeline import Scores, Segment, Span
from skdpipe.inference.window_settings import FootageSettings, windows_of
from skdpipe.inference.windows import FootageFormat
from skdpipe.pose.follow import TimedFrame, track_frames
from skdpipe.skeleton.timing import FrameSampler
from skdpipe.skeleton.tracks import TrackedFrame

if TYPE_CHECKING:
    from skdpipe.inference.predictor import Predictor
    from skdpipe.pose import PoseEstimator

T = TypeVar("T", Segment, Scores, Span)
_FPS: Final = 25.0  # of a video whose rate is not known
_MOST_FPS: Final = 240.0  # believed; some sources state the resolution of their times instead


class LivePredictor:
    """Labels the people of a live video that is given frame by frame; memory is constant.

    People are detected in as many frames a second as in the student's training clips, if the bundle states
    that, otherwise in one of as many frames as the estimator's settings say.

    >>> import numpy as np
    >>> import skdpipe
    >>> predictor = skdpipe.load_predictor("student.safetensors", runtime="torch")
    >>> live = skdpipe.LivePredictor(predictor, skdpipe.FootageSettings(window=1.0))
    >>> black = np.zeros((96, 128, 3), np.uint8)
    >>> found = [label for frame in range(30) for label in live.update(black, frame / 25).windows]
    >>> [(label.start, label.end, label.reason) for label in found]
    [(0.0, 1.0, 'no person')]

    Args:
        predictor: with an estimator.
        settings: of windows and labels.
        fps: frames per second of the video, if known; frames are placed by their times all the same. More
            than 240 count as not known, since some sources state the resolution of their times.

    Raises:
        BundleError: if the predictor has no estimator, or the length of a window is not known.
    """

    def __init__(
        self, predictor: Predictor, settings: FootageSettings | None = None, *, fps: float | None = None
    ) -> None:
        self._predictor = predictor
        self._estimator = predictor.require_estimator()
        self._windows = windows_of(predictor.metadata, settings or FootageSettings())
        trained = predictor.metadata.training_clips
        self._pose_fps = trained.pose_fps if trained else None
        every = self._estimator.every
        if fps is not None and not 0 < fps <= _MOST_FPS:
            fps = None
        self._fps = fps or (self._pose_fps or _FPS / every) * every
        self._every = max(1, round(self._fps / self._pose_fps)) if self._pose_fps else every
        self._stretch: _Stretch | None = None
        self._last: float | None = None
        self._people = 0

    def update(
        self,
        frame: NDArray[np.uint8],
        seconds: float,
        *,
        on_frame: Callable[[TrackedFrame], None] = lambda frame: None,
    ) -> Labels:
        """Add the next frame.

        Args:
            frame: RGB ``(height, width, 3)`` uint8. If its size is another than before, or if there was none
                for the time of a window, segments end, and people get new numbers.
            seconds: when it was taken, after the frame before; any origin.
            on_frame: called with the people of the frame if the estimator ran on it.

        Returns:
            What the frame has completed; times have the same origin.

        Raises:
            DataError: if the frame has another form, or the time is not finite or does not rise.
            PoseError: if the estimator fails.
            BundleError: if the student's output is not finite.
        """
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise DataError(
                f"a frame of shape {frame.shape}, {frame.dtype}; expected RGB (height, width, 3) uint8"
            )
        if not math.isfinite(seconds):
            raise DataError(f"a frame at {seconds:g} s; expected a finite time")
        if self._last is not None and not seconds > self._last:
            raise DataError(f"a frame at {seconds:g} s after one at {self._last:g} s; expected rising times")
        found = Labels()
        size = frame.shape[1], frame.shape[0]
        is_away = self._last is not None and seconds - self._last > self._windows.seconds
        if self._stretch is not None and (is_away or self._stretch.size != size):
            found.add(self.finish())
        self._last = seconds
        if self._stretch is None:
            self._stretch = self._begin(size, seconds)
        found.add(self._stretch.update(frame, seconds, on_frame))
        return found

    def finish(self) -> Labels:
        """End the video, or a part of it; the next frame begins a new one."""
        stretch, self._stretch = self._stretch, None
        if stretch is None:
            return Labels()
        self._people = stretch.people
        return stretch.finish()

    def _begin(self, size: tuple[int, int], seconds: float) -> _Stretch:
        footage = FootageFormat(self._estimator.estimator.layout, size, self._fps, self._every)
        predictor = self._predictor
        labeller = FootageLabeller(
            predictor.metadata, predictor.runtime, self._windows, footage, predictor.continual
        )
        return _Stretch(self._estimator.estimator, labeller, footage, seconds, self._people)


class _Stretch:
    """Live video of one size.

    Args:
        estimator: detects people.
        labeller: labels them.
        format: of the video.
        start: time of the first frame.
        people: number of the first person.
    """

    def __init__(
        self,
        estimator: PoseEstimator,
        labeller: FootageLabeller,
        format: FootageFormat,  # noqa: A002
        start: float,
        people: int,
    ) -> None:
        self.size, self.people = format.size, people
        self._labeller, self._format, self._start = labeller, format, start
        self._first_person, self._frame, self._last = people, -1, 0.0
        self._period = 1 / format.fps
        self._sampler = FrameSampler(format.every, format.fps)
        self._waiting: deque[TimedFrame] = deque()
        self._tracked = track_frames(iter(self._waiting.popleft, None), estimator)

    def update(
        self, image: NDArray[np.uint8], seconds: float, on_frame: Callable[[TrackedFrame], None]
    ) -> Labels:
        """Add the next frame."""
        elapsed = seconds - self._start
        if elapsed > self._last:
            self._period = min(1 / self._format.fps, elapsed - self._last)  # the stated rate may be too low
        self._last = elapsed
        if not self._sampler.chooses(self._last):
            return Labels()
        self._frame = max(self._frame + 1, round(self._last * self._format.fps))
        self._waiting.append(TimedFrame(self._frame, self._last, image))
        tracked = next(self._tracked)
        numbers = tracked.numbers + self._first_person
        self.people = max(self.people, int(numbers.max(initial=-1)) + 1)
        tracked = replace(tracked, numbers=numbers)
        on_frame(replace(tracked, seconds=seconds))
        return self._shifted(self._labeller.add(tracked))

    def finish(self) -> Labels:
        """End the video."""
        self._tracked.close()
        return self._shifted(self._labeller.finish(self._last + self._period))

    def _shifted(self, labels: Labels) -> Labels:
        """The labels with times of the origin of the frames' times."""
        return Labels(
            [self._shift(each) for each in labels.windows],
            [self._shift(each) for each in labels.scores],
            [self._shift(each) for each in labels.segments],
            [self._shift(each) for each in labels.left],
        )

    def _shift(self, part: T) -> T:
        return replace(part, start=part.start + self._start, end=part.end + self._start)
