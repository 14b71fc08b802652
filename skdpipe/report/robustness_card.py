"""Robustness at a glance: how strong a degradation has to be to cost a network some points of accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from skdpipe.distill.methods import BASELINE, STUDENT, method_named
from skdpipe.report.robustness import EvaluatedNetwork, RobustnessCurve, strength_at_fall
from skdpipe.report.section import Cell, Table

_POINTS: Final = 5.0


def tabulate_falls(curves: Sequence[RobustnessCurve]) -> Table:
    """The strength at which each network has lost 5 points of top-1, for each degradation."""
    networks = _as_trained(curves)
    return Table(
        ("degradation", "strength", *(method_named(each.method).title for each in networks)),
        [[curve.axis.name, curve.axis.unit, *(_cell(curve, each) for each in networks)] for curve in curves],
        words=2,
        caption=f"Strength at which top-1 is {_POINTS:g} points lower than without the degradation; the "
        "longer the bar, the more robust the network.",
    )


def conclude_robustness(curves: Sequence[RobustnessCurve]) -> str:
    """What the student, or else another network, tolerates least, and how it compares with the baseline."""
    networks = {each.method: each for each in _as_trained(curves)}
    name = next((each for each in (STUDENT.name, BASELINE.name) if each in networks), next(iter(networks)))
    network, title = networks[name], method_named(name).title
    worst = min(curves, key=lambda curve: curve.top1[network][-1])
    lost = worst.top1[network][0] - worst.top1[network][-1]
    first = f"{title} loses most with {worst.axis.name}: {lost:.0f} points at {worst.strengths[-1]:g}."
    if not {STUDENT.name, BASELINE.name} <= networks.keys():
        return first
    differences = [
        student - baseline
        for curve in curves
        for student, baseline in zip(
            curve.top1[network][1:], curve.top1[networks[BASELINE.name]][1:], strict=True
        )
    ]
    higher, lower = sum(each > 1 for each in differences), sum(each < -1 for each in differences)
    return (
        f"{first} Of {len(differences)} degraded test sets, it is over a point more accurate than "
        f"{BASELINE.title} on {higher}, and over a point less accurate on {lower}."
    )


def _as_trained(curves: Sequence[RobustnessCurve]) -> list[EvaluatedNetwork]:
    return [each for each in curves[0].top1 if not each.smoothed_for_test]


def _cell(curve: RobustnessCurve, network: EvaluatedNetwork) -> Cell:
    top1, strongest = curve.top1[network], curve.strengths[-1]
    strength = strength_at_fall(curve.strengths, top1, _POINTS)
    if strength is None:
        return Cell(f"above {strongest:g}", 1.0)
    return Cell(f"{strength:.2f}", strength / strongest)
