"""People in frames that are given one by one: batches and concurrent calls of an estimator."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from skdpipe.pose.protocol import PoseEstimator, concurrent_calls, detect_people
from skdpipe.skeleton import Keypoints

if TYPE_CHECKING:
    from skdpipe.video import Frame


class Detector:
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
