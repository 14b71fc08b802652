"""Statistics of test accuracies: confidence intervals, the chance level and paired differences."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, binomtest, norm

_TWO_SIDED_95: Final = float(norm.ppf(0.975))


class Interval(NamedTuple):
    """An estimate with its 95 % confidence interval."""

    estimate: float
    low: float
    high: float


def accuracy_interval(correct: int, clips: int) -> Interval:
    """Accuracy in percent with Wilson's interval (Wilson 1927), for one or more independent clips."""
    assert clips > 0
    share = binomtest(correct, clips).proportion_ci(0.95, "wilson")
    return Interval(100 * correct / clips, 100 * share.low, 100 * share.high)


def chance_level(labels: Sequence[int]) -> float:
    """Accuracy in percent of a constant prediction of the most frequent class of the test clips."""
    assert len(labels) > 0
    return 100 * float(np.bincount(labels).max()) / len(labels)


def is_beyond_chance(correct: int, labels: Sequence[int]) -> bool:
    """Whether the accuracy is above the chance level with p < 0.05 (one-sided exact binomial test)."""
    test = binomtest(correct, len(labels), chance_level(labels) / 100, alternative="greater")
    return bool(test.pvalue < 0.05)


def difference_interval(lead: NDArray[np.integer | np.floating]) -> Interval:
    """The difference of two methods' accuracies on the same clips, in percentage points.

    The interval is Wald's for paired proportions with Agresti and Min's correction ("Simple improved
    confidence intervals for comparing matched proportions", Statistics in Medicine 2005): half a clip is
    added to each of the four cells (both correct, one method correct, the other, none).

    Args:
        lead: ``(clip,)``, for each test clip 1, 0 or -1, or with several seeds the mean of these.
    """
    assert len(lead) > 0
    clips = len(lead) + 2
    mean = float(lead.sum()) / clips
    variance = (float(np.square(lead).sum()) + 1) / clips - mean**2
    half_width = _TWO_SIDED_95 * math.sqrt(variance / clips)
    low, high = max(-1.0, mean - half_width), min(1.0, mean + half_width)
    return Interval(100 * float(lead.mean()), 100 * low, 100 * high)


def lead_by_clip(one: Sequence[Mapping[str, bool]], other: Sequence[Mapping[str, bool]]) -> NDArray[np.int64]:
    """For each test clip the number of seeds with a correct prediction by one minus those by the other.

    If the seed determines the split, seeds have different test clips; a clip counts only in its seeds.

    Args:
        one, other: for each of the same seeds, in the same order, whether each clip's prediction is correct.

    Returns:
        ``(clip,)``.
    """
    lead: defaultdict[str, int] = defaultdict(int)
    for a, b in zip(one, other, strict=True):
        for clip in a.keys() & b.keys():
            lead[clip] += a[clip] - b[clip]
    return np.array([lead[clip] for clip in sorted(lead)], np.int64)


def paired_p_value(lead: NDArray[np.int64]) -> float:
    """Two-sided p of the hypothesis that two methods are equally accurate.

    Under this hypothesis each clip's lead d_c has either sign with probability 1/2, and p is the exact
    probability of |Σ ± d_c| >= |Σ d_c|, from the distribution of S = Σ B_c |d_c| with fair coins B_c. With
    one seed this is McNemar's exact test (McNemar 1947; recommended for classifiers by Dietterich 1998). With
    several it is a paired permutation test (Good, "Permutation, Parametric and Bootstrap Tests of
    Hypotheses", 2005) whose pairs are clips, as predictions for one clip are not independent. The sample are
    the clips; p does not cover the variation between seeds, which the spread shows.

    Args:
        lead: ``(clip,)``, see :func:`lead_by_clip`.
    """
    sizes, counts = np.unique(np.abs(lead[lead != 0]), return_counts=True)
    probability = np.ones(1)  # of S = 0, 1, 2...
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        of_size = np.zeros(size * count + 1)
        of_size[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        probability = np.convolve(probability, of_size)
    total = int(np.abs(lead).sum())
    as_large = np.abs(2 * np.arange(total + 1) - total) >= abs(int(lead.sum()))
    return min(1.0, float(probability[as_large].sum()))
