"""The benchmark: its clockwork by hand, and that each of its rows can be had."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import pytest
import torch
from benchmark import SECTIONS, Comparison, Measured, Row, app, by_products, cells, measure
from typer.testing import CliRunner

ROWS = {
    "edge": (
        "edge_loss, peak beyond inputs (4, 64, 64, 13)",
        "edge_loss, tiny (2, 8, 8, 13)",
        "official_edge_loss, tiny (2, 8, 8, 13)",
    ),
    "st-gcn": ("training, 16 frames, coco-17, width 4, 2x2",),
    "runtimes": tuple(f"{name}, 8 frames, penn-13, width 4, 2x2" for name in ("torch", "onnx", "openvino")),
    "revision": tuple(
        f"{name}, 8 frames, penn-13, width 6, 1x2"
        for name in (
            *("ST-GCN", "ST-sGCN", "ST-2sGCN", "ST-GCN++"),
            *("2s-AGCN", "AS-GCN", "Shift-GCN", "MS-G3D", "CTR-GCN"),
        )
    ),
    "step": tuple(
        f"8 frames, penn-13, width 6, 1x2, {how}" for how in ("teacher computed", "teacher cached")
    ),
    "loader": ("8 frames, penn-13, width 4, batch 4",),
}
# Two sides with their unit, the ratio, lowest..highest; the loader's ratio is a share in per cent.
_NUMBERS = re.compile(r" +([\d.]+) (ms|MB) +([\d.]+) \2 +([\d.]+)%? +([\d.]+?)%?\.\.([\d.]+)%?(?: |$)")


class Clock:
    """Shows the seconds that were spent."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def spending(self, name: str, *seconds: float) -> Callable[[], None]:
        """A side that takes so long in turn; the last goes on for ever."""
        left = list(seconds)

        def side() -> None:
            self.calls.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return side


def test_sides_take_turns_and_in_every_second_round_ours_goes_first() -> None:
    clock = Clock()
    comparison = Comparison("turns", clock.spending("plain", 1), clock.spending("ours", 1))
    measure(comparison, 3, clock=clock)
    warm_up, *rounds = [clock.calls[i : i + 2] for i in range(0, len(clock.calls), 2)]
    assert warm_up == ["plain", "ours"]
    assert rounds == [["plain", "ours"], ["ours", "plain"], ["plain", "ours"]]


def test_a_ratio_for_each_round_without_the_warm_up() -> None:
    clock = Clock()
    comparison = Comparison("ratio", clock.spending("plain", 100, 6, 8), clock.spending("ours", 50, 2, 4, 1))
    assert measure(comparison, 3, clock=clock) == Measured([6, 8, 8], [2, 4, 1], [3, 2, 8])


def test_short_calls_are_repeated() -> None:
    clock = Clock()
    comparison = Comparison("short", clock.spending("plain", 1.0), clock.spending("ours", 0.25))
    measured = measure(comparison, 1, least=1.0, clock=clock)
    assert measured == Measured([1.0], [0.25], [4.0])
    assert clock.calls == ["plain", *["ours"] * 4] * 2


def test_a_row_says_medians_and_spread() -> None:
    row = Row("name", Measured([30, 10, 21], [1.5, 0.123, 2], [20, 81.3, 10.5]), also="remark")
    assert cells(row, ".1f") == ("name", "21.0 ms", "1.50 ms", "20.0", "10.5..81.3", "remark")


def test_products_are_counted_by_hand() -> None:
    def multiply(rows: int, columns: int) -> torch.Tensor:
        return torch.ones(rows, 6) @ torch.ones(6, columns)

    plain, ours = partial(multiply, 4, 5), partial(multiply, 2, 4)  # 120 and 48 multiplications
    assert by_products(plain, ours) == "by products 2.50"
    assert by_products(plain, ours, beside=partial(multiply, 4, 1)) == "by products 3.00"


def test_every_row_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "skdpipe.memory.keep_freed_memory", lambda: True
    )  # the other tests' memory stays theirs
    done = CliRunner().invoke(app, ["--size", "small", "--threads", "1"], catch_exceptions=False)
    assert done.exit_code == 0
    first, *lines = done.stdout.splitlines()
    assert re.search(r", 1 thread, torch \S+, freed memory kept, .*, seed 0$", first)
    for name in SECTIONS:
        for row in ROWS[name]:
            (line,) = [line for line in lines if line.strip().startswith(row + " ")]
            assert min(numbers(line.strip().removeprefix(row))) > 0


def numbers(line: str) -> list[float]:
    """Both sides, the ratio, and its lowest and highest value."""
    found = _NUMBERS.match(line)
    assert found, line
    return [float(found[group]) for group in (1, 3, 4, 5, 6)]


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    done = CliRunner().invoke(app, ["hedge"])
    assert done.exit_code == 2
    assert "'hedge' is none of edge, st-gcn, runtimes" in done.stderr
