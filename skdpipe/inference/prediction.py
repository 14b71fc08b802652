"""The result of labelling a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skdpipe.inference.timeline import Reason


@dataclass(frozen=True)
class Prediction:
    """The predicted labels of one clip.

    Attributes:
        source: the video.
        probabilities: class names with their probabilities, most probable first; empty if nobody was
            detected.
        people: number of people in the network's input.
        frames: number of frames on which the estimator ran.
        reason: why there is no label; None with a label.
    """

    source: str
    probabilities: tuple[tuple[str, float], ...]
    people: int
    frames: int
    reason: Reason | None = None

    @property
    def label(self) -> str | None:
        """The most probable class; None if nobody was detected, or no class is probable enough."""
        return self.probabilities[0][0] if self.reason is None else None


def probabilities_of(logits: NDArray[np.float32], temperature: float | None) -> NDArray[np.float64]:
    """Softmax probabilities of logits ``(..., class)``, which a calibrating temperature divides."""
    scaled = logits.astype(np.float64) / (temperature or 1.0)
    shifted = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float64] = shifted / shifted.sum(axis=-1, keepdims=True)
    return probabilities


def rank_classes(
    logits: NDArray[np.float32], classes: Sequence[str], temperature: float | None = None
) -> tuple[tuple[str, float], ...]:
    """Class names with their probabilities, most probable first, from logits ``(class,)``."""
    probability = probabilities_of(logits, temperature)
    order = np.argsort(-probability, kind="stable")
    return tuple((classes[index], float(probability[index])) for index in order)
