"""Finding people in pictures.

The pipeline knows an estimator only by `PoseEstimator`: anything with a layout, a fingerprint and
a call that takes frames and gives people will do, inside this package or outside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from skdpipe.skeleton import Keypoints, Layout

Frame = NDArray[np.uint8]


@runtime_checkable
class PoseEstimator(Protocol):
    """Frames in, people out."""

    @property
    def layout(self) -> Layout:
        """What the joint axis of the answer means."""
        ...

    @property
    def fingerprint(self) -> str:
        """Name, checksum of the weights and settings: half of the cache key."""
        ...

    def __call__(self, frames: Sequence[Frame]) -> list[Keypoints]:
        """Find the people of each frame.

        Args:
            frames: RGB pictures ``(height, width, 3)``, uint8, all of one size.

        Returns:
            For each frame ``(person, joint, 3)`` float32 in pixels of that frame, best person first;
            unseen joints are NaN, NaN, 0. A frame without people gives ``(0, joint, 3)``.
        """
        ...
