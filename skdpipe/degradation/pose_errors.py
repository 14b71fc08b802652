"""Simulation of the errors of a low-cost pose estimator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skdpipe.config import EstimatorNoise
from skdpipe.degradation.joints import hide_joints, shift_joints
from skdpipe.degradation.random_processes import autoregressive_noise, bursts
from skdpipe.errors import DataError
from skdpipe.skeleton import Layout, PoseSequence, hide


def simulate_pose_errors(
    sequence: PoseSequence, noise: EstimatorNoise, rng: np.random.Generator
) -> PoseSequence:
    """Replace the keypoints by those that a low-cost estimator would find.

    In this order: left and right are exchanged in some frames, joints are moved by jitter or, as outliers, by
    more, confidences are drawn, and joints or whole people are missed. All errors last for several frames;
    see `bursts`.

    Args:
        sequence: the high-quality sequence, keypoints ``(frame, person, joint, channel)``.
        noise: shares, sizes (as shares of the `body_size`) and mean lengths in frames of the errors.
        rng: the random generator.

    Returns:
        A sequence of the same frames; missed joints are unseen.

    Raises:
        DataError: if the noise contains a joint that the layout does not have.
    """
    _require_joints(noise, sequence.layout)
    rows, people, joints = sequence.frame_index, sequence.people, sequence.layout.joints
    of_joints = (sequence.video_frames, people, len(joints))
    of_offsets = (*of_joints, sequence.keypoints.shape[-1] - 1)

    swapped = bursts(noise.swaps, noise.swap_frames, of_joints[:2], rng)[rows]
    mirrored = sequence.keypoints[:, :, list(sequence.layout.mirror)]
    degraded = sequence.with_keypoints(np.where(swapped[..., None, None], mirrored, sequence.keypoints))

    sizes = np.array([noise.jitter.get(joint, noise.jitter_default) for joint in joints])
    offset = sizes[:, None] * autoregressive_noise(noise.jitter_frames, of_offsets, rng)
    outlier = bursts(noise.outliers, noise.outlier_frames, of_joints, rng)
    outlier_offset = noise.outlier_size * autoregressive_noise(noise.outlier_frames, of_offsets, rng)
    degraded = shift_joints(degraded, np.where(outlier[..., None], outlier_offset, offset)[rows])

    wrong = outlier[rows] | swapped[..., None]
    confidence = _draw_confidences(
        np.where(wrong, noise.confidence_wrong, noise.confidence), noise.confidence_spread, rng
    )
    keypoints = hide(degraded.keypoints, ~degraded.seen)
    keypoints[..., -1] = np.where(degraded.seen, confidence, 0)

    shares = np.array([noise.misses.get(joint, noise.misses_default) for joint in joints])
    missed = bursts(shares, noise.miss_frames, of_joints, rng)[rows]
    lost = bursts(noise.lost, noise.lost_frames, of_joints[:2], rng)[rows]
    return hide_joints(degraded.with_keypoints(keypoints), missed | lost[..., None])


def _require_joints(noise: EstimatorNoise, layout: Layout) -> None:
    unknown = sorted((noise.jitter.keys() | noise.misses.keys()) - set(layout.joints))
    if unknown:
        raise DataError(
            f"the noise contains {', '.join(unknown)}, which layout {layout.name} does not have; fit it to "
            f"skeletons of that layout, or use joints of {', '.join(layout.joints)}"
        )


def _draw_confidences(
    mean: NDArray[np.float64], spread: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Beta-distributed numbers with these means and, as far as possible, this standard deviation."""
    mean = np.clip(mean, 0.01, 0.99)
    evidence = np.maximum(mean * (1 - mean) / max(spread, 1e-3) ** 2 - 1, 0.1)
    drawn = rng.beta(mean * evidence, (1 - mean) * evidence)
    return np.clip(drawn, 1e-3, 1)  # a confidence of 0 would mean unseen
