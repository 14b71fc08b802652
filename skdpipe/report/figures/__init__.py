"""The figures of a report: each function takes numbers and gives a matplotlib figure.

Figures are made without pyplot, which keeps every figure in a global list. Categories have Okabe and Ito's
colours and markers or line styles of their own, magnitudes have viridis or cividis: colour-blind readers can
tell them apart.
"""

from skdpipe.report.figures.accuracy import draw_accuracy_by_class, draw_confusion, draw_cost
from skdpipe.report.figures.bodies import draw_response
from skdpipe.report.figures.clips import draw_map
from skdpipe.report.figures.robustness import draw_robustness
from skdpipe.report.figures.training import draw_conflicts, draw_losses

__all__ = [
    "draw_accuracy_by_class",
    "draw_conflicts",
    "draw_confusion",
    "draw_cost",
    "draw_losses",
    "draw_map",
    "draw_response",
    "draw_robustness",
]
