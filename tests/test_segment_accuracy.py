"""Measures of segments: values derived by hand, and the segmental F1 against its authors' loop."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from segment_accuracy import SegmentAccuracy, delays, measure_segments

from skdpipe.inference.timeline import Box, Segment, Timeline

LEFT: Box = (0, 0, 10, 20)
RIGHT: Box = (50, 0, 60, 20)


def timeline(*segments: Segment, seconds: float = 10.0) -> Timeline:
    return Timeline("made", seconds, (100, 50), segments, (), 100)


def segment(
    start: float, end: float, label: str | None, person: int | None = None, box: Box | None = None
) -> Segment:
    return Segment(start, end, label, 1.0, person, box, None if label else "unsure")


def nobody(start: float, end: float) -> Segment:
    return Segment(start, end, None, 0.0, reason="no person")


def test_the_truth_itself_is_perfect() -> None:
    truth = timeline(segment(0, 3, "wave"), segment(3, 5, None), nobody(5, 8), segment(8, 10, "clap"))
    assert measure_segments(truth, truth) == SegmentAccuracy(
        true=2, found=2, matched=2, labelled=5, right=5, idle=2, empty=3
    )


def test_a_label_that_is_late_and_too_long() -> None:
    # Found 2..6 for 1..4: 2 s of 5 s in common. 1..2 is unsure, and the label goes on for 2 s of the pause.
    truth = timeline(segment(0, 1, None), segment(1, 4, "wave"), segment(4, 10, None))
    found = timeline(segment(0, 2, None), segment(2, 6, "wave"), segment(6, 10, None))
    measured = measure_segments(truth, found)
    assert measured.matched == 0
    assert measure_segments(truth, found, iou=0.4).matched == 1
    assert measured.frame_accuracy == pytest.approx(2 / 3)
    assert measured.unsure_share == pytest.approx(1 / 3)
    assert measured.idle_share == pytest.approx(2 / 7)
    assert math.isnan(measured.empty_share)


def test_a_segment_in_two_pieces_counts_once() -> None:
    truth = timeline(segment(0, 10, "wave"))
    found = timeline(segment(0, 6, "wave"), segment(6, 7, "clap"), segment(7, 10, "wave"))
    measured = measure_segments(truth, found)
    assert (measured.true, measured.found, measured.matched) == (1, 3, 1)
    assert (measured.precision, measured.recall, measured.f1) == (pytest.approx(1 / 3), 1.0, 0.5)
    assert measured.frame_accuracy == pytest.approx(0.9)


def test_people_are_distinguished_by_their_boxes() -> None:
    truth = timeline(segment(0, 10, "wave", 0, LEFT), segment(0, 10, "clap", 1, RIGHT))
    exchanged = timeline(segment(0, 10, "clap", 7, LEFT), segment(0, 10, "wave", 8, RIGHT))
    assert measure_segments(truth, exchanged).matched == 0
    assert measure_segments(truth, exchanged).right == 0
    right = timeline(segment(0, 10, "clap", 7, RIGHT), segment(0, 10, "wave", 8, LEFT))
    assert measure_segments(truth, right).f1 == measure_segments(truth, right).frame_accuracy == 1.0


def test_an_identity_that_changes_twice_counts_two_switches() -> None:
    truth = timeline(segment(0, 4, "wave", 0, LEFT), segment(4, 10, None, 0, LEFT))
    found = timeline(
        segment(0, 2, "wave", 3, LEFT), segment(2, 4, "wave", 5, LEFT), segment(4, 10, None, 3, LEFT)
    )
    measured = measure_segments(truth, found)
    assert (measured.people, measured.switches, measured.frame_accuracy) == (1, 2, 1.0)


def test_one_label_of_a_whole_picture_is_that_of_one_person() -> None:
    truth = timeline(segment(0, 10, "wave", 0, LEFT), segment(0, 10, "clap", 1, RIGHT))
    assert measure_segments(truth, timeline(segment(0, 10, "clap"))).frame_accuracy == 0.5


def test_labels_where_nobody_is() -> None:
    truth = timeline(nobody(0, 6), segment(6, 10, "wave"))
    measured = measure_segments(truth, timeline(segment(4, 10, "wave")))
    assert measured.empty_share == pytest.approx(2 / 6)
    without_words = timeline(segment(6, 10, "wave"))
    assert measure_segments(without_words, timeline(segment(4, 10, "wave"))) == measured


def test_sums_pool_the_counts() -> None:
    truth = timeline(segment(0, 10, "wave"))
    both = measure_segments(truth, truth) + measure_segments(truth, timeline())
    assert (both.f1, both.frame_accuracy, both.unsure_share) == (pytest.approx(2 / 3), 0.5, 0.5)


def test_delays_are_from_the_start_of_an_action_to_its_first_label() -> None:
    truth = timeline(
        segment(1, 4, "wave", 0, LEFT), segment(5, 6, "clap", 0, LEFT), segment(8, 9, "kick", 0, LEFT)
    )
    given = [
        segment(-0.5, 1.5, "wave", 1, RIGHT),  # somebody else
        segment(0.5, 2.5, "wave", 0, LEFT),
        segment(1, 3, "wave", 0, LEFT),
        segment(5.5, 7.5, "clap", 0, LEFT),
        segment(9.5, 11.5, "kick", 0, LEFT),  # contains nothing of it
    ]
    assert delays(truth, given, grace=2.0) == [1.5, 2.5, None]


LABELS = st.lists(st.sampled_from(["wave", "clap", None]), min_size=1, max_size=40)


def runs(labels: list[str | None]) -> list[Segment]:
    """Segments of equal labels, each a second long."""
    edges = [0, *(i for i in range(1, len(labels)) if labels[i] != labels[i - 1]), len(labels)]
    return [segment(a, b, labels[a]) for a, b in pairwise(edges)]


@settings(deadline=None)
@given(LABELS, LABELS, st.sampled_from([0.5, 0.51, 0.75]))
def test_the_segmental_f1_is_that_of_its_authors(
    true: list[str | None], found: list[str | None], iou: float
) -> None:
    length = min(len(true), len(found))
    a, b = runs(true[:length]), runs(found[:length])
    measured = measure_segments(timeline(*a, seconds=length), timeline(*b, seconds=length), iou=iou)
    hits, false_alarms, missed = overlap_counts(a, b, iou)
    assert (measured.matched, measured.found - measured.matched, measured.true - measured.matched) == (
        hits, false_alarms, missed,
    )  # fmt: skip


def overlap_counts(true: list[Segment], found: list[Segment], iou: float) -> tuple[int, int, int]:
    """True positives, false positives and false negatives as in the loop of Lea et al.

    overlap_f1 in metrics.py of colincsl/TemporalConvolutionalNetworks, without the background class. It takes
    found segments in the order of time, which is the same from an overlap of one half on, except for ties of
    exactly one half.
    """
    true, found = ([each for each in some if each.label] for some in (true, found))
    used = np.zeros(len(true), bool)
    hits = 0
    for each in found:
        shares = [
            (min(each.end, other.end) - max(each.start, other.start))
            / (max(each.end, other.end) - min(each.start, other.start))
            * (each.label == other.label)
            for other in true
        ]
        best = int(np.argmax(shares)) if shares else -1
        if best >= 0 and shares[best] >= iou and not used[best]:
            used[best] = True
            hits += 1
    return hits, len(found) - hits, int((~used).sum())
