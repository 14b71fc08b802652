"""The numbers behind the figures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Indices = NDArray[np.integer]


def confusion_matrix(label: Indices, predicted: Indices, classes: int) -> Floats:
    """Of the clips of each class, the share that each class was said of: ``(true, predicted)``.

    Rows add up to 1; those of classes without a clip are NaN.
    """
    counts = np.zeros((classes, classes))
    np.add.at(counts, (label, predicted), 1)
    total = counts.sum(axis=1, keepdims=True)
    return np.where(total > 0, counts / np.maximum(total, 1), np.nan)


def accuracy_by_class(label: Indices, predicted: Indices, classes: int) -> Floats:
    """Top-1 in percent on the clips of each class ``(class,)``, NaN where there are none."""
    return 100 * np.diagonal(confusion_matrix(label, predicted, classes))


def by_gain(accuracy: Floats, over: Floats) -> Indices:
    """Classes, that with the largest gain in accuracy first, those without clips (NaN) last."""
    return np.argsort(-(accuracy - over), kind="stable")


def response_magnitude(features: Floats) -> Floats:
    """How strongly each joint responds: the L2 norm over channels.

    Args:
        features: ``(channel, frame, joint)`` of one person.

    Returns:
        ``(frame, joint)``.
    """
    return np.asarray(np.linalg.norm(features, axis=0))


def at_moments(values: Floats, moments: Indices, frames: int) -> Floats:
    """Rows of ``values`` ``(feature frame, ...)`` that belong to moments of a clip of so many frames.

    A network that strides has fewer feature frames than the clip has frames; each stands for an equal
    share of the clip.
    """
    return values[moments * len(values) // frames]


def spread(count: int, most: int) -> Indices:
    """At most so many of ``count`` places, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))


def map_to_plane(logits: Floats, perplexity: float, seed: int) -> Floats:
    """t-SNE of logits ``(clip, class)`` to ``(clip, 2)``; the same for the same seed.

    The perplexity is lowered to a third of the other clips where there are few. Van der Maaten and Hinton,
    *Visualizing Data using t-SNE*, JMLR 9, 2008.
    """
    from sklearn.manifold import TSNE

    others = len(logits) - 1
    if others < 1:
        return np.zeros((len(logits), 2))
    # Starts at random, not with principal components, which do not exist where all logits are the same.
    chart = TSNE(perplexity=min(perplexity, max(others / 3, 0.5)), init="random", random_state=seed)
    return np.asarray(chart.fit_transform(logits))
