"""The assignment of rows to columns with the smallest sum of costs.

The method is that of Crouse, "On Implementing 2D Rectangular Assignment Algorithms", IEEE TAES 2016, with the
result of `scipy.optimize.linear_sum_assignment` also where several are equally good. SciPy takes a third of a
second to import, which is long for a few people in a frame, and prediction does not need it otherwise.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


def assign_cheapest(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs of row and column ``(row, column)`` with the smallest sum, each row and column at most once.

    Args:
        cost: ``(row, column)``, finite; all of the fewer of the two are assigned.
    """
    if len(cost) > cost.shape[1]:
        return sorted((row, column) for column, row in assign_cheapest(cost.T))
    rows: list[list[float]] = cost.tolist()
    count, columns = cost.shape
    of_rows, of_columns = [0.0] * count, [0.0] * columns  # dual variables
    column_of, row_of = [-1] * count, [-1] * columns
    for row in range(count):
        path = _cheapest_path(rows, row, of_rows, of_columns, row_of)
        of_rows[row] += path.cost
        for passed in path.columns[:-1]:
            of_rows[row_of[passed]] += path.cost - path.cost_to[passed]
        for passed in path.columns:
            of_columns[passed] -= path.cost - path.cost_to[passed]
        column, before = path.columns[-1], -1
        while before != row:
            before = path.row_before[column]
            row_of[column] = before
            column_of[before], column = column, column_of[before]
    return list(enumerate(column_of))


class _Path(NamedTuple):
    """The cheapest path from a row to a column that is not assigned.

    Attributes:
        columns: all that were reached, in order; the last is not assigned.
        cost: of the path.
        cost_to: of the path to each column.
        row_before: the row before each column.
    """

    columns: list[int]
    cost: float
    cost_to: list[float]
    row_before: list[int]


def _cheapest_path(
    rows: list[list[float]], row: int, of_rows: list[float], of_columns: list[float], row_of: list[int]
) -> _Path:
    count = len(of_columns)
    left = list(range(count - 1, -1, -1))
    path = _Path([], 0.0, [inf] * count, [-1] * count)
    cost = 0.0
    while True:
        nearest, lowest = 0, inf
        for place, column in enumerate(left):
            reduced = cost + rows[row][column] - of_rows[row] - of_columns[column]
            if reduced < path.cost_to[column]:
                path.row_before[column], path.cost_to[column] = row, reduced
            found = path.cost_to[column]
            if found < lowest or (found == lowest and row_of[column] == -1):
                nearest, lowest = place, found
        cost, column = lowest, left[nearest]
        path.columns.append(column)
        if row_of[column] == -1:
            return path._replace(cost=cost)
        row = row_of[column]
        left[nearest] = left[-1]
        left.pop()
