"""The table beside the progress bar of a training: its last epoch, and the best of the methods before it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from skdpipe.distill.training_state import Curve


class ProgressTable(NamedTuple):
    """A table as text.

    Attributes:
        headings: of the columns.
        rows: a cell for each column.
    """

    headings: list[str]
    rows: list[list[str]]


def training_table(
    title: str, curves: Sequence[Curve], epochs: int, earlier: Mapping[str, Sequence[Curve]]
) -> ProgressTable:
    """The last complete epoch of a training, and the best epoch of each earlier one.

    The best epoch is the one with the highest training accuracy; of several, the one with the lowest loss.

    Args:
        title: of the method.
        curves: of the epochs so far.
        epochs: number of epochs of the training.
        earlier: by title, the curves of the methods that are trained already.
    """
    shown = [(each, _best(before), len(before), before) for each, before in earlier.items() if before]
    rows = [(each, f"best {best + 1}/{of}", before[best]) for each, best, of, before in shown]
    rows.append((title, f"{len(curves)}/{epochs}", curves[-1] if curves else Curve()))
    losses = list(dict.fromkeys(name for _, _, curve in rows for name in curve.losses))
    with_test = any(curve.test_top1 is not None for _, _, curve in rows)
    headings = ["", "epoch", *("loss" if name == "task" else name for name in losses), "train %"]
    return ProgressTable(
        [*headings, *(["test %"] if with_test else []), "rate"],
        [
            [
                name,
                epoch,
                *(_loss(curve.losses.get(each)) for each in losses),
                _percent(curve.training_top1),
                *([_percent(curve.test_top1)] if with_test else []),
                "" if curve.learning_rate is None else f"{curve.learning_rate:.2g}",
            ]
            for name, epoch, curve in rows
        ],
    )


def _best(curves: Sequence[Curve]) -> int:
    def rank(epoch: int) -> tuple[float, float]:
        curve = curves[epoch]
        return -(curve.training_top1 or 0.0), curve.losses.get("task", math.inf)

    return min(range(len(curves)), key=rank)


def _loss(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
