"""Pose sequences for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from skdpipe.skeleton import COCO_17, Layout, Origin, PoseSequence


def make_sequence(
    keypoints: ArrayLike,
    layout: Layout = COCO_17,
    *,
    frame_index: Sequence[int] | None = None,
    video_frames: int | None = None,
    fps: float = 25.0,
    size: tuple[int, int] = (640, 480),
    origin: Origin | None = None,
) -> PoseSequence:
    """A sequence of keypoints ``(frame, person, joint, 3)``; by default all frames are sampled."""
    rows = np.asarray(keypoints, np.float32)
    index = np.arange(len(rows)) if frame_index is None else np.asarray(frame_index)
    total = int(index[-1]) + 1 if video_frames is None and len(index) else video_frames or 0
    return PoseSequence(rows, index.astype(np.int32), total, layout, fps, size, origin or Origin())
