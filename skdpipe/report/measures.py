"""Quantities that the figures of a report show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE

Floats = NDArray[np.floating]
Indices = NDArray[np.integer]


def confusion_matrix(label: Indices, predicted: Indices, classes: int) -> Floats:
    """Shares of the clips of each true class that have each predicted class: ``(true, predicted)``.

    Rows add up to 1, or less if nobody was detected in some clips (predicted class -1); rows of classes
    without a clip are NaN.
    """
    counts = np.zeros((classes, classes))
    seen = predicted >= 0
    np.add.at(counts, (label[seen], predicted[seen]), 1)
    clips = np.bincount(label, minlength=classes)[:, None]
    return np.where(clips > 0, counts / np.maximum(clips, 1), np.nan)


def accuracy_by_class(label: Indices, predicted: Indices, classes: int) -> Floats:
    """Top-1 accuracy in percent on the clips of each class ``(class,)``, NaN for classes without a clip."""
    return 100 * np.diagonal(confusion_matrix(label, predicted, classes))


def frequent_confusions(label: Indices, predicted: Indices) -> list[tuple[int, int, int]]:
    """True class, predicted class and number of clips of each confusion, the most frequent first."""
    wrong = (predicted != label) & (predicted >= 0)
    pairs, counts = np.unique(np.stack((label[wrong], predicted[wrong])), axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [(*pairs[:, index].tolist(), int(counts[index])) for index in order]


def rank_by_gain(accuracy: Floats, reference: Floats) -> Indices:
    """Class indices by descending ``accuracy - reference``; classes without a clip (NaN) are last."""
    return np.argsort(-(accuracy - reference), kind="stable")


def response_magnitude(features: Floats) -> Floats:
    """How strongly each joint responds: the L2 norm of its features over channels.

    Args:
        features: ``(channel, frame, joint)`` of one person.

    Returns:
        ``(frame, joint)``.
    """
    return np.asarray(np.linalg.norm(features, axis=0))


def feature_frames_at(values: Floats, moments: Indices, frames: int) -> Floats:
    """Rows of ``values`` ``(feature frame, ...)`` at moments of a clip of ``frames`` frames.

    Temporal strides leave fewer feature frames than the clip has frames; each covers an equal share of it.
    """
    return values[moments * len(values) // frames]


def evenly_spaced(count: int, most: int) -> Indices:
    """At most ``most`` of the indices from 0 to ``count - 1``, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))


def map_to_plane(logits: Floats, perplexity: float, seed: int) -> Floats:
    """t-SNE of logits ``(clip, class)`` to ``(clip, 2)``; the same for the same seed.

    The perplexity is limited to a third of the number of other clips. Van der Maaten and Hinton,
    *Visualizing Data using t-SNE*, JMLR 9, 2008.
    """
    others = len(logits) - 1
    if others < 1:
        return np.zeros((len(logits), 2))
    # Random initialisation: principal components do not exist if all logits are equal.
    tsne = TSNE(perplexity=min(perplexity, max(others / 3, 0.5)), init="random", random_state=seed)
    return np.asarray(tsne.fit_transform(logits))
