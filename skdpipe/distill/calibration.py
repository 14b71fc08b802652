"""Calibrated probabilities: the temperature of the softmax, fitted on held-out training clips.

The temperature minimises the negative log likelihood of the labels (Guo et al., "On Calibration of Modern
Neural Networks", ICML 2017). It does not change which class is most probable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.inference.metadata import HIGHEST, LOWEST
from skdpipe.inference.prediction import probabilities_of
from skdpipe.training_record import Calibration as Calibration
from skdpipe.training_record import Fit as Fit

Floats = NDArray[np.float64]
Logits = NDArray[np.float32]
Labels = NDArray[np.int64]

FEWEST_CLIPS: Final = 30
_BINS: Final = 15


def calibrate(logits: Logits, label: Labels) -> Calibration:
    """The calibration by held-out clips; arguments as for `fit_temperature`.

    Too few clips have no temperature, and clips that are all labelled correctly would have the lowest: any
    probability but 1 would be too low for them.
    """
    clips = len(label)
    if clips < FEWEST_CLIPS:
        return Calibration(clips, reason=f"somebody is seen in {clips} held-out training clips")
    if (logits.argmax(axis=1) == label).all():
        return Calibration(clips, reason=f"all {clips} held-out training clips are labelled correctly")
    return Calibration(clips, fit_temperature(logits, label))


def fit_temperature(logits: Logits, label: Labels) -> Fit:
    """Fit a temperature; the likelihood of the labels is at least that without one.

    Args:
        logits: ``(clip, class)`` of clips that the network was not trained on.
        label: ``(clip,)`` class indices.
    """
    from scipy.optimize import minimize_scalar  # its import takes a second

    # The loss is convex in 1 / T, so it has one minimum in log T as well.
    found = minimize_scalar(
        lambda log: negative_log_likelihood(logits, label, float(np.exp(log))),
        bounds=(np.log(LOWEST), np.log(HIGHEST)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    temperature = float(np.clip(np.exp(found.x), LOWEST, HIGHEST))
    before = negative_log_likelihood(logits, label, 1.0)
    after = negative_log_likelihood(logits, label, temperature)
    if after > before:
        temperature, after = 1.0, before
    return Fit(
        temperature,
        calibration_error(probabilities_of(logits, None), label),
        calibration_error(probabilities_of(logits, temperature), label),
        before,
        after,
    )


def negative_log_likelihood(logits: Logits, label: Labels, temperature: float) -> float:
    """Mean of ``-log softmax(L / T)[label]``; arguments as for `fit_temperature`."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    of_label = np.take_along_axis(scaled, label[:, None], axis=1)[:, 0]
    return max(0.0, float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - of_label)))


@dataclass(frozen=True)
class ReliabilityBins:
    """Clips in 15 bins of equal width of their confidence, the probability of the most probable class.

    Attributes:
        clips: ``(bin,)``, their number.
        accuracy, confidence: ``(bin,)``, means of the clips of a bin; NaN for a bin without clips.
    """

    clips: NDArray[np.intp]
    accuracy: Floats
    confidence: Floats


def reliability_bins(probabilities: Floats, label: Labels) -> ReliabilityBins:
    """How often the most probable class is right, by its probability.

    Args:
        probabilities: ``(clip, class)``.
        label: ``(clip,)`` class indices.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == label
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    clips = np.bincount(bins, minlength=_BINS)
    with np.errstate(invalid="ignore"):
        return ReliabilityBins(
            clips, np.bincount(bins, correct, _BINS) / clips, np.bincount(bins, confidence, _BINS) / clips
        )


def calibration_error(probabilities: Floats, label: Labels) -> float:
    """Expected calibration error: ``Σ_b n_b/n |accuracy_b - confidence_b|`` over the `reliability_bins`.

    Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015.

    Args:
        probabilities: ``(clip, class)``.
        label: ``(clip,)`` class indices.
    """
    bins = reliability_bins(probabilities, label)
    return float(np.nansum(bins.clips * np.abs(bins.accuracy - bins.confidence)) / len(label))


def brier_score(probabilities: Floats, label: Labels) -> float:
    """Mean over clips of ``Σ_c (p_c - y_c)²``, where ``y`` is 1 for the true class and 0 otherwise.

    It is 0 for certain and correct predictions, 2 for certain and wrong ones. Brier, "Verification of
    Forecasts Expressed in Terms of Probability", Monthly Weather Review 78, 1950.

    Args:
        probabilities: ``(clip, class)``.
        label: ``(clip,)`` class indices.
    """
    of_label = np.take_along_axis(probabilities, label[:, None], axis=1)[:, 0]
    return float(np.mean((probabilities**2).sum(axis=1) - 2 * of_label + 1))
