"""Segments from the probabilities of overlapping windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skdpipe.inference.segments import Presence, SegmentBuilder, Thresholds
from skdpipe.inference.timeline import Segment

CLASSES = ("wave", "push")
STRIDE = 0.5


def build(
    windows: list[float | None], overlap: int, begin: float = 0.5, hysteresis: float = 0.1
) -> list[Segment]:
    """The segments of windows with these probabilities of the first class; one step is half a second."""
    builder = SegmentBuilder(CLASSES, None, overlap, Thresholds(begin, hysteresis))
    found = []
    for number in range(len(windows) + overlap - 1):
        if number < len(windows):
            wave = windows[number]
            builder.add_window(None if wave is None else np.array([wave, 1 - wave]))
        found += builder.end_step(Presence(number * STRIDE, (number + 1) * STRIDE))
    return found + builder.close()


def brief(segments: list[Segment]) -> list[tuple[float, float, str]]:
    return [(each.start, each.end, each.text) for each in segments]


def test_equal_windows_give_one_segment_with_their_probability() -> None:
    (found,) = build([0.8] * 5, overlap=4)
    assert found == Segment(0.0, 4.0, "wave", pytest.approx(0.8))


def test_a_step_has_the_mean_of_the_windows_that_contain_it() -> None:
    """With two steps a window, the steps have 1, (1+0)/2, (0+0)/2, 0 as the probability of wave."""
    found = build([1.0, 0.0, 0.0], overlap=2, hysteresis=0)
    assert brief(found) == [(0.0, 1.0, "wave"), (1.0, 2.0, "push")]
    assert [each.probability for each in found] == [pytest.approx(0.75), pytest.approx(1.0)]


def test_a_label_stays_a_little_below_its_threshold() -> None:
    """It begins at 0.6 and ends below 0.5; without the hysteresis it would be interrupted."""
    wave = [0.65, 0.55, 0.65, 0.48, 0.52]
    assert brief(build(wave, 1, begin=0.6)) == [(0.0, 1.5, "wave"), (1.5, 2.5, "unsure")]
    assert [each[2] for each in brief(build(wave, 1, begin=0.6, hysteresis=0))] == [
        "wave",
        "unsure",
        "wave",
        "unsure",
    ]


def test_another_label_takes_over_when_it_is_clearly_more_probable() -> None:
    found = build([0.9, 0.48, 0.44, 0.9], 1, begin=0.4)
    assert brief(found) == [(0.0, 1.0, "wave"), (1.0, 1.5, "push"), (1.5, 2.0, "wave")]


def test_an_unsure_segment_states_the_highest_probability() -> None:
    (found,) = build([0.3, 0.4], 1, begin=0.9)
    assert (found.label, found.reason, found.probability) == (None, "unsure", pytest.approx(0.65))


def test_steps_without_probabilities_are_too_little_seen() -> None:
    found = build([0.9, None, None, 0.9], 1)
    assert brief(found) == [(0.0, 0.5, "wave"), (0.5, 1.5, "too little seen"), (1.5, 2.0, "wave")]
    assert found[1].probability == 0


def test_a_person_who_leaves_ends_the_segment() -> None:
    builder = SegmentBuilder(CLASSES, 7, 1, Thresholds(0.5, 0.1))
    wave = np.array([0.9, 0.1])
    box = (1.0, 2.0, 3.0, 5.0)
    found = []
    for presence in (
        Presence(0.0, 0.5, box),
        Presence(0.5, 0.8, (3.0, 2.0, 5.0, 5.0)),
        None,
        Presence(1.5, 2.0, box),
    ):
        builder.add_window(wave)
        found += builder.end_step(presence)
    found += builder.close()
    assert found == [
        Segment(0.0, 0.8, "wave", pytest.approx(0.9), 7, (2.0, 2.0, 4.0, 5.0)),
        Segment(1.5, 2.0, "wave", pytest.approx(0.9), 7, box),
    ]


def test_a_reason_given_from_outside_comes_before_the_probabilities() -> None:
    builder = SegmentBuilder(CLASSES, None, 1, Thresholds(0.5, 0.1))
    builder.add_window(np.array([0.9, 0.1]))
    assert builder.end_step(Presence(0.0, 0.5), "no person") == []
    assert builder.close() == [Segment(0.0, 0.5, None, 0.0, reason="no person")]


def test_a_label_that_lasts_too_short_is_part_of_the_unsure_segment_around_it() -> None:
    builder = SegmentBuilder(CLASSES, None, 1, Thresholds(0.6, 0.0, shortest=1.0))
    found = []
    for number, wave in enumerate([0.5, 0.9, 0.5, 0.9, 0.9, 0.1, 0.9]):
        builder.add_window(np.array([wave, 1 - wave]))
        found += builder.end_step(Presence(number * STRIDE, (number + 1) * STRIDE))
    found += builder.close()
    assert brief(found) == [(0.0, 1.5, "unsure"), (1.5, 2.5, "wave"), (2.5, 3.5, "unsure")]
    assert found[0].probability == pytest.approx(1.9 / 3)


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=12),
    st.integers(1, 5),
    st.floats(0.3, 0.9),
    st.floats(0, 0.3),
)
def test_segments_are_those_of_a_plain_computation(
    windows: list[float | None], overlap: int, begin: float, hysteresis: float
) -> None:
    steps = len(windows) + overlap - 1
    labels: list[str] = []
    current = None
    for step in range(steps):
        over = [w for n, w in enumerate(windows) if n <= step < n + overlap and w is not None]
        if not over:
            current = None
            labels.append("too little seen")
            continue
        mean = np.mean([[w, 1 - w] for w in over], axis=0)
        best = int(mean.argmax())
        stays = (
            current is not None
            and mean[current] >= begin - hysteresis
            and mean[best] - mean[current] <= hysteresis
        )
        if not stays:
            current = best if mean[best] >= begin else None
        labels.append("unsure" if current is None else CLASSES[current])
    expected: list[tuple[float, float, str]] = []
    for step, label in enumerate(labels):
        if expected and expected[-1][2] == label:
            expected[-1] = (expected[-1][0], (step + 1) * STRIDE, label)
        else:
            expected.append((step * STRIDE, (step + 1) * STRIDE, label))
    assert brief(build(windows, overlap, begin, hysteresis)) == expected
