"""Random processes along time: events in bursts, and autoregressive noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bursts(
    share: float | NDArray[np.float64], frames: float, shape: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Events that last for several frames: a two-state Markov chain along the first axis.

    Args:
        share: stationary share of the time inside a burst, in [0, 1]; one number, or one for each index of
            the last axis.
        frames: mean length of a burst, 1 or more; it is longer if the share cannot be reached otherwise.
        shape: ``(frame, ...)``.
        rng: the random generator.

    Returns:
        Array of that shape, True inside a burst.
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


def autoregressive_noise(
    frames: float, shape: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Standard normal noise that is correlated along the first axis: an AR(1) process.

    x_t = φ x_{t-1} + sqrt(1 - φ²) ε_t, φ = 1 - 1 / frames.

    Args:
        frames: correlation time in frames; 1 or less: independent noise.
        shape: ``(frame, ...)``.
        rng: the random generator.

    Returns:
        Array of that shape.
    """
    memory = 1 - 1 / max(frames, 1)
    correlated = rng.standard_normal(shape)
    correlated[1:] *= np.sqrt(1 - memory**2)
    for frame in range(1, len(correlated)):
        correlated[frame] += memory * correlated[frame - 1]
    return correlated
