"""Degradations of single joints: occlusion, occlusion of limbs, jitter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skdpipe.degradation.random_processes import bursts
from skdpipe.errors import DataError
from skdpipe.skeleton import Layout, PoseSequence, hide
from skdpipe.skeleton.people import body_size


def occlude(sequence: PoseSequence, probability: float, rng: np.random.Generator) -> PoseSequence:
    """Make each joint of each person in each frame unseen, independently of the others.

    With the same random numbers, a higher probability hides all joints that a lower one hides.

    Raises:
        DataError: if the probability is not in [0, 1].
    """
    _require_probability(probability, "occlusion probability")
    return hide_joints(sequence, rng.random(sequence.keypoints.shape[:3]) < probability)


def occlude_limbs(
    sequence: PoseSequence, probability: float, frames: int, rng: np.random.Generator
) -> PoseSequence:
    """Make whole arms (elbow and below) and legs (knee and below) unseen, each limb independently.

    Args:
        sequence: the high-quality sequence.
        probability: share of the time in which a limb is hidden.
        frames: mean number of video frames for which it stays hidden; 0: hidden in all frames or in none.
        rng: the random generator.

    Raises:
        DataError: if the probability is not in [0, 1].
    """
    _require_probability(probability, "probability that a limb is hidden")
    hidden = np.zeros(sequence.keypoints.shape[:3], bool)
    for joints in limbs(sequence.layout):
        in_burst = bursts(probability, frames or np.inf, (sequence.video_frames, sequence.people), rng)
        hidden[:, :, joints] = in_burst[sequence.frame_index][..., None]
    return hide_joints(sequence, hidden)


def limbs(layout: Layout) -> list[list[int]]:
    """Indices of the joints of each arm from the elbow down and of each leg from the knee down."""
    parts = (("elbow", "wrist", "hand", "hand_tip", "thumb"), ("knee", "ankle", "foot"))
    found = [
        [layout.index(f"{side}_{joint}") for joint in part if f"{side}_{joint}" in layout.joints]
        for side in ("left", "right")
        for part in parts
    ]
    return [joints for joints in found if joints]


def jitter(sequence: PoseSequence, share_of_body: float, rng: np.random.Generator) -> PoseSequence:
    """Add normal noise to every seen joint in every frame, independently along each axis.

    Args:
        sequence: the high-quality sequence.
        share_of_body: standard deviation as a share of the person's `body_size`.
        rng: the random generator.

    Raises:
        DataError: if the share is negative.
    """
    if share_of_body < 0:
        raise DataError(f"jitter of {share_of_body}; expected 0 or more")
    return shift_joints(sequence, share_of_body * rng.standard_normal(sequence.keypoints[..., :-1].shape))


def hide_joints(sequence: PoseSequence, hidden: NDArray[np.bool_]) -> PoseSequence:
    """Make the joints unseen where ``hidden (frame, person, joint)`` is True."""
    return sequence.with_keypoints(hide(sequence.keypoints, hidden))


def shift_joints(sequence: PoseSequence, offset: NDArray[np.float64]) -> PoseSequence:
    """Move joints by ``offset (frame, person, joint, coordinate)``, in multiples of the `body_size`."""
    pixels = offset * body_size(sequence.keypoints)[:, None, None]
    keypoints = sequence.keypoints.copy()
    keypoints[..., :-1] += pixels.astype(np.float32)
    return sequence.with_keypoints(keypoints)


def _require_probability(value: float, what: str) -> None:
    if not 0 <= value <= 1:
        raise DataError(f"{what} {value}; expected a number from 0 to 1")
