"""The people that extraction keeps are those that a choice among all tracks, laid out, would keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from plain_tracking import plain_track
from standing_figure import people, person

from skdpipe.errors import PoseError
from skdpipe.pose.decoding import SampledEstimator
from skdpipe.pose.estimate import estimate_frames
from skdpipe.skeleton import PENN_13, Keypoints, Origin
from skdpipe.skeleton.people import select_people

SIZE = (640, 480)


class Script:
    """Returns given people frame by frame."""

    layout = PENN_13
    fingerprint = "script"

    def __init__(self, frames: Sequence[Keypoints], missing: int = 0) -> None:
        self._rest, self._missing = list(frames), missing

    def __call__(self, frames: Sequence[np.ndarray]) -> list[Keypoints]:
        found = self._rest[: len(frames) - self._missing]
        del self._rest[: len(frames)]
        return found


def run(script: Script, length: int, count: int, every: int = 1) -> Keypoints:
    blank = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    (sequence,) = estimate_frames(
        [blank] * length, 30, [SampledEstimator(script, every)], Origin(), people=count, batch=7
    )
    return sequence.keypoints


def passers_by(length: int) -> list[Keypoints]:
    """Somebody who stays, and a new person every five frames with another confidence each."""
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.2, 1, length)
    return [
        people(
            person(300 + t / 9, 240, 0.4),
            person(300 * (t // 5) + t % 5, 600, confidence[t // 5]),
        )
        for t in range(length)
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 40])
def test_the_people_with_the_highest_mean_confidence_are_kept(count: int) -> None:
    frames = passers_by(100)
    everyone = plain_track(frames, PENN_13, SIZE)
    assert 10 < everyone.shape[1] < 40
    np.testing.assert_array_equal(run(Script(frames), 100, count), select_people(everyone, count))


def test_sampled_frames_are_tracked_as_consecutive_ones() -> None:
    frames = passers_by(20)
    expected = select_people(plain_track(frames, PENN_13, SIZE), 2)
    np.testing.assert_array_equal(run(Script(frames), 58, 2, every=3), expected)


def test_an_estimator_must_return_the_people_of_each_frame() -> None:
    with pytest.raises(PoseError, match="returned 6 items for 7 frames; expected an array for each"):
        run(Script(passers_by(10), missing=1), 10, 2)
