"""Looking at a batch at random while training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from skdpipe.dataset.clips import Batch

Augment = Callable[[Batch, np.random.Generator], Batch]


def augment(batch: Batch, mirror: Sequence[int], rng: np.random.Generator) -> Batch:
    """Look at each clip at random: turned, scaled, cropped in time, mirrored; both views of a clip alike.

    Args:
        batch: normalised clips (centred, so that turning keeps an unseen joint at 0).
        mirror: for each joint its left-right counterpart.
        rng: the randomness.
    """
    count, _, _, frames, _ = batch.high.shape
    angle, factor = np.radians(rng.uniform(-15, 15, count)), rng.uniform(0.85, 1.15, count)
    flipped = rng.random(count) < 0.5
    share = rng.uniform(0.7, 1, count)
    start = rng.uniform(0, 1 - share) * (frames - 1)
    index = np.rint(start[:, None] + np.linspace(0, 1, frames) * (share * (frames - 1))[:, None])
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = np.moveaxis(factor * rotation, -1, 0)
    turn[:, :, 0] *= np.where(flipped, -1, 1)[:, None]  # mirror x, then turn
    matrix = torch.tensor(turn, dtype=batch.high.dtype)
    frame = torch.from_numpy(index).long()[:, None, None, :, None]
    mirrored = torch.from_numpy(flipped)[:, None, None, None, None]

    def view(clip: Tensor) -> Tensor:
        clip = clip.gather(3, frame.expand_as(clip))
        clip = torch.where(mirrored, clip[..., list(mirror)], clip)
        xy = torch.einsum("bcd,bmdtv->bmctv", matrix, clip[:, :, :2])
        return torch.cat([xy, clip[:, :, 2:]], dim=2)

    return batch._replace(high=view(batch.high), low=view(batch.low))
