"""How far the probabilities of a network can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skdpipe.distill.calibration import (
    ReliabilityBins,
    brier_score,
    calibration_error,
    negative_log_likelihood,
    reliability_bins,
)
from skdpipe.inference.prediction import probabilities_of

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Reliability:
    """The probabilities of one network for the test clips in which somebody was detected.

    Attributes:
        method: name of the network's method.
        temperature: divides the logits; None: they are used as they are.
        bins: accuracy by probability.
        probability: ``(clip,)`` of the most probable class.
        correct: ``(clip,)``, whether this is the true class.
        error: expected calibration error.
        loss: mean negative log likelihood of the true classes.
        brier: Brier score.
    """

    method: str
    temperature: float | None
    bins: ReliabilityBins
    probability: NDArray[np.float64]
    correct: NDArray[np.bool_]
    error: float
    loss: float
    brier: float

    @property
    def surplus(self) -> float:
        """Mean probability of the most probable class minus accuracy; above 0: too confident."""
        return float(self.probability.mean() - self.correct.mean())


def measure_reliability(
    method: str, logits: NDArray[np.float32], label: NDArray[np.int64], temperature: float | None
) -> Reliability:
    """Measure the probabilities of one network.

    Args:
        method: name of the network's method.
        logits: ``(clip, class)`` of at least one clip.
        label: ``(clip,)`` class indices.
        temperature: divides the logits, unless it is None.
    """
    probabilities = probabilities_of(logits, temperature)
    return Reliability(
        method,
        temperature,
        reliability_bins(probabilities, label),
        probabilities.max(axis=1),
        probabilities.argmax(axis=1) == label,
        calibration_error(probabilities, label),
        negative_log_likelihood(logits, label, temperature or 1.0),
        brier_score(probabilities, label),
    )


class Coverage(NamedTuple):
    """What a lowest probability of a label leaves.

    Attributes:
        threshold: the lowest probability.
        clips: how many get a label.
        labelled: their share.
        accuracy: share of these whose label is correct; NaN without any.
    """

    threshold: float
    clips: int
    labelled: float
    accuracy: float


def coverage(reliability: Reliability, clips: int, thresholds: Sequence[float]) -> list[Coverage]:
    """The coverage at each threshold, of ``clips`` clips; those without a person get no label."""
    kept = [reliability.correct[reliability.probability >= threshold] for threshold in thresholds]
    return [
        Coverage(
            threshold, len(correct), len(correct) / clips, float(correct.mean()) if len(correct) else np.nan
        )
        for threshold, correct in zip(thresholds, kept, strict=True)
    ]


def coverage_curve(reliability: Reliability, clips: int) -> tuple[Floats, Floats]:
    """Share of labelled clips and their accuracy for every threshold, the highest threshold first."""
    order = np.argsort(-reliability.probability, kind="stable")
    probability, labelled = reliability.probability[order], np.arange(1, len(order) + 1)
    accuracy = np.cumsum(reliability.correct[order]) / labelled
    last = np.append(np.diff(probability) != 0, True)  # clips of equal probability have the same fate
    return labelled[last] / clips, accuracy[last]
