"""Statistics of test accuracies: confidence intervals, the chance level and paired differences."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_TWO_SIDED_95: Final = NormalDist().inv_cdf(0.975)


class Interval(NamedTuple):
    """An estimate with its 95 % confidence interval."""

    estimate: float
    low: float
    high: float

    def in_words(self, unit: str) -> str:
        """The estimate with its unit and the interval, as in ``3.1 points [1.2, 5.0]``."""
        return f"{self.estimate:.1f} {unit} [{self.low:.1f}, {self.high:.1f}]"


def accuracy_interval(correct: int, clips: int) -> Interval:
    """Accuracy in percent with Wilson's interval (Wilson 1927), for one or more independent clips."""
    assert 0 <= correct <= clips > 0
    share, weight = correct / clips, _TWO_SIDED_95**2 / clips
    centre = (share + weight / 2) / (1 + weight)
    half_width = math.sqrt(share * (1 - share) * weight + (weight / 2) ** 2) / (1 + weight)
    low = centre - half_width if correct else 0.0
    high = centre + half_width if correct < clips else 1.0
    return Interval(100 * share, 100 * low, 100 * high)


def chance_level(labels: Sequence[int]) -> float:
    """Accuracy in percent of a constant prediction of the most frequent class of the test clips."""
    assert len(labels) > 0
    return 100 * float(np.bincount(labels).max()) / len(labels)


def is_beyond_chance(correct: int, labels: Sequence[int]) -> bool:
    """Whether the number of correct clips is significantly above the chance level.

    One-sided exact binomial test with p < 0.05.
    """
    return binomial_p_value(correct, len(labels), chance_level(labels) / 100) < 0.05


def binomial_p_value(correct: int, clips: int, chance: float) -> float:
    """Probability of as many correct clips or more, if each is correct with the probability ``chance``."""
    from scipy.special import bdtrc  # scipy.stats takes seconds to import

    return float(bdtrc(correct - 1, clips, chance))


def lead_by_clip(one: Sequence[Mapping[str, bool]], other: Sequence[Mapping[str, bool]]) -> NDArray[np.int64]:
    """For each test clip the number of seeds in which one method is correct, minus those of the other.

    If the seed determines the split, seeds have different test clips; a clip counts only in its seeds.

    Args:
        one, other: for each seed, in the same order, whether the prediction for each clip is correct.

    Returns:
        ``(clip,)``, in the order of the clips' names.
    """
    leads = _leads(one, other)
    return np.array([sum(leads[clip]) for clip in sorted(leads)], np.int64)


def mean_lead_by_clip(
    one: Sequence[Mapping[str, bool]], other: Sequence[Mapping[str, bool]]
) -> NDArray[np.float64]:
    """As :func:`lead_by_clip`, divided by the number of seeds with the clip: from -1 to 1."""
    leads = _leads(one, other)
    return np.array([sum(leads[clip]) / len(leads[clip]) for clip in sorted(leads)], np.float64)


def _leads(
    one: Sequence[Mapping[str, bool]], other: Sequence[Mapping[str, bool]]
) -> Mapping[str, Sequence[int]]:
    """For each clip its lead of 1, 0 or -1 in each seed that has it."""
    leads: defaultdict[str, list[int]] = defaultdict(list)
    for a, b in zip(one, other, strict=True):
        for clip in a.keys() & b.keys():
            leads[clip].append(int(a[clip]) - int(b[clip]))
    return leads


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
    from scipy.stats import binom

    sizes, counts = np.unique(np.abs(lead[lead != 0]), return_counts=True)
    probability = np.ones(1)  # of S = 0, 1, 2...
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        of_size = np.zeros(size * count + 1)
        of_size[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        probability = np.convolve(probability, of_size)
    total = int(np.abs(lead).sum())
    as_large = np.abs(2 * np.arange(total + 1) - total) >= abs(int(lead.sum()))
    return min(1.0, float(probability[as_large].sum()))


def difference_interval(mean_lead: NDArray[np.float64]) -> Interval:
    """Difference of two methods' accuracies on the same clips, in percentage points.

    The interval is Wald's for paired proportions with the correction of Agresti and Min ("Simple improved
    confidence intervals for comparing matched proportions", Statistics in Medicine 2005): half a clip is
    added to each of the four cells (both correct, one method correct, the other, none).

    Args:
        mean_lead: ``(clip,)`` of one or more clips, see :func:`mean_lead_by_clip`.
    """
    assert len(mean_lead) > 0
    clips = len(mean_lead) + 2
    mean = float(mean_lead.sum()) / clips
    variance = (float(np.square(mean_lead).sum()) + 1) / clips - mean**2
    half_width = _TWO_SIDED_95 * math.sqrt(variance / clips)
    return Interval(
        100 * float(mean_lead.mean()),
        100 * max(-1.0, mean - half_width),
        100 * min(1.0, mean + half_width),
    )
