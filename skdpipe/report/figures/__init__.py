"""The figures of a report: functions that take numbers and return a matplotlib figure.

Figures are created without pyplot, which keeps every figure in a global list. Categories have the colours of
Okabe and Ito and also different markers or line styles, magnitudes have viridis or cividis: both are suitable
for colour-blind readers.
"""

from skdpipe.report.figures.accuracy import CostPoint, draw_accuracy_by_class, draw_confusion, draw_cost
from skdpipe.report.figures.bodies import draw_response
from skdpipe.report.figures.clips import draw_map
from skdpipe.report.figures.reliability import draw_coverage, draw_reliability
from skdpipe.report.figures.robustness import draw_robustness
from skdpipe.report.figures.training import draw_conflicts, draw_losses

__all__ = [
    "CostPoint",
    "draw_accuracy_by_class",
    "draw_conflicts",
    "draw_confusion",
    "draw_cost",
    "draw_coverage",
    "draw_losses",
    "draw_map",
    "draw_reliability",
    "draw_response",
    "draw_robustness",
]
