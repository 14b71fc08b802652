"""What the results of a run mean: each situation gives its words, and no other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from skdpipe.cache import Quality
from skdpipe.distill.conclusions import conclude
from skdpipe.distill.results import MethodResult, Results, recovered_gap
from skdpipe.evaluate import NOBODY, Figures

CLIPS = 200
TITLES = {"teacher": "HQS-T", "baseline": "LQS-S", "student": "SKD", "forest_high": "forest, high"}


def result(
    name: str, percent: float, training: float | None = 99.0, *, nobody: int = 0, clips: int = CLIPS
) -> MethodResult:
    """A result on two even classes; the first clips are correct, the last show nobody."""
    label = np.arange(clips) % 2
    correct = np.arange(clips) < round(clips * percent / 100)
    predicted = np.where(correct, label, 1 - label)
    predicted[clips - nobody :] = NOBODY
    keys = [f"{index:05}" for index in range(clips)]
    quality: Quality = "high" if name in ("teacher", "forest_high") else "low"
    figures = None if name.startswith("forest") else Figures(percent, 100, 1, 1, 1, training)
    return MethodResult(
        name,
        TITLES[name],
        quality,
        dict(zip(keys, label.tolist(), strict=True)),
        dict(zip(keys, predicted.tolist(), strict=True)),
        figures,
        None if figures is None else training,
    )


def results(training: float | None = 99.0, **percent: float) -> Results:
    return {name: result(name, value, training) for name, value in percent.items()}


def words(given: Results, level: str) -> str:
    return "\n".join(each.text for each in conclude(given) if each.level == level)


def test_a_healthy_run_has_no_problems_and_states_the_recovered_gap_with_its_interval() -> None:
    healthy = results(forest_high=85, teacher=90, baseline=70, student=80)
    assert not words(healthy, "problem")
    notes = words(healthy, "note")
    assert "recovered gap: 50% of the 20.0 points [14." in notes
    assert "SKD is better than LQS-S: difference 10.0 points [5." in notes
    assert recovered_gap(healthy, "student") == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("training", "reason"),
    [(97.0, "has memorised them"), (56.0, "has not learned them"), (None, "Run `skdpipe check`")],
)
def test_a_teacher_at_chance_comes_first_with_the_likely_reason(training: float | None, reason: str) -> None:
    at_chance = results(training, teacher=53, baseline=65, student=65)
    first = conclude(at_chance)[0]
    assert first.level == "problem"
    assert first.text.startswith("HQS-T is not better than chance: 53.0 % [46.1, 59.8] on 200 test clips")
    assert "There is nothing to distil" in first.text
    assert reason in first.text
    assert "gap" not in words(at_chance, "note")


def test_a_student_at_chance_is_a_problem_of_its_own() -> None:
    assert words(results(teacher=90, baseline=51), "problem").startswith("LQS-S is not better than chance")


def test_a_teacher_behind_the_forest_is_a_problem() -> None:
    behind = words(results(forest_high=85, teacher=70, baseline=60), "problem")
    assert behind.startswith("HQS-T is behind a random forest on the same skeletons by 15.0 points [")
    assert not words(results(forest_high=70.5, teacher=70, baseline=60), "problem")


def test_without_a_gap_there_is_nothing_to_recover() -> None:
    level = results(teacher=80, baseline=80, student=82)
    notes = words(level, "note")
    assert "No gap to recover: HQS-T leads LQS-S by 0.0 points" in notes
    assert "recovered gap" not in notes
    assert "SKD is level with LQS-S" in words(results(teacher=80, baseline=80, student=80), "note")
    assert recovered_gap(level, "student") is None
    ahead = results(teacher=75, baseline=80, student=75)
    assert "No gap to recover: HQS-T leads LQS-S by -5.0 points" in words(ahead, "note")
    assert "SKD is worse than LQS-S: difference -5.0 points" in words(ahead, "note")


def test_overfitting_and_good_generalisation_differ() -> None:
    assert "HQS-T classifies 99.0 % of its training clips and 75.0 % of the test clips: it overfits" in words(
        results(teacher=75, baseline=60), "note"
    )
    assert "overfits" not in words(results(training=80, teacher=75, baseline=60), "note")


def test_clips_without_people_are_counted_apart() -> None:
    some = {"teacher": result("teacher", 90, nobody=4), "baseline": result("baseline", 75, nobody=20)}
    notes = words(some, "note")
    assert "Nobody was detected in test clips (4 in high quality, 20 in low quality)" in notes
    assert "HQS-T 91.8 %, LQS-S 83.3 %" in notes
    assert "Nobody" not in words(results(teacher=90), "note")


def test_a_gap_needs_all_three_methods() -> None:
    healthy = results(teacher=90, baseline=70, student=80)
    for missing in healthy:
        rest = {name: each for name, each in healthy.items() if name != missing}
        assert recovered_gap(rest, "student") is None
        assert "recovered gap" not in words(rest, "note")


@pytest.mark.parametrize(
    ("top1", "gap"),
    [
        ({"teacher": 83.43, "baseline": 63.74, "student": 81.87}, 0.92),  # the paper's Penn Action
        ({"teacher": 82.03, "baseline": 76.58, "student": 80.80}, 0.77),
        ({"teacher": 80.0, "baseline": 70.0, "student": 65.0}, -0.5),
        ({"teacher": 70.0, "baseline": 70.0, "student": 80.0}, None),
        ({"teacher": 80.0, "student": 80.0}, None),
    ],
)
def test_the_recovered_gap(top1: dict[str, float], gap: float | None) -> None:
    found = {name: result(name, percent, clips=10_000) for name, percent in top1.items()}
    assert recovered_gap(found, "student") == (gap if gap is None else pytest.approx(gap, abs=0.005))


def test_a_gap_within_its_interval_is_none() -> None:
    assert recovered_gap(results(teacher=80.5, baseline=80, student=80.5), "student") is None


def test_accuracy_counts_clips_without_people_as_not_correct() -> None:
    found = result("teacher", 75, nobody=20)
    assert found.top1.estimate == 75
    assert found.top1_where_seen == pytest.approx(100 * 150 / 180)
    everybody = replace(found, predicted=dict.fromkeys(found.label, NOBODY))
    assert everybody.top1.estimate == everybody.top1_where_seen == 0
