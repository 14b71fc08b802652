"""Random transformations of a batch during training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skdpipe.config import Augmentation
from skdpipe.dataset.clips import Batch


def augment(
    batch: Batch, rng: np.random.Generator, *, mirror: Sequence[int], settings: Augmentation
) -> Batch:
    """Crop in time, mirror, shear, scale and rotate each clip at random; both qualities in the same way.

    Args:
        batch: normalised clips of joints; they are centred, so that a linear map keeps unseen joints at 0.
        rng: the random numbers.
        mirror: for each joint its left-right counterpart.
        settings: ranges and probabilities.
    """
    count, _, _, frames, joints = batch.high.shape
    dtype = batch.high.dtype
    matrix = torch.from_numpy(_linear_maps(count, rng, settings)).to(dtype)
    flipped = torch.from_numpy(rng.random(count) < settings.flip)
    matrix[:, :, 0] *= torch.where(flipped, -1, 1)[:, None].to(dtype)  # x is mirrored before the other maps
    share = rng.uniform(settings.crop, 1, count)
    start = rng.uniform(0, 1 - share) * (frames - 1)
    index = np.rint(start[:, None] + np.linspace(0, 1, frames) * (share * (frames - 1))[:, None])
    frame = torch.from_numpy(index).long()[:, None, None, :, None]
    kept = torch.from_numpy(rng.random((count, joints)) >= settings.joint_dropout).to(dtype)

    def transform(clip: Tensor) -> Tensor:
        clip = clip.gather(3, frame.expand_as(clip))
        clip = torch.where(flipped[:, None, None, None, None], clip[..., list(mirror)], clip)
        xy = torch.einsum("bcd,bmdtv->bmctv", matrix, clip[:, :, :2])
        return torch.cat([xy, clip[:, :, 2:]], dim=2) * kept[:, None, None, None]

    return batch._replace(high=transform(batch.high), low=transform(batch.low))


def _linear_maps(count: int, rng: np.random.Generator, settings: Augmentation) -> NDArray[np.float64]:
    """``(clip, 2, 2)``: shear, then scale, then rotate."""
    angle = np.radians(rng.uniform(-settings.rotation, settings.rotation, count))
    factor = rng.uniform(1 - settings.scale, 1 + settings.scale, count)
    across, along = rng.uniform(-settings.shear, settings.shear, (2, count))
    one = np.ones(count)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[one, across], [along, one]])
    maps: NDArray[np.float64] = np.einsum("ijb,jkb->bik", factor * rotation, shear)
    return maps
