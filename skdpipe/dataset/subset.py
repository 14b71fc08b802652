"""Subsets of the clips: random ones for experiments with few clips, and evenly spread samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from skdpipe.config import Subset
from skdpipe.degradation import generator_for
from skdpipe.errors import DataError

if TYPE_CHECKING:
    from skdpipe.dataset.manifest import PairedClip

Item = TypeVar("Item")


def evenly_spread(items: Sequence[Item], most: int) -> Sequence[Item]:
    """Every item, or every n-th so that there are at most ``most``."""
    return items[:: max(1, -(-len(items) // most))]


def draw_subset(clips: Sequence[PairedClip], subset: Subset, seed: int) -> list[PairedClip]:
    """The clips of randomly drawn classes, and of these at most so many of each class on each side.

    Args:
        clips: sorted; unlabelled ones stay.
        subset: numbers of classes and clips.
        seed: of the draws; a larger subset of the same seed contains a smaller one.

    Raises:
        DataError: if there are fewer classes.
    """
    labels = sorted({clip.label for clip in clips if clip.label})
    if subset.classes > len(labels):
        raise DataError(f"subset.classes {subset.classes}, but the clips have {len(labels)} classes")
    shuffled = sorted(labels, key=lambda label: generator_for(seed, f"{label}:class").random())
    drawn = set(shuffled[: subset.classes or len(labels)])
    if not (subset.train or subset.test):
        return [clip for clip in clips if not clip.label or clip.label in drawn]
    taken: Counter[tuple[str, bool]] = Counter()
    kept = set()
    for clip in sorted(clips, key=lambda clip: generator_for(seed, f"{clip.key}:subset").random()):
        most = subset.train if clip.train else subset.test
        side = clip.label, clip.train
        if not clip.label or (clip.label in drawn and (not most or taken[side] < most)):
            taken[side] += 1
            kept.add(clip.key)
    return [clip for clip in clips if clip.key in kept]
