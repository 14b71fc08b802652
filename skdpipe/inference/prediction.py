"""The result of labelling a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Prediction:
    """The predicted labels of one clip.

    Attributes:
        source: the video.
        probabilities: class names with their probabilities, most probable first; empty if nobody was
            detected.
        people: number of people in the network's input.
        frames: number of frames on which the estimator ran.
    """

    source: str
    probabilities: tuple[tuple[str, float], ...]
    people: int
    frames: int

    @property
    def label(self) -> str | None:
        """The most probable class, None if nobody was detected."""
        return self.probabilities[0][0] if self.probabilities else None


def rank_classes(logits: NDArray[np.float32], classes: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """Class names with their softmax probabilities, most probable first, from logits ``(class,)``."""
    shifted = np.exp(logits.astype(np.float64) - logits.max())
    probability = shifted / shifted.sum()
    order = np.argsort(-probability, kind="stable")
    return tuple((classes[index], float(probability[index])) for index in order)
