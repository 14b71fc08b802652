"""Labels of live video that is given frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from moving_body import ACTIONS, SIZE, BoxEstimator, centres
from numpy.typing import NDArray
from test_footage import METADATA, DirectionOfMotion

from skdpipe.errors import BundleError, DataError
from skdpipe.inference import FootageSettings, LivePredictor, Predictor
from skdpipe.inference.footage import Labels
from skdpipe.inference.metadata import TrainingClips
from skdpipe.pose.decoding import SampledEstimator

SETTINGS = FootageSettings(window=1.0, stride=0.25)
ALONG, UP = ACTIONS
FPS = 12.0


class CountingEstimator(BoxEstimator):
    """Counts the frames on which it ran."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = 0

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        self.frames += len(frames)
        return super().__call__(frames)


def picture(action: str, frame: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    image = np.full((size[1], size[0], 3), 20, np.uint8)
    if action:
        left, top = np.rint(centres(action, 12, 0)[frame % 12] - (5, 12)).astype(int)
        image[top : top + 24, left : left + 10] = 240
    return image


def predictor(every: int = 1, **metadata: object) -> Predictor:
    changed = replace(METADATA, **metadata)  # type: ignore[arg-type]
    return Predictor(changed, DirectionOfMotion(), SampledEstimator(CountingEstimator(), every))


def run(live: LivePredictor, actions: Sequence[str], times: Sequence[float] | None = None) -> Labels:
    found = Labels()
    for frame, action in enumerate(actions):
        found.add(live.update(picture(action, frame), frame / FPS if times is None else times[frame]))
    found.add(live.finish())
    return found


def test_segments_are_those_of_the_footage() -> None:
    found = run(LivePredictor(predictor(), SETTINGS, fps=FPS), [ALONG] * 36 + [UP] * 36 + [""] * 24)
    assert [each.text for each in found.segments] == [ALONG, UP, "no person"]
    assert [each.start for each in found.segments] == pytest.approx([0, 3, 6], abs=0.3)
    assert found.segments[-1].end == pytest.approx(8)
    assert [each.person for each in found.segments] == [0, 0, None]


def test_times_have_the_origin_of_the_frames() -> None:
    start = 1_700_000_000.0
    found = run(LivePredictor(predictor(), SETTINGS), [ALONG] * 24, (start + np.arange(24) / FPS).tolist())
    (segment,) = found.segments
    assert (segment.start, segment.end) == (pytest.approx(start), pytest.approx(start + 2))
    assert (found.windows[0].start, found.windows[0].end) == (start, start + 1)
    assert found.left[0].start == start


def test_frames_that_were_dropped_leave_the_times_as_they_are() -> None:
    kept = np.flatnonzero(np.random.default_rng(0).random(72) > 0.5)
    live = LivePredictor(predictor(), SETTINGS, fps=FPS)
    found = Labels()
    for frame in kept:
        found.add(live.update(picture(ALONG if frame < 36 else UP, frame), frame / FPS))
    found.add(live.finish())
    assert [each.label for each in found.segments] == [ALONG, UP]
    assert found.segments[1].start == pytest.approx(3, abs=0.5)


def test_people_are_detected_at_the_rate_of_the_training_clips() -> None:
    clips = TrainingClips(1.0, 1.0, 1.0, 1.0, 4.0, 1, 0.0, 1.0, 1.0)
    fast = predictor(every=1, training_clips=clips)
    run(LivePredictor(fast, fps=FPS), [ALONG] * 24)
    estimator = fast.require_estimator().estimator
    assert isinstance(estimator, CountingEstimator)
    assert estimator.frames == 8
    unknown = predictor(every=3)
    run(LivePredictor(unknown, SETTINGS, fps=FPS), [ALONG] * 24)
    estimator = unknown.require_estimator().estimator
    assert isinstance(estimator, CountingEstimator)
    assert estimator.frames == 8


def test_frames_of_another_size_are_other_footage() -> None:
    live = LivePredictor(predictor(), SETTINGS, fps=FPS)
    found = Labels()
    for frame in range(24):
        found.add(live.update(picture(ALONG, frame), frame / FPS))
    for frame in range(24, 48):
        found.add(live.update(picture(ALONG, frame, (96, 64)), frame / FPS))
    found.add(live.finish())
    assert [(each.person, each.start, each.end) for each in found.segments] == [
        (0, 0, pytest.approx(2)),
        (1, pytest.approx(2), pytest.approx(4)),
    ]


@pytest.mark.parametrize(
    ("fps", "stride"),
    [(1.2, 0.25), (6, 0.25), (24, 0.25), (120, 0.25), (1000, 0.25), (None, 0.25), (FPS, 0.02)],
)
def test_a_wrong_rate_or_a_stride_below_a_frame_leaves_the_segments_as_they_are(
    fps: float | None, stride: float
) -> None:
    live = LivePredictor(predictor(), FootageSettings(window=1.0, stride=stride), fps=fps)
    found = run(live, [ALONG] * 48)
    (segment,) = [each for each in found.segments if each.person == 0]
    assert (segment.label, segment.start, segment.end) == (ALONG, 0, pytest.approx(4, abs=0.1))


def test_after_an_outage_longer_than_a_window_there_are_new_people_and_no_labels_of_it() -> None:
    times = [frame / FPS for frame in range(18)] + [36_000 + frame / FPS for frame in range(18)]
    found = run(LivePredictor(predictor(), SETTINGS, fps=FPS), [ALONG] * 36, times)
    assert [(each.person, each.label, each.start, each.end) for each in found.segments] == [
        (0, ALONG, 0, pytest.approx(1.5)),
        (1, ALONG, 36_000, pytest.approx(36_001.5)),
    ]
    assert all(each.end - each.start <= 1 + 1e-6 for each in found.windows)
    assert len(found.windows) == 6


@pytest.mark.parametrize(
    ("frame", "seconds", "message"),
    [
        (np.zeros((4, 4), np.uint8), 1.0, r"a frame of shape \(4, 4\), uint8; expected RGB"),
        (np.zeros((4, 4, 3), np.float32), 1.0, "float32; expected RGB"),
        (picture(ALONG, 0), 0.0, "a frame at 0 s after one at 0 s; expected rising times"),
        (picture(ALONG, 0), float("nan"), "a frame at nan s; expected a finite time"),
    ],
)
def test_other_frames_are_refused(frame: NDArray[np.uint8], seconds: float, message: str) -> None:
    live = LivePredictor(predictor(), SETTINGS)
    live.update(picture(ALONG, 0), 0.0)
    with pytest.raises(DataError, match=message):
        live.update(frame, seconds)
    live.update(picture(ALONG, 1), 0.1)


def test_it_needs_an_estimator_and_the_length_of_a_window() -> None:
    with pytest.raises(BundleError, match="has no estimator"):
        LivePredictor(Predictor(METADATA, DirectionOfMotion()), SETTINGS)
    with pytest.raises(BundleError, match="--window"):
        LivePredictor(predictor())


def test_the_people_and_the_probabilities_come_with_the_frames() -> None:
    live, frames = LivePredictor(predictor(), SETTINGS, fps=FPS), []
    found = Labels()
    for frame in range(24):
        found.add(live.update(picture(ALONG, frame), 5 + frame / FPS, on_frame=frames.append))
    assert [each.seconds for each in frames] == pytest.approx([5 + frame / FPS for frame in range(24)])
    assert all(each.people.shape == (1, 17, 3) for each in frames)
    assert [(each.start, each.end, each.person) for each in found.scores] == [
        (each.start, each.end, each.person) for each in found.windows
    ]
    for scores, window in zip(found.scores, found.windows, strict=True):
        assert scores.probabilities.sum() == pytest.approx(1)
        assert scores.probabilities.max() == pytest.approx(window.probability)
