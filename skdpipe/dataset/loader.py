"""Epochs of batches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from skdpipe.config import Augmentation
from skdpipe.dataset.augmentation import Transformations
from skdpipe.dataset.batch import Batch
from skdpipe.dataset.clips import PairedClips


@dataclass(frozen=True)
class BatchPart:
    """One process's part of each batch: every ``count``-th clip, from that with number ``index`` on.

    A batch of fewer clips than parts has parts without a clip.
    """

    index: int = 0
    count: int = 1

    @property
    def clips(self) -> slice:
        """The clips of the part among those of the batch."""
        return slice(self.index, None, self.count)


WHOLE: Final = BatchPart()


def batches(
    data: PairedClips,
    size: int,
    *,
    workers: int = 0,
    shuffle: np.random.Generator | None = None,
    balanced: bool = False,
    augment: Augmentation | None = None,
    noise: np.random.Generator | None = None,
    part: BatchPart = WHOLE,
) -> Iterator[Batch]:
    """One epoch of batches as inputs of the networks, in order or shuffled.

    A shuffled epoch leaves out a last batch of a single clip, for which batch normalisation is not defined.

    Args:
        data: the clips.
        size: number of clips in a batch.
        workers: number of processes that read clips.
        shuffle: random numbers of the order; the data's order if not given.
        balanced: a shuffled epoch has the same number of clips of each class.
        augment: random transformations of the joints, before they are converted to the formats' streams.
        noise: random numbers of the augmentation, which are drawn for whole batches.
        part: of each batch that is prepared here.
    """
    if shuffle is None:
        order = np.arange(len(data))
    elif balanced:
        order = balanced_order(data.labels, shuffle)
    else:
        order = shuffle.permutation(len(data))
    chosen = [order[i : i + size].tolist() for i in range(0, len(order), size)]
    if shuffle is not None:
        chosen = chosen[: steps_per_epoch(len(order), size)]
    parts = [indices[part.clips] for indices in chosen]
    loaded = iter(DataLoader(data, batch_sampler=[each for each in parts if each], num_workers=workers))
    for indices, own in zip(chosen, parts, strict=True):
        batch = next(loaded) if own else data.no_clips()
        drawn: Transformations | None = None
        if augment is not None:
            assert noise is not None
            drawn = data.draw(len(indices), augment, noise).of_clips(part.clips)
        yield data.to_input(batch, drawn)


def steps_per_epoch(clips: int, size: int) -> int:
    """Number of batches of a shuffled epoch: a last batch of a single clip is left out.

    Args:
        clips: number of clips of the epoch, at least one.
        size: of a batch.
    """
    return math.ceil(clips / size) - int(clips > size and clips % size == 1 % size)


def clips_per_epoch(labels: Sequence[int], *, balanced: bool) -> int:
    """Number of clips of a shuffled epoch; the labels are those of :func:`balanced_order`."""
    if not balanced:
        return len(labels)
    label = np.asarray(labels)
    labelled = label[label >= 0]
    return len(label) - len(labelled) + len(np.unique(labelled)) * _clips_per_class(labelled)


def _clips_per_class(labelled: NDArray[np.int64]) -> int:
    """The mean over the classes, rounded up; 0 without labelled clips."""
    return math.ceil(len(labelled) / max(1, len(np.unique(labelled))))


def balanced_order(labels: Sequence[int], random: np.random.Generator) -> NDArray[np.int64]:
    """Indices of clips in random order, with the same number of each class: the mean, rounded up.

    Every clip of a class is used before one is repeated. Clips without a label (-1) are used once.
    """
    label = np.asarray(labels)
    share = _clips_per_class(label[label >= 0])
    chosen = [np.flatnonzero(label < 0)]
    for each in np.unique(label[label >= 0]):
        members = np.flatnonzero(label == each)
        rounds = [random.permutation(members) for _ in range(math.ceil(share / len(members)))]
        chosen.append(np.concatenate(rounds)[:share])
    return random.permutation(np.concatenate(chosen))
