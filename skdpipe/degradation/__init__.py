"""Degradations: functions that turn a high-quality pose sequence into a lower-quality one.

Each is pure and returns a new sequence; random numbers come from a generator that is passed in.
"""

from skdpipe.degradation.degrade import degrade, generator_for
from skdpipe.degradation.fit_noise import fit_noise, fit_noise_of_cache, save_noise
from skdpipe.degradation.frames import drop_block, drop_random_frames, sample_frames
from skdpipe.degradation.joints import jitter, limbs, occlude, occlude_limbs
from skdpipe.degradation.pose_errors import simulate_pose_errors
from skdpipe.degradation.random_processes import bursts

__all__ = [
    "bursts",
    "degrade",
    "drop_block",
    "drop_random_frames",
    "fit_noise",
    "fit_noise_of_cache",
    "generator_for",
    "jitter",
    "limbs",
    "occlude",
    "occlude_limbs",
    "sample_frames",
    "save_noise",
    "simulate_pose_errors",
]
