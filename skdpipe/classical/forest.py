"""The classical baseline: a random forest on summary features."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from skdpipe.cache import Quality
from skdpipe.classical.features import Floats, summary_features
from skdpipe.dataset import PairedClips
from skdpipe.errors import DataError

_TREES: Final = 300
_CLIPS_PER_TREE: Final = 3000


def forest_probabilities(train: PairedClips, test: PairedClips, quality: Quality, seed: int) -> Floats:
    """Train a forest on the labelled clips of one quality and apply it to the test clips.

    The forest has 300 trees. A tree is trained on at most 3,000 of the clips, so the cost has a bound: about
    two minutes of one core for any number of clips above that, and seconds for a few hundred.

    Args:
        train: clips whose labels the quality uses; those in which nobody is seen are left out.
        test: clips of the same classes.
        quality: of the skeletons.
        seed: of the forest; the probabilities depend on the seed and the clips alone.

    Returns:
        Probabilities ``(test clip, class)``, 0 for classes without a training clip.

    Raises:
        DataError: if nobody is seen in any training clip.
    """
    features, seen = features_of(train, quality)
    labels = np.array(train.labels)
    if not seen.any():
        raise DataError(
            f"nobody is seen in {quality} quality in any of {len(train)} training clips; expected skeletons: "
            "run `skdpipe check`"
        )
    probabilities = np.zeros((len(test), len(train.classes)))
    classes, found = _fit_and_predict(features[seen], labels[seen], features_of(test, quality)[0], seed)
    probabilities[:, classes] = found
    return probabilities


def features_of(clips: PairedClips, quality: Quality) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Summary features of each clip ``(clip, feature)``, and whether somebody is seen in it ``(clip,)``."""
    inputs = (clips[index].of_quality(quality) for index in range(len(clips)))
    found = [
        (summary_features(x.numpy(), mask.numpy()).astype(np.float32), bool(mask.any())) for x, mask in inputs
    ]
    return np.stack([features for features, _ in found]), np.array([seen for _, seen in found])


def _fit_and_predict(
    features: NDArray[np.float32], labels: NDArray[np.intp], tested: NDArray[np.float32], seed: int
) -> tuple[NDArray[np.intp], Floats]:
    """The classes of the training clips, and their probabilities ``(tested clip, class)``."""
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        _TREES,
        max_samples=min(len(features), _CLIPS_PER_TREE),
        class_weight="balanced",
        random_state=seed,
        n_jobs=torch.get_num_threads(),
    )
    forest.fit(features, labels)
    forest.n_jobs = 1  # several threads add the trees' probabilities in an order that differs between calls
    return forest.classes_, forest.predict_proba(tested)
