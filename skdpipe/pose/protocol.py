"""The interface of a pose estimator.

The pipeline depends on `PoseEstimator` alone: any object with a layout, a fingerprint and a call from frames
to people can be used, from this package or from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from skdpipe.skeleton import Keypoints, Layout

if TYPE_CHECKING:
    from skdpipe.video import Frame


@runtime_checkable
class PoseEstimator(Protocol):
    """Frames in, people out."""

    @property
    def layout(self) -> Layout:
        """Layout of the joint axis of the output."""
        ...

    @property
    def fingerprint(self) -> str:
        """Name, checksum of the weights and settings: half of the cache key."""
        ...

    def __call__(self, frames: Sequence[Frame]) -> list[Keypoints]:
        """Detect the people in each frame.

        Args:
            frames: RGB images ``(height, width, 3)``, uint8, all of one size.

        Returns:
            For each frame ``(person, joint, 3)`` float32 in pixels of that frame, the most confident person
            first; unseen joints are NaN, NaN, 0. A frame without people gives ``(0, joint, 3)``.
        """
        ...
