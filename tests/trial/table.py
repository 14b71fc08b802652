"""The table of outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, get_args

from rich.table import Table

from trial.kind import Fault, Outcome

FAULTS: Final[tuple[str, ...]] = get_args(Fault)


def counts_of(outcomes: Iterable[Outcome]) -> dict[str, dict[str, int]]:
    """By kind: cases, accepted, refused, and the cases with each fault."""
    counts: dict[str, dict[str, int]] = {}
    for outcome in outcomes:
        row = counts.setdefault(outcome.kind, dict.fromkeys(("cases", "accepted", "refused", *FAULTS), 0))
        row["cases"] += 1
        row["accepted" if outcome.accepted else "refused"] += 1
        for fault in {fault for fault, _ in outcome.problems}:
            row[fault] += 1
    return counts


def table_of(title: str, rows: dict[str, dict[str, int]]) -> Table:
    """A table with a row for each kind, and the sum."""
    columns: Sequence[str] = list(next(iter(rows.values())))
    table = Table(title=title)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    for name, row in rows.items():
        table.add_row(name, *(str(row[column]) for column in columns))
    if len(rows) > 1:
        table.add_section()
        table.add_row("all", *(str(sum(row[column] for row in rows.values())) for column in columns))
    return table
