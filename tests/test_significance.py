"""Intervals, chance and paired tests: known values, naive formulas, coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, permutation_test

from skdpipe.significance import (
    accuracy_interval,
    chance_level,
    difference_interval,
    is_beyond_chance,
    lead_by_clip,
    paired_p_value,
)

# Accuracy


def test_wilsons_interval_of_half_of_ninety_clips() -> None:
    # (p + z²/2n ± z sqrt(p (1 - p) / n + z² / 4n²)) / (1 + z²/n) with p = 1/2: 1/2 ± z / (2 sqrt(n + z²))
    half_width = 100 * 1.959964 / (2 * math.sqrt(90 + 1.959964**2))
    assert accuracy_interval(45, 90) == pytest.approx((50, 50 - half_width, 50 + half_width), abs=1e-4)
    assert half_width == pytest.approx(10.12, abs=0.005)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_accuracy_interval_is_wilsons(counts: tuple[int, int]) -> None:
    correct, clips = counts
    p, z = correct / clips, 1.9599639845400545
    middle = (p + z**2 / (2 * clips)) / (1 + z**2 / clips)
    half_width = z * math.sqrt(p * (1 - p) / clips + z**2 / (4 * clips**2)) / (1 + z**2 / clips)
    found = accuracy_interval(correct, clips)
    assert found == pytest.approx(
        (100 * p, 100 * (middle - half_width), 100 * (middle + half_width)), abs=1e-6
    )
    assert 0 <= found.low <= found.estimate <= found.high <= 100
    assert found.low < found.high


def test_accuracy_interval_of_none_and_all_correct() -> None:
    none, every = accuracy_interval(0, 60), accuracy_interval(60, 60)
    assert none.low == 0 < none.high
    assert none.high == pytest.approx(100 * 1.959964**2 / (60 + 1.959964**2), abs=1e-4)
    assert every == pytest.approx((100, 100 - none.high, 100))


@pytest.mark.parametrize("accuracy", [0.1, 0.33, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("clips", [30, 90, 400])
def test_accuracy_interval_covers_the_accuracy_in_95_percent(accuracy: float, clips: int) -> None:
    intervals = [accuracy_interval(correct, clips) for correct in range(clips + 1)]
    covers = [each.low <= 100 * accuracy <= each.high for each in intervals]
    coverage = binom.pmf(np.arange(clips + 1), clips, accuracy)[covers].sum()  # exact
    assert 0.91 < coverage < 0.99


# Chance


def test_chance_level_is_the_share_of_the_most_frequent_class() -> None:
    assert chance_level([0, 1, 0, 1]) == 50
    assert chance_level([2, 2, 2, 0, 5]) == 60
    assert chance_level([3]) == chance_level([1, 1]) == 100


def test_beyond_chance_at_the_critical_count() -> None:
    labels = [0] * 45 + [1] * 45
    critical = int(binom.isf(0.05, 90, 0.5)) + 1  # the smallest count with P(X >= count) < 0.05
    assert binom.sf(critical - 1, 90, 0.5) < 0.05 <= binom.sf(critical - 2, 90, 0.5)
    assert is_beyond_chance(critical, labels)
    assert not is_beyond_chance(critical - 1, labels)
    assert not is_beyond_chance(0, labels)  # below chance is not beyond it


def test_beyond_chance_depends_on_the_most_frequent_class() -> None:
    assert is_beyond_chance(70, [0] * 50 + [1] * 50)
    assert not is_beyond_chance(70, [0] * 70 + [1] * 30)
    assert not is_beyond_chance(10, [0] * 10)  # one class: every prediction is correct by chance
    assert not is_beyond_chance(4, [0, 0, 1, 1])  # p = 1/16
    assert is_beyond_chance(5, [0, 1, 2, 3, 4])


# Paired tests


def test_p_value_by_counting() -> None:
    """One method is better in ten clips and worse in none: two of 2^10 sign changes are as extreme."""
    lead = np.r_[np.ones(10, int), np.zeros(2, int)]
    assert paired_p_value(lead) == paired_p_value(-lead) == pytest.approx(2 / 1024)
    assert paired_p_value(np.zeros(5, int)) == paired_p_value(np.array([], int)) == 1
    assert paired_p_value(np.array([3, -3, 1, -1])) == pytest.approx(1)
    assert paired_p_value(np.array([3, 1])) == pytest.approx(0.5)  # of 4, 2, -2 and -4 two are as far from 0


@given(st.integers(0, 40), st.integers(0, 40))
def test_with_one_seed_the_p_value_is_mcnemars(ahead: int, behind: int) -> None:
    lead = np.repeat([1, -1, 0], [ahead, behind, 3])
    expected = binomtest(ahead, ahead + behind).pvalue if ahead + behind else 1.0
    assert paired_p_value(lead) == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=9))
def test_with_more_seeds_the_p_value_is_the_exact_permutation_tests(leads: list[int]) -> None:
    lead = np.array(leads)
    every = permutation_test(
        (lead, np.zeros_like(lead)),
        lambda a, b: np.sum(a - b),
        permutation_type="samples",
        n_resamples=np.inf,
    )
    assert paired_p_value(lead) == pytest.approx(every.pvalue)


def test_a_clip_is_compared_in_the_seeds_that_test_it() -> None:
    one = [{"a": True, "b": True, "c": True}, {"a": True, "b": True}]
    other = [{"c": True, "a": True, "b": False}, {"b": False, "a": False, "d": True}]
    assert lead_by_clip(one, other).tolist() == [1, 2, 0]
    assert lead_by_clip([], []).tolist() == []


def test_methods_of_different_seeds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="longer"):
        lead_by_clip([{"a": True}], [{"a": True}, {"a": False}])


# Differences


@given(*[st.integers(0, 50)] * 4)
def test_difference_interval_is_agresti_and_mins(both: int, ahead: int, behind: int, none: int) -> None:
    """From the four cells of the paired table, half a clip added to each."""
    if both + ahead + behind + none == 0:
        return
    found = difference_interval(np.repeat([0.0, 1.0, -1.0, 0.0], [both, ahead, behind, none]))
    cells = [cell + 0.5 for cell in (both, ahead, behind, none)]
    clips = sum(cells)
    win, loss = cells[1] / clips, cells[2] / clips
    half_width = 1.9599639845400545 * math.sqrt((win + loss - (win - loss) ** 2) / clips)
    assert found.estimate == pytest.approx(100 * (ahead - behind) / (clips - 2))
    assert found.low == pytest.approx(100 * max(-1, win - loss - half_width), abs=1e-9)
    assert found.high == pytest.approx(100 * min(1, win - loss + half_width), abs=1e-9)
    assert -100 <= found.low <= found.estimate <= found.high <= 100


def test_exchanged_methods_have_the_negative_interval() -> None:
    lead = np.random.default_rng(0).integers(-1, 2, 40).astype(float)
    there, back = difference_interval(lead), difference_interval(-lead)
    assert there == pytest.approx((-back.estimate, -back.high, -back.low))


def test_ties_alone_give_an_interval_around_zero() -> None:
    few, many = difference_interval(np.zeros(8)), difference_interval(np.zeros(80))
    for each in (few, many):
        assert each.estimate == 0
        assert each.low == pytest.approx(-each.high)
        assert each.high > 0
    assert few.high > 5 * many.high


@pytest.mark.parametrize(("win", "loss"), [(0.1, 0.1), (0.2, 0.05), (0.3, 0.1), (0.02, 0.02)])
def test_difference_interval_covers_the_difference_in_95_percent(win: float, loss: float) -> None:
    counts = np.random.default_rng(1).multinomial(60, (win, loss, 1 - win - loss), size=2000)
    intervals = [difference_interval(np.repeat([1.0, -1.0, 0.0], count)) for count in counts]
    coverage = np.mean([each.low <= 100 * (win - loss) <= each.high for each in intervals])
    assert coverage > 0.93
    if win + loss > 0.1:  # with few discordant clips the interval is conservative
        assert coverage < 0.98


def test_mean_of_seeds_that_agree_is_not_more_certain_than_one_seed() -> None:
    """Clips are the sample: copies of one seed leave the interval unchanged."""
    one = {str(clip): clip % 3 > 0 for clip in range(30)}
    other = {str(clip): clip % 4 > 1 for clip in range(30)}
    single = difference_interval(lead_by_clip([one], [other]))
    assert difference_interval(lead_by_clip([one] * 3, [other] * 3) / 3) == pytest.approx(single)


def test_no_clips_are_an_error() -> None:
    for compute in (
        lambda: accuracy_interval(0, 0),
        lambda: chance_level([]),
        lambda: is_beyond_chance(0, []),
        lambda: difference_interval(np.zeros(0)),
    ):
        with pytest.raises(AssertionError):
            compute()
