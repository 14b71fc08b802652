"""Epochs of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import DataLoader

from skdpipe.dataset.clips import Batch, PairedClips

Augment = Callable[[Batch, np.random.Generator], Batch]


def batches(
    data: PairedClips,
    size: int,
    *,
    workers: int = 0,
    shuffle: np.random.Generator | None = None,
    augment: Augment | None = None,
    noise: np.random.Generator | None = None,
) -> Iterator[Batch]:
    """One epoch of batches as inputs of the networks, in order or shuffled.

    A shuffled epoch leaves out a last batch of a single clip, for which batch normalisation is not defined.

    Args:
        data: the clips.
        size: number of clips in a batch.
        workers: number of processes that read clips.
        shuffle: random numbers of the order; the data's order if not given.
        augment: transforms a batch of joints, before it is converted to the formats' streams.
        noise: random numbers of the augmentation.
    """
    order = np.arange(len(data)) if shuffle is None else shuffle.permutation(len(data))
    chosen = [order[i : i + size].tolist() for i in range(0, len(order), size)]
    if shuffle is not None and len(chosen) > 1 and len(chosen[-1]) == 1:
        chosen.pop()
    for batch in DataLoader(data, batch_sampler=chosen, num_workers=workers):
        if augment is not None:
            assert noise is not None
            batch = augment(batch, noise)
        yield data.to_stream(batch)
