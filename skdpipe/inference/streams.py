"""Input streams of a network: joints, bones, and the motion of either.

Shi, Zhang, Cheng, Lu, "Two-Stream Adaptive Graph Convolutional Networks for Skeleton-Based Action
Recognition", CVPR 2019 (bones), and "Skeleton-Based Action Recognition With Multi-Stream Adaptive Graph
Convolutional Networks", IEEE TIP 29 (2020) (motion).

Clips are ``(..., channel, frame, joint)``; the last channel is the confidence, the others are coordinates,
and an unseen joint is zero in all of them. Streams are computed after augmentation, which therefore always
works on joints.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skdpipe.config import Stream

Floats = NDArray[np.float32]


def to_stream(clip: Floats, stream: Stream, parents: Sequence[int]) -> Floats:
    """Convert a clip of joints to a stream of the same shape.

    Args:
        clip: ``(..., channel, frame, joint)``, joints.
        stream: the stream.
        parents: for each joint its parent on the path to the root, as ``Layout.parents``.
    """
    if stream in ("bone", "bone_motion"):
        clip = bones(clip, parents)
    return motion(clip) if stream in ("joint_motion", "bone_motion") else clip


def bones(clip: Floats, parents: Sequence[int]) -> Floats:
    """For each joint the vector from its parent: ``b_v = x_v - x_parent(v)``; zero for the root.

    The confidence of a bone is the smaller one of its two joints, so that a bone is unseen if either joint
    is. (The released codes subtract or average the confidences.)
    """
    return _difference(clip, clip[..., list(parents)])


def motion(clip: Floats) -> Floats:
    """For each frame the displacement to the next one: ``m_t = x_{t+1} - x_t``; zero for the last frame.

    Confidences are computed as for :func:`bones`. A replayed clip jumps where it restarts, as in the released
    codes.
    """
    return _difference(np.concatenate([clip[..., 1:, :], clip[..., -1:, :]], axis=-2), clip)


def _difference(end: Floats, start: Floats) -> Floats:
    """``end - start``; zero in all channels where either is unseen."""
    confidence = np.minimum(end[..., -1:, :, :], start[..., -1:, :, :])
    vector = (end - start)[..., :-1, :, :]
    return np.concatenate([np.where(confidence > 0, vector, np.float32(0)), confidence], axis=-3)
