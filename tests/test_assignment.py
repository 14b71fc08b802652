"""The assignment is SciPy's, also where several have the same sum."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from skdpipe.skeleton.assignment import assign_cheapest

SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 7))


def by_scipy(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    rows, columns = linear_sum_assignment(cost)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


@given(SHAPES.flatmap(lambda shape: arrays(np.float64, shape, elements=st.integers(-3, 3).map(float))))
def test_ties_are_decided_as_by_scipy(cost: NDArray[np.float64]) -> None:
    assert assign_cheapest(cost) == by_scipy(cost)


@given(SHAPES.flatmap(lambda shape: arrays(np.float64, shape, elements=st.floats(-1e6, 1e6))))
def test_the_assignment_of_any_costs_is_that_of_scipy(cost: NDArray[np.float64]) -> None:
    assert assign_cheapest(cost) == by_scipy(cost)


@pytest.mark.parametrize("shape", [(40, 40), (20, 60), (60, 20)])
def test_a_crowd(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        cost = rng.random(shape)
        assert assign_cheapest(cost) == by_scipy(cost)
        rounded = cost.round(1)
        assert assign_cheapest(rounded) == by_scipy(rounded)


def test_by_hand() -> None:
    assert assign_cheapest(np.array([[4.0, 1, 3], [2, 0, 5], [3, 2, 2]])) == [(0, 1), (1, 0), (2, 2)]
    assert assign_cheapest(np.zeros((0, 3))) == []


def test_scipy_is_not_imported() -> None:
    program = (
        "import sys, numpy as np; from skdpipe.skeleton.people import assign\n"
        "assert assign(np.array([[3.0, 2.0], [2.0, 0.5]])) == [(0, 1), (1, 0)]\n"
        "assert 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
