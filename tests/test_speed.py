"""Times taken in turn: by a clock that only the timed calls advance."""

from __future__ import annotations

import pytest
from stepped_clock import Clock

from skdpipe.speed import Timing, brief, time_in_turn


def test_every_second_round_goes_backwards() -> None:
    clock = Clock()
    time_in_turn({name: clock.advanced_by(name, 1) for name in "ABC"}, rounds=3, least=0, clock=clock)
    assert "".join(clock.calls) == "ABC" + "ABC" + "CBA" + "ABC"  # the first are the warm-up


def test_the_warm_up_does_not_count() -> None:
    clock = Clock()
    calls = {"A": clock.advanced_by("A", 100, 6, 8, 9), "B": clock.advanced_by("B", 50, 2, 4, 1)}
    timings = time_in_turn(calls, rounds=3, least=0, clock=clock)
    assert timings == {"A": Timing((6, 8, 9)), "B": Timing((2, 4, 1))}
    assert (timings["B"].median, timings["B"].lowest, timings["B"].highest) == (2, 1, 4)


def test_short_calls_are_repeated_also_after_a_slow_first_one() -> None:
    clock = Clock()
    calls = {"A": clock.advanced_by("A", 1), "B": clock.advanced_by("B", 30, 0.25)}
    timings = time_in_turn(calls, rounds=2, least=1, clock=clock)
    assert timings == {"A": Timing((1, 1)), "B": Timing((0.25, 0.25))}
    assert "".join(clock.calls[-10:]) == "ABBBB" + "BBBBA"


def test_a_repeated_call_has_its_mean() -> None:
    clock = Clock()
    call = clock.advanced_by("A", 9, 1, 1, 3, 5, 1)  # the first three are the warm-up
    assert time_in_turn({"A": call}, rounds=1, least=2, clock=clock) == {"A": Timing((4,))}


def test_the_spreads_of_equal_calls_overlap_on_a_machine_that_becomes_slower() -> None:
    clock = Clock(slower_from=6.5)  # in the middle of the third round
    calls = {name: clock.advanced_by(name, 1) for name in ("one", "same")}
    timings = time_in_turn(calls, rounds=5, least=0, clock=clock)
    assert timings == {"one": Timing((1, 1, 1, 2, 2)), "same": Timing((1, 1, 2, 2, 2))}
    assert {(each.lowest, each.highest) for each in timings.values()} == {(1, 2)}


def test_nothing_is_timed_in_no_time() -> None:
    assert time_in_turn({}, clock=Clock()) == {}


def test_a_timing_is_shown_in_milliseconds_with_its_spread() -> None:
    assert Timing((0.0098, 0.0104, 0.0096)).in_milliseconds() == "9.80 [9.60, 10.4]"


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.01234, "0.0123"), (1.5, "1.50"), (21, "21.0"), (1234.5, "1234")]
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert brief(value) == text
