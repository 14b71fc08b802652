"""How low quality comes about: functions that take a good pose sequence and give a worse one.

Each is pure; chance comes in as a Generator, which `generator_for` derives from the run's seed and
the video, so that a video is always spoilt in the same way, whatever the order of work.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from skdpipe.errors import DataError
from skdpipe.skeleton import PoseSequence


def generator_for(seed: int, key: str) -> np.random.Generator:
    """The random numbers of one video: the same for the same seed and key, independent otherwise."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def sample_frames(sequence: PoseSequence, every: int) -> PoseSequence:
    """Keep the first row and every so many-th after it (the paper's k = 1/every).

    Which frames of the video are left stands in frame_index; fps stays the video's own. Sampling by 2
    and then by 5 is sampling by 10.

    Raises:
        DataError: if every is less than 1.
    """
    if every < 1:
        raise DataError(f"sampling every {every} frames; expected 1 (all) or more")
    return replace(sequence, keypoints=sequence.keypoints[::every], frame_index=sequence.frame_index[::every])


def occlude(sequence: PoseSequence, probability: float, rng: np.random.Generator) -> PoseSequence:
    """Make each joint of each person in each frame unseen (NaN, NaN, 0), independently of the others.

    With the same random numbers a higher probability hides all that a lower one hides.

    Raises:
        DataError: if the probability is not in [0, 1].
    """
    if not 0 <= probability <= 1:
        raise DataError(f"occlusion probability {probability}; expected a number from 0 to 1")
    hidden = rng.random(sequence.keypoints.shape[:3]) < probability
    unseen = np.array([np.nan, np.nan, 0], np.float32)
    return sequence.with_keypoints(np.where(hidden[..., None], unseen, sequence.keypoints))
