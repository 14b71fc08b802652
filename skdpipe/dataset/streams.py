"""What a network is shown of a skeleton: its joints, its bones, or how either moves.

Shi, Zhang, Cheng, Lu, "Two-Stream Adaptive Graph Convolutional Networks for Skeleton-Based Action
Recognition", CVPR 2019 (bones), and their "Skeleton-Based Action Recognition With Multi-Stream Adaptive Graph
Convolutional Networks", IEEE TIP 29 (2020) (motion); MS-G3D (Liu et al., CVPR 2020) has joints and bones too.

Clips are ``(..., channel, frame, joint)``; the last channel is the confidence, those before it are
coordinates, and an unseen joint is zero in all of them. A stream comes after augmentation, which so sees
joints always: a cropped clip is moved by its own frames, a dropped joint takes its bones along.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from skdpipe.config import Stream


def in_stream(clip: Tensor, stream: Stream, parents: Sequence[int]) -> Tensor:
    """A clip of joints as the stream shows it, of the same shape.

    Args:
        clip: ``(..., channel, frame, joint)``, joints.
        stream: which.
        parents: for each joint the one before it on the way from the root, as ``Layout.parents``.
    """
    if stream in ("bone", "bone_motion"):
        clip = bones(clip, parents)
    return motion(clip) if stream in ("joint_motion", "bone_motion") else clip


def bones(clip: Tensor, parents: Sequence[int]) -> Tensor:
    """For each joint the vector to it from its parent: ``b_v = x_v - x_parent(v)``; zero for the root.

    A bone is known as well as the end that is known less: its confidence is the smaller of both ends', so
    that it is unseen where either end is. (The released codes subtract or average the confidences.)
    """
    return _difference(clip, clip[..., list(parents)])


def motion(clip: Tensor) -> Tensor:
    """For each frame the way to the next: ``m_t = x_{t+1} - x_t``; zero for the last.

    Confidences as of :func:`bones`. A replayed clip jumps where it begins anew, as in the released codes.
    """
    return _difference(torch.cat([clip[..., 1:, :], clip[..., -1:, :]], dim=-2), clip)


def _difference(to: Tensor, start: Tensor) -> Tensor:
    """From ends that are both seen to vectors; zero in all channels where one is not."""
    confidence = torch.minimum(to[..., -1:, :, :], start[..., -1:, :, :])
    vector = (to - start)[..., :-1, :, :]
    return torch.cat([torch.where(confidence > 0, vector, 0), confidence], dim=-3)
