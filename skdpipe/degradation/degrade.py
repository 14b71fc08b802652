"""How low quality comes about: functions that take a good pose sequence and give a worse one.

Each is pure; chance comes in as a Generator, which `generator_for` derives from the run's seed and
the video, so that a video is always spoilt in the same way, whatever the order of work.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from skdpipe.config import Degradation, EstimatorNoise
from skdpipe.errors import DataError
from skdpipe.skeleton import Layout, PoseSequence
from skdpipe.skeleton.people import body_size

_UNSEEN = np.array([np.nan, np.nan, 0], np.float32)


def generator_for(seed: int, key: str) -> np.random.Generator:
    """The random numbers of one video: the same for the same seed and key, independent otherwise."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def degrade(sequence: PoseSequence, settings: Degradation, seed: int, draw: int = 0) -> PoseSequence:
    """Low quality from high; the same for the same seed, video and draw.

    First the estimator errs, then frames are lost, then limbs and joints are hidden in those that are left.
    Each has random numbers of its own, so that one setting changes nothing about the others.

    Raises:
        DataError: if the noise names a joint that the layout does not have.
    """

    def rng(use: str) -> np.random.Generator:
        return generator_for(seed, f"{sequence.origin.key}:{use}:{draw}")

    spoilt = sequence
    if settings.noise is not None:
        spoilt = simulate_pose_errors(spoilt, settings.noise, rng("noise"))
    spoilt = sample_frames(spoilt, settings.every)
    spoilt = drop_random_frames(spoilt, settings.random_loss, rng("random loss"))
    spoilt = drop_block(spoilt, settings.block_loss, rng("block loss"))
    spoilt = occlude_limbs(spoilt, settings.limbs, settings.limb_frames, rng("limbs"))
    return occlude(spoilt, settings.occlusion, rng("occlusion"))


# Frames ----------------------------------------------------------------------------------------


def sample_frames(sequence: PoseSequence, every: int) -> PoseSequence:
    """Keep the first row and every so many-th after it (the paper's k = 1/every).

    Which frames of the video are left stands in frame_index; fps stays the video's own. Sampling by 2
    and then by 5 is sampling by 10.

    Raises:
        DataError: if every is less than 1.
    """
    if every < 1:
        raise DataError(f"sampling every {every} frames; expected 1 (all) or more")
    return _rows(sequence, np.arange(0, len(sequence.frame_index), every))


def drop_random_frames(sequence: PoseSequence, share: float, rng: np.random.Generator) -> PoseSequence:
    """Leave out a share of the rows, drawn without replacement; one row at least is left.

    Raises:
        DataError: if the share is not in [0, 1].
    """
    kept = _rows_left(sequence, share)
    return _rows(sequence, np.sort(rng.permutation(len(sequence.frame_index))[:kept]))


def drop_block(sequence: PoseSequence, share: float, rng: np.random.Generator) -> PoseSequence:
    """Leave out a share of the rows, all in one block that lies anywhere; one row at least is left.

    Raises:
        DataError: if the share is not in [0, 1].
    """
    kept = _rows_left(sequence, share)
    rows = np.arange(len(sequence.frame_index))
    start = int(rng.integers(kept + 1))
    return _rows(sequence, np.delete(rows, slice(start, start + len(rows) - kept)))


def _rows_left(sequence: PoseSequence, share: float) -> int:
    _require_share(share, "share of lost frames")
    rows = len(sequence.frame_index)
    return min(rows, max(1, round((1 - share) * rows)))


def _rows(sequence: PoseSequence, rows: NDArray[np.intp]) -> PoseSequence:
    return replace(sequence, keypoints=sequence.keypoints[rows], frame_index=sequence.frame_index[rows])


# Joints ----------------------------------------------------------------------------------------


def occlude(sequence: PoseSequence, probability: float, rng: np.random.Generator) -> PoseSequence:
    """Make each joint of each person in each frame unseen (NaN, NaN, 0), independently of the others.

    With the same random numbers a higher probability hides all that a lower one hides.

    Raises:
        DataError: if the probability is not in [0, 1].
    """
    _require_share(probability, "occlusion probability")
    return _hide(sequence, rng.random(sequence.keypoints.shape[:3]) < probability)


def occlude_limbs(
    sequence: PoseSequence, probability: float, frames: int, rng: np.random.Generator
) -> PoseSequence:
    """Make whole arms (elbow and below) and legs (knee and below) unseen, each limb of each person by itself.

    Args:
        sequence: the good one.
        probability: share of the time that a limb is hidden.
        frames: how many frames of the video it stays hidden, on average; 0: all of them or none.
        rng: the randomness.

    Raises:
        DataError: if the probability is not in [0, 1].
    """
    _require_share(probability, "probability that a limb is hidden")
    hidden = np.zeros(sequence.keypoints.shape[:3], bool)
    for joints in limbs(sequence.layout):
        gone = bursts(probability, frames or np.inf, (sequence.video_frames, sequence.people), rng)
        hidden[:, :, joints] = gone[sequence.frame_index][..., None]
    return _hide(sequence, hidden)


def limbs(layout: Layout) -> list[list[int]]:
    """The joints of each arm from the elbow and of each leg from the knee down, by their names."""
    parts = (("elbow", "wrist", "hand", "hand_tip", "thumb"), ("knee", "ankle", "foot"))
    found = [
        [layout.index(f"{side}_{joint}") for joint in part if f"{side}_{joint}" in layout.joints]
        for side in ("left", "right")
        for part in parts
    ]
    return [joints for joints in found if joints]


def _hide(sequence: PoseSequence, hidden: NDArray[np.bool_]) -> PoseSequence:
    return sequence.with_keypoints(np.where(hidden[..., None], _UNSEEN, sequence.keypoints))


def _require_share(value: float, what: str) -> None:
    if not 0 <= value <= 1:
        raise DataError(f"{what} {value}; expected a number from 0 to 1")


# An estimator's errors -------------------------------------------------------------------------


def jitter(sequence: PoseSequence, share_of_body: float, rng: np.random.Generator) -> PoseSequence:
    """Move every seen joint in every frame by normal noise, independent along x and y.

    Args:
        sequence: the good one.
        share_of_body: the standard deviation as a share of the person's `body_size`.
        rng: the randomness.

    Raises:
        DataError: if the share is negative.
    """
    if share_of_body < 0:
        raise DataError(f"jitter of {share_of_body}; expected 0 or more")
    return _shift(sequence, share_of_body * rng.standard_normal((*sequence.keypoints.shape[:3], 2)))


def simulate_pose_errors(
    sequence: PoseSequence, noise: EstimatorNoise, rng: np.random.Generator
) -> PoseSequence:
    """See the people of a sequence as a poor estimator would.

    In this order: left and right are exchanged in some frames, joints jitter, some are far off, some are
    missed, in some frames the whole person is; what is left gets a confidence. Errors last for a while, as
    an estimator's do: see `bursts`.

    Raises:
        DataError: if the noise names a joint that the layout does not have.
    """
    _require_joints(noise, sequence.layout)
    at, people, joints = sequence.frame_index, sequence.people, sequence.layout.joints
    over_time = (sequence.video_frames, people, len(joints))

    swapped = bursts(noise.swaps, noise.swap_frames, over_time[:2], rng)[at]
    mirrored = sequence.keypoints[:, :, list(sequence.layout.mirror)]
    spoilt = sequence.with_keypoints(np.where(swapped[..., None, None], mirrored, sequence.keypoints))

    jitters = np.array([noise.jitter.get(joint, noise.jitter_default) for joint in joints])
    offset = jitters[:, None] * _wandering(noise.jitter_frames, (*over_time, 2), rng)
    far = bursts(noise.outliers, noise.outlier_frames, over_time, rng)
    leap = noise.outlier_size * _wandering(noise.outlier_frames, (*over_time, 2), rng)
    spoilt = _shift(spoilt, np.where(far[..., None], leap, offset)[at])

    wrong = far[at] | swapped[..., None]
    confidence = _confidences(
        np.where(wrong, noise.confidence_wrong, noise.confidence), noise.confidence_spread, rng
    )
    keypoints = np.where(spoilt.seen[..., None], spoilt.keypoints, _UNSEEN)
    keypoints[..., 2] = np.where(spoilt.seen, confidence, 0)

    misses = np.array([noise.misses.get(joint, noise.misses_default) for joint in joints])
    missed = bursts(misses, noise.miss_frames, over_time, rng)[at]
    lost = bursts(noise.lost, noise.lost_frames, over_time[:2], rng)[at]
    return _hide(spoilt.with_keypoints(keypoints), missed | lost[..., None])


def _require_joints(noise: EstimatorNoise, layout: Layout) -> None:
    unknown = sorted((noise.jitter.keys() | noise.misses.keys()) - set(layout.joints))
    if unknown:
        raise DataError(
            f"the noise names {', '.join(unknown)}, which layout {layout.name} does not have; fit it to "
            f"skeletons of that layout, or name joints of {', '.join(layout.joints)}"
        )


def bursts(
    share: float | NDArray[np.float64], frames: float, shape: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """When something is the case that comes and goes: a Markov chain of two states along the first axis.

    Args:
        share: of the time that it is the case, in [0, 1]; for all alike, or along the last axis.
        frames: how long it lasts on average, 1 or more; longer where the share could not be reached else.
        shape: ``(frame, ...)``.
        rng: the randomness.

    Returns:
        Of that shape, true where it is the case.
    """
    share = np.broadcast_to(np.asarray(share, np.float64), shape[1:])
    odds = share / np.maximum(1 - share, 1e-12)
    ends = 1 / np.maximum(np.maximum(frames, odds), 1)
    begins = np.where(share < 1, odds * ends, 1)
    ends = np.where(share < 1, ends, 0)
    drawn = rng.random(shape)
    state = np.zeros(shape, bool)
    state[:1] = drawn[:1] < share
    for frame in range(1, shape[0]):
        state[frame] = np.where(state[frame - 1], drawn[frame] >= ends, drawn[frame] < begins)
    return state


def _wandering(frames: float, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Standard normal noise, correlated over about so many frames along the first axis (an AR(1) process)."""
    memory = 1 - 1 / max(frames, 1)
    noise = rng.standard_normal(shape)
    noise[1:] *= np.sqrt(1 - memory**2)
    wandered: NDArray[np.float64] = lfilter([1.0], [1.0, -memory], noise, axis=0)
    return wandered


def _confidences(mean: NDArray[np.float64], spread: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Beta-distributed numbers with these means and, as far as it can be, this standard deviation."""
    mean = np.clip(mean, 0.01, 0.99)
    evidence = np.maximum(mean * (1 - mean) / max(spread, 1e-3) ** 2 - 1, 0.1)
    drawn = rng.beta(mean * evidence, (1 - mean) * evidence)
    return np.clip(drawn, 1e-3, 1)  # 0 would say that the joint is unseen


def _shift(sequence: PoseSequence, offset: NDArray[np.float64]) -> PoseSequence:
    """Move joints by ``(frame, person, joint, 2)``, in multiples of their person's size."""
    pixels = offset * body_size(sequence.keypoints)[:, None, None]
    keypoints = sequence.keypoints.copy()
    keypoints[..., :2] += pixels.astype(np.float32)
    return sequence.with_keypoints(keypoints)
