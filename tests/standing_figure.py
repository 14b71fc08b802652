"""Standing people for tests, with known position, size and area."""

import numpy as np

from skdpipe.skeleton import Keypoints

# A figure in layout penn-13, 120 px tall and 40 px wide, with its middle at the origin; area 4,800 px².
FIGURE = np.array(
    [[0, -60], [-20, -40], [20, -40], [-20, -15], [20, -15], [-20, 10], [20, 10],
     [-12, 5], [12, 5], [-12, 32], [12, 32], [-12, 60], [12, 60]], np.float32,
)  # fmt: skip


def person(x: float, y: float = 240, confidence: float = 0.9, size: float = 1) -> Keypoints:
    """``(13, 3)``: the figure with its middle at x, y."""
    return np.concatenate([FIGURE * size + [x, y], np.full((13, 1), confidence)], axis=1).astype(np.float32)


def people(*each: Keypoints) -> Keypoints:
    """``(person, 13, 3)``."""
    return np.stack(each) if each else np.zeros((0, 13, 3), np.float32)
