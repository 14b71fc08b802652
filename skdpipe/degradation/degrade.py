"""Low quality derived from high quality: all degradations of a setting, applied in order.

The random numbers of a clip depend on the seed and the clip's key only, so a clip is always degraded in the
same way, in any order of processing.
"""

from __future__ import annotations

import hashlib

import numpy as np

from skdpipe.config import Degradation
from skdpipe.degradation.frames import drop_block, drop_random_frames, sample_frames
from skdpipe.degradation.joints import occlude, occlude_limbs
from skdpipe.degradation.pose_errors import simulate_pose_errors
from skdpipe.skeleton import PoseSequence


def generator_for(seed: int, key: str) -> np.random.Generator:
    """A random generator for one clip: the same for the same seed and key, independent otherwise."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def degrade(sequence: PoseSequence, settings: Degradation, seed: int, draw: int = 0) -> PoseSequence:
    """Degrade a high-quality sequence: estimator errors first, then loss of frames, then occlusion.

    Each degradation has its own random generator, so changing one setting does not change the effect of the
    others.

    Args:
        sequence: keypoints ``(frame, person, joint, channel)``.
        settings: which degradations, and how strong.
        seed: of the random numbers.
        draw: number of the draw; other draws give other degradations of the same clip.

    Returns:
        A sequence with fewer frames and more unseen joints.

    Raises:
        DataError: if the noise contains a joint that the layout does not have.
    """

    def rng(use: str) -> np.random.Generator:
        return generator_for(seed, f"{sequence.origin.key}:{use}:{draw}")

    degraded = sequence
    if settings.noise is not None:
        degraded = simulate_pose_errors(degraded, settings.noise, rng("noise"))
    degraded = sample_frames(degraded, settings.every)
    degraded = drop_random_frames(degraded, settings.random_loss, rng("random loss"))
    degraded = drop_block(degraded, settings.block_loss, rng("block loss"))
    degraded = occlude_limbs(degraded, settings.limbs, settings.limb_frames, rng("limbs"))
    return occlude(degraded, settings.occlusion, rng("occlusion"))
