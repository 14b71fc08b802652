"""What a number of test clips can tell: intervals, chance, and differences between methods on the same
clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

_TWO_SIDED_95: Final = float(norm.ppf(0.975))


class Interval(NamedTuple):
    """An estimate with its 95 % confidence interval."""

    estimate: float
    low: float
    high: float


def accuracy_interval(correct: int, clips: int) -> Interval:
    """Accuracy in percent with Wilson's interval (Wilson 1927), for independent clips."""
    share = binomtest(correct, clips).proportion_ci(0.95, "wilson")
    return Interval(100 * correct / clips, 100 * share.low, 100 * share.high)


def chance_level(labels: Sequence[int]) -> float:
    """Accuracy in percent of always answering the most frequent class of the test clips."""
    return 100 * float(np.bincount(labels).max()) / len(labels)


def is_beyond_chance(correct: int, labels: Sequence[int]) -> bool:
    """Whether so many correct clips are unlikely (p < 0.05, exact binomial test) at the chance level."""
    test = binomtest(correct, len(labels), chance_level(labels) / 100, alternative="greater")
    return bool(test.pvalue < 0.05)


def difference_interval(lead: NDArray[np.float64]) -> Interval:
    """The difference of two methods' accuracies on the same clips, in points.

    The interval is Wald's for paired proportions with Agresti and Min's correction ("Simple improved
    confidence intervals for comparing matched proportions", Statistics in Medicine 2005): two clips are
    added, of which the methods win half a clip each.

    Args:
        lead: ``(clip,)``, for each test clip 1, 0 or -1, or with several seeds the mean of these.
    """
    clips = len(lead) + 2
    mean = float(lead.sum()) / clips
    variance = (float(np.square(lead).sum()) + 1) / clips - mean**2
    reach = _TWO_SIDED_95 * math.sqrt(variance / clips)
    return Interval(100 * float(lead.mean()), 100 * (mean - reach), 100 * (mean + reach))
