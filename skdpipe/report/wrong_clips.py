"""The test clips with a wrong label: which of them are shown, and which networks are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.integer]


def select_wrong_clips(
    label: Indices, predicted: Indices, probability: NDArray[np.floating], of_class: int, most: int
) -> list[int]:
    """Indices of clips that one network labels wrongly, by class, the most confident first.

    If there are too many, each class has its most confident clip before any has its second one, and among
    equals the more confident clip has precedence. Clips without a person have no label and are left out.

    Args:
        label: ``(clip,)`` true classes.
        predicted: ``(clip,)``, `NOBODY` for clips without a person.
        probability: ``(clip,)`` of the predicted class.
        of_class: largest number of clips of one true class.
        most: largest number of clips.
    """
    ranked = sorted(
        np.flatnonzero((predicted != label) & (predicted >= 0)).tolist(),
        key=lambda index: (-probability[index], index),
    )
    rank: dict[int, int] = {}
    clips_before = np.zeros(int(label.max(initial=0)) + 1, int)
    for index in ranked:
        rank[index] = int(clips_before[label[index]])
        clips_before[label[index]] += 1
    allowed = [index for index in ranked if rank[index] < of_class]
    chosen = sorted(allowed, key=lambda index: rank[index])[:most]
    return sorted(chosen, key=lambda index: (label[index], rank[index]))


def count_by_wrong_networks(label: Indices, predicted: Mapping[str, Indices]) -> dict[tuple[str, ...], int]:
    """How many clips are wrong for exactly these networks, for each combination of networks but none.

    Args:
        label: ``(clip,)`` true classes.
        predicted: by network ``(clip,)``.
    """
    wrong = np.stack([classes != label for classes in predicted.values()])
    return {
        tuple(name for name, is_wrong in zip(predicted, combination, strict=True) if is_wrong): int(
            (wrong == np.array(combination)[:, None]).all(axis=0).sum()
        )
        for combination in product((True, False), repeat=len(predicted))
        if any(combination)
    }
