"""Experiments with few labels: which training clips keep their label in which quality."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from skdpipe.cache import Quality
from skdpipe.config import LabelShares
from skdpipe.degradation import generator_for

if TYPE_CHECKING:
    from skdpipe.dataset.manifest import PairedClip


def with_labelled_qualities(clips: Sequence[PairedClip], shares: LabelShares, seed: int) -> list[PairedClip]:
    """The clips with the qualities in which their label is used: a share of each class, chosen by the seed.

    The clips kept by the smaller share are among those kept by the larger one, as far as both qualities are
    available.
    """
    labelled: defaultdict[str, list[Quality]] = defaultdict(list)
    shares_of: dict[Quality, float] = {"high": shares.high, "low": shares.low}
    for quality, share in shares_of.items():
        by_label: defaultdict[str, list[str]] = defaultdict(list)
        for clip in clips:
            if clip.train and clip.label and quality in clip.qualities:
                by_label[clip.label].append(clip.key)
        for keys in by_label.values():
            if share < 1:
                keys.sort(key=lambda key: generator_for(seed, f"{key}:label").random())
            for key in keys[: max(1, round(share * len(keys)))]:
                labelled[key].append(quality)
    return [replace(clip, labelled=tuple(labelled[clip.key])) if clip.train else clip for clip in clips]
