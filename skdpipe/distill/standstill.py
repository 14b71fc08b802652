"""Why is my accuracy stuck: a training that has learned nothing after a third of its epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Final

import numpy as np

from skdpipe.distill.conclusions import LEARNED, NOT_LEARNED
from skdpipe.distill.training_state import Curve
from skdpipe.significance import binomial_p_value

_FEWEST_STEPS: Final = 50  # what a network has not learned in fewer steps, it may learn soon
_LEAST_FALL: Final = 0.01  # of the task loss, as a share of it


def epoch_of_judgement(epochs: int, steps: int) -> int:
    """The number of epochs after which `describe_standstill` is meaningful: a third, and at least 50 steps.

    Args:
        epochs: of the training.
        steps: of an epoch.
    """
    return max(math.ceil(epochs / 3), math.ceil(_FEWEST_STEPS / steps))


def describe_standstill(
    title: str, curves: Sequence[Curve], epochs: int, labels: Sequence[int], *, balanced: bool
) -> str:
    """One line if the training accuracy is not beyond chance, or neither it nor the task loss has moved.

    The last third of the epochs so far is compared with the first third.

    Args:
        title: of the method.
        curves: of the epochs so far, one or more.
        epochs: of the whole training.
        labels: class index of each training clip, -1 for unlabelled clips.
        balanced: whether each class has the same number of clips in an epoch.

    Returns:
        What was found and what may help; empty if the network learns, or its training accuracy is unknown.
    """
    third = max(1, len(curves) // 3)
    first, last = curves[:third], curves[-third:]
    counts = np.bincount([label for label in labels if label >= 0])
    accuracies = [curve.training_top1 for curve in (*first, *last) if curve.training_top1 is not None]
    if len(accuracies) < 2 * third or not counts.any():
        return ""
    before, now = fmean(accuracies[:third]), fmean(accuracies[third:])
    clips = third * int(counts.sum())
    chance = 1 / np.count_nonzero(counts) if balanced else float(counts.max() / counts.sum())
    start = f"{title} has learned nothing in {len(curves)} of {epochs} epochs:"
    if binomial_p_value(round(now / 100 * clips), clips, chance) >= 0.05:
        return (
            f"{start} it classifies {now:.1f} % of its training clips, and chance is {100 * chance:.1f} %; "
            f"likely {NOT_LEARNED}"
        )
    noise = 200 * math.sqrt(2 * now / 100 * (1 - now / 100) / clips)  # two standard errors
    if now >= LEARNED or now - before > noise:
        return ""
    losses = [fmean(curve.losses.get("task", 0.0) for curve in part) for part in (first, last)]
    if losses[0] - losses[1] > _LEAST_FALL * losses[0]:
        return ""
    return (
        f"{start} its loss was {losses[0]:.3g} and is {losses[1]:.3g}, its training accuracy was "
        f"{before:.1f} % and is {now:.1f} %; likely {NOT_LEARNED}"
    )
