"""Checks that compare each clip with the most similar other clips."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skdpipe.check.inspect import InspectedClip
from skdpipe.check.remedies import leave_out
from skdpipe.finding import Finding, Level
from skdpipe.significance import accuracy_interval, chance_level, is_beyond_chance

_NEIGHBOURS: Final = 5
_EQUAL: Final = 1e-3  # root mean square difference of standardised features of equal skeletons
_FLAT: Final = 1e-4  # a feature with less deviation differs by rounding errors alone
_CONVINCING: Final = 20.0  # points above chance that are excluded before labels are called wrong
_DOUBTFUL: Final = 0.02  # share of clips; among classes that look alike, a few are always doubtful


class Neighbours(NamedTuple):
    """The most similar other clips of each clip.

    Attributes:
        clips: those that have features.
        nearest: indices of their neighbours, the nearest first ``(clip, neighbour)``.
        distance: root mean square difference of the standardised features ``(clip, neighbour)``.
    """

    clips: Sequence[InspectedClip]
    nearest: NDArray[np.intp]
    distance: NDArray[np.floating]


def find_neighbours(clips: Sequence[InspectedClip]) -> Neighbours:
    """Up to five neighbours of each clip that has features, by distance of the standardised features."""
    from sklearn.neighbors import NearestNeighbors

    found = [each for each in clips if each.features is not None]
    count = min(_NEIGHBOURS, len(found) - 1)
    if count < 1:
        return Neighbours(found, np.zeros((len(found), 0), np.intp), np.zeros((len(found), 0)))
    features = np.stack([each.features for each in found if each.features is not None])
    spread = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(spread > _FLAT, spread, 1)
    distance, nearest = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(scaled).kneighbors()
    return Neighbours(found, nearest, distance / np.sqrt(features.shape[1]))


def check_copies(clips: Sequence[InspectedClip], neighbours: Neighbours) -> Finding:
    """Clips with the same skeletons, also if they are moved or scaled in the image.

    Copies of a video in which an estimator has found slightly different skeletons are not detected.
    """
    pairs = _copies(clips, neighbours)
    if not pairs:
        return Finding("copies", "fine", "no two clips have the same skeletons")
    across = [pair for pair in pairs if pair[0].clip.train is not pair[1].clip.train]
    contradictory = [pair for pair in pairs if pair[0].clip.label != pair[1].clip.label]
    texts = [f"{len(_sources(pairs))} clips have the same skeletons as another clip"]
    if across:
        texts.append(f"{len(_sources(across))} of them as one on the other side of the split")
    if contradictory:
        texts.append(f"{len(_sources(contradictory))} as one with another label")
    sources = _sources([*across, *contradictory, *pairs])
    level: Level = "problem" if across or contradictory else "warning"
    return Finding("copies", level, ", ".join(texts), leave_out("all copies but one"), sources)


def check_labels(neighbours: Neighbours) -> Finding:
    """Labels against the labels of the most similar clips."""
    chosen = [index for index, each in enumerate(neighbours.clips) if each.clip.label]
    labels = [neighbours.clips[index].clip.label for index in chosen]
    names = sorted(set(labels))
    if len(neighbours.clips) <= _NEIGHBOURS or len(names) < 2:
        return Finding("labels", "fine", "too few clips to compare labels with those of similar clips")
    label = np.array([names.index(each) for each in labels])
    votes = _votes(neighbours, names)[chosen]
    agreed = int((votes.argmax(axis=1) == label).sum())
    against = np.flatnonzero((votes.max(axis=1) == _NEIGHBOURS) & (votes.argmax(axis=1) != label))
    chance = chance_level(label.tolist())
    text = (
        f"the labels of {agreed / len(label):.0%} of the clips are those of most of their {_NEIGHBOURS} "
        f"nearest clips (chance {chance:.0f} %); for {len(against)} clips, all "
        f"{_NEIGHBOURS} have the same other label"
    )
    doubtful = tuple(
        f"{neighbours.clips[chosen[index]].clip.source} ({labels[index]}, similar to "
        f"{names[votes[index].argmax()]})"
        for index in against
    )
    if not is_beyond_chance(agreed, label.tolist()):
        remedy = (
            "compare some labels with their videos; if they are right, the skeletons do not show what "
            "distinguishes the classes"
        )
        at_best = accuracy_interval(agreed, len(label)).high
        level: Level = "problem" if at_best < chance + _CONVINCING else "warning"
        return Finding("labels", level, text, remedy, doubtful)
    if len(against) > _DOUBTFUL * len(label):
        remedy = "compare the labels of these clips with their videos"
        return Finding("labels", "warning", text, remedy, doubtful)
    return Finding("labels", "fine", text, "", doubtful)


def _copies(
    clips: Sequence[InspectedClip], neighbours: Neighbours
) -> list[tuple[InspectedClip, InspectedClip]]:
    """Pairs of clips with the same skeletons; one of them at least for each clip that has a copy."""
    by_digest: defaultdict[str, list[InspectedClip]] = defaultdict(list)
    for each in clips:
        if each.best.people:
            by_digest[each.best.digest].append(each)
    pairs = [pair for group in by_digest.values() for pair in pairwise(group)]
    for one, other in np.argwhere(neighbours.distance < _EQUAL).tolist():
        pairs.append((neighbours.clips[one], neighbours.clips[neighbours.nearest[one, other]]))
    return pairs


def _sources(pairs: Sequence[tuple[InspectedClip, InspectedClip]]) -> tuple[str, ...]:
    """The clips of the pairs, each once."""
    return tuple(dict.fromkeys(each.clip.source for pair in pairs for each in pair))


def _votes(neighbours: Neighbours, names: Sequence[str]) -> NDArray[np.int64]:
    """Number of neighbours of each label ``(clip, label)``; unlabelled neighbours do not count."""
    label = np.array([names.index(each.clip.label) if each.clip.label else -1 for each in neighbours.clips])
    return np.stack([(label[neighbours.nearest] == index).sum(axis=1) for index in range(len(names))], axis=1)
