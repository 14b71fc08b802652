"""Drawing for visual inspection: skeletons on frames, sheets of clips, and footage with its labels."""

from skdpipe.overlay.images import Panel, draw_people, draw_sheet, draw_summary, write_image
from skdpipe.overlay.video import require_output, write_overlay

__all__ = [
    "Panel",
    "draw_people",
    "draw_sheet",
    "draw_summary",
    "require_output",
    "write_image",
    "write_overlay",
]
