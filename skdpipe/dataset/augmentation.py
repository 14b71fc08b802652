"""Looking at a batch at random while training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skdpipe.config import Augmentation
from skdpipe.dataset.clips import Batch

Augment = Callable[[Batch, np.random.Generator], Batch]


def augment(
    batch: Batch, rng: np.random.Generator, *, mirror: Sequence[int], settings: Augmentation
) -> Batch:
    """Look at each clip at random: cropped in time, mirrored, sheared, scaled, turned; both views alike.

    Args:
        batch: normalised clips (centred, so that no linear map moves an unseen joint away from 0).
        rng: the randomness.
        mirror: for each joint its left-right counterpart.
        settings: how much.
    """
    count, _, _, frames, joints = batch.high.shape
    dtype = batch.high.dtype
    matrix = torch.from_numpy(_planar_maps(count, rng, settings)).to(dtype)
    flipped = torch.from_numpy(rng.random(count) < settings.flip)
    matrix[:, :, 0] *= torch.where(flipped, -1, 1)[:, None].to(dtype)  # mirror x before all else
    share = rng.uniform(settings.crop, 1, count)
    start = rng.uniform(0, 1 - share) * (frames - 1)
    index = np.rint(start[:, None] + np.linspace(0, 1, frames) * (share * (frames - 1))[:, None])
    frame = torch.from_numpy(index).long()[:, None, None, :, None]
    kept = torch.from_numpy(rng.random((count, joints)) >= settings.joint_dropout).to(dtype)

    def view(clip: Tensor) -> Tensor:
        clip = clip.gather(3, frame.expand_as(clip))
        clip = torch.where(flipped[:, None, None, None, None], clip[..., list(mirror)], clip)
        xy = torch.einsum("bcd,bmdtv->bmctv", matrix, clip[:, :, :2])
        return torch.cat([xy, clip[:, :, 2:]], dim=2) * kept[:, None, None, None]

    return batch._replace(high=view(batch.high), low=view(batch.low))


def _planar_maps(count: int, rng: np.random.Generator, settings: Augmentation) -> NDArray[np.float64]:
    """``(clip, 2, 2)``: shear, then scale, then turn."""
    angle = np.radians(rng.uniform(-settings.rotation, settings.rotation, count))
    factor = rng.uniform(1 - settings.scale, 1 + settings.scale, count)
    across, along = rng.uniform(-settings.shear, settings.shear, (2, count))
    one = np.ones(count)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[one, across], [along, one]])
    maps: NDArray[np.float64] = np.einsum("ijb,jkb->bik", factor * turn, shear)
    return maps
