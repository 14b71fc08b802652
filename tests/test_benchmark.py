"""The benchmarks: timing and formatting by hand, and that every row is measured."""

from __future__ import annotations

import re
from functools import partial
from importlib.util import find_spec

import pytest
import torch
from benchmark import SECTIONS, Comparison, Measured, Row, app, cells, measure, multiplication_ratio
from stepped_clock import Clock
from typer.testing import CliRunner

ROWS = {
    "edge": (
        "edge_loss, peak beyond inputs (4, 64, 64, 13)",
        "edge_loss, tiny (2, 8, 8, 13)",
        "official_edge_loss, tiny (2, 8, 8, 13)",
    ),
    "st-gcn": ("training, 16 frames, coco-17, width 4, 2x2",),
    "runtimes": tuple(f"{name}, 8 frames, penn-13, width 4, 2x2" for name in ("torch", "onnx", "openvino")),
    "export": tuple(
        f"{name} {runtime}, 8 frames, width 6"
        for name in ("st_2sgcn", "dd_net")
        for runtime in ("onnx", "openvino", *(["litert"] if find_spec("litert_torch") else []))
    ),
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
    "extract": (
        "decoding alone, every frame and one in ten",
        "every frame and one in ten, shufflenetv2x1 float32",
    ),
    "continual": tuple(
        f"{name}, 8 frames, penn-13, width 4, people 2, stride {stride}"
        for name in ("ST-GCN", "ST-2sGCN")
        for stride in (1, 2, 4, 8)
    ),
    "tracking": (
        "2 people, 15 frames/s, OKS-SORT",
        "2 people rendered, 15 frames/s, OKS-SORT",
        "pose network, shufflenetv2x1 at 225 pixels",
    ),
    "loader": ("8 frames, penn-13, width 4, batch 4",),
    "cache": ("12 clips, 8 frames",),
    "qualities": ("shufflenetv2x1 at 33 and mobilenetv3small at 33, 4 frames",),
}
# Two sides with their unit, the ratio, lowest..highest; the loader's ratio is a share in per cent.
_NUMBERS = re.compile(r" +([\d.]+) (ms|MB|s) +([\d.]+) \2 +([\d.]+)%? +([\d.]+?)%?\.\.([\d.]+)%?(?: |$)")


def test_a_ratio_for_each_round_without_the_warm_up() -> None:
    clock = Clock()
    comparison = Comparison(
        "ratio", clock.advanced_by("reference", 100, 6, 8), clock.advanced_by("candidate", 50, 2, 4, 1)
    )
    assert measure(comparison, 3, clock=clock) == Measured([6, 8, 8], [2, 4, 1], [3, 2, 8])


def test_a_row_has_medians_and_spread() -> None:
    row = Row("name", Measured([30, 10, 21], [1.5, 0.123, 2], [20, 81.3, 10.5]), remark="remark")
    assert cells(row, ".1f") == ("name", "21.0 ms", "1.50 ms", "20.0", "10.5..81.3", "remark")


def test_the_multiplication_ratio_by_hand() -> None:
    def multiply(rows: int, columns: int) -> torch.Tensor:
        return torch.ones(rows, 6) @ torch.ones(6, columns)

    reference, candidate = partial(multiply, 4, 5), partial(multiply, 2, 4)  # 120 and 48 multiplications
    assert multiplication_ratio(reference, candidate) == "multiplications 2.50"


@pytest.mark.slow
def test_every_row_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "skdpipe.memory.keep_freed_memory", lambda: True
    )  # it would affect the other tests of this process
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


def test_an_unknown_name_is_refused_with_the_known_names() -> None:
    done = CliRunner().invoke(app, ["hedge"])
    assert done.exit_code == 2
    assert "'hedge' is none of edge, st-gcn, runtimes" in done.stderr
