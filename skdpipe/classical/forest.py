"""The classical baseline: a random forest on summary features."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.cache import Quality
from skdpipe.classical.features import Floats, summary_features
from skdpipe.dataset import PairedClips

_TREES: Final = 500


def forest_probabilities(train: PairedClips, test: PairedClips, quality: Quality, seed: int) -> Floats:
    """Train a forest on the labelled clips of one quality and apply it to the test clips.

    Args:
        train: clips whose labels the quality uses.
        test: clips of the same classes.
        quality: of the skeletons.
        seed: of the forest.

    Returns:
        Probabilities ``(test clip, class)``, 0 for classes without a training clip.
    """
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(_TREES, class_weight="balanced", random_state=seed)
    forest.fit(features_of(train, quality), train.labels)
    probabilities = np.zeros((len(test), len(train.classes)))
    probabilities[:, forest.classes_] = forest.predict_proba(features_of(test, quality))
    return probabilities


def features_of(clips: PairedClips, quality: Quality) -> NDArray[np.float64]:
    """Summary features of each clip, ``(clip, feature)``."""
    inputs = (
        (clip.high, clip.high_mask) if quality == "high" else (clip.low, clip.low_mask)
        for clip in (clips[index] for index in range(len(clips)))
    )
    return np.stack([summary_features(x.numpy(), mask.numpy()) for x, mask in inputs])
