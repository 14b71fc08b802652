"""Random transformations of a batch during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skdpipe.config import Augmentation
from skdpipe.dataset.clips import Batch

Floats = NDArray[np.float64]


def augment(
    batch: Batch, rng: np.random.Generator, *, mirror: Sequence[int], settings: Augmentation
) -> Batch:
    """Crop in time, mirror, shear, scale and rotate each clip at random; both qualities in the same way.

    Three coordinates are rotated about the vertical axis, y, by the angle by which two are rotated in the
    image, and tilted about the two other axes.

    Args:
        batch: normalised clips of joints; they are centred, so that a linear map keeps unseen joints at 0.
        rng: the random numbers.
        mirror: for each joint its left-right counterpart.
        settings: ranges and probabilities.
    """
    count, _, _, frames, joints = batch.high.shape
    dtype = batch.high.dtype
    maps = _linear_maps(count, rng, settings)
    flipped = torch.from_numpy(rng.random(count) < settings.flip)
    share = rng.uniform(settings.crop, 1, count)
    start = rng.uniform(0, 1 - share) * (frames - 1)
    index = np.rint(start[:, None] + np.linspace(0, 1, frames) * (share * (frames - 1))[:, None])
    frame = torch.from_numpy(index).long()[:, None, None, :, None]
    deep = 4 in {batch.high.shape[2], batch.low.shape[2]}
    in_space = _linear_maps_in_space(maps, rng, settings) if deep else None
    kept = torch.from_numpy(rng.random((count, joints)) >= settings.joint_dropout).to(dtype)

    def transform(clip: Tensor) -> Tensor:
        clip = clip.gather(3, frame.expand_as(clip))
        clip = torch.where(flipped[:, None, None, None, None], clip[..., list(mirror)], clip)
        chosen = maps.matrix if clip.shape[2] == 3 else in_space
        assert chosen is not None
        matrix = torch.from_numpy(chosen).to(dtype)
        matrix[:, :, 0] *= torch.where(flipped, -1, 1)[:, None].to(dtype)  # x is mirrored before all else
        moved = torch.einsum("bcd,bmdtv->bmctv", matrix, clip[:, :, :-1])
        return torch.cat([moved, clip[:, :, -1:]], dim=2) * kept[:, None, None, None]

    return batch._replace(high=transform(batch.high), low=transform(batch.low))


class _LinearMaps(NamedTuple):
    """Random linear maps in the image, and the numbers that they were made from.

    Attributes:
        matrix: ``(clip, 2, 2)``: shear, then scale, then rotate.
        angle: of the rotation in radians ``(clip,)``.
        factor: of the scale ``(clip,)``.
        across, along: shear of x by y and of y by x ``(clip,)``.
    """

    matrix: Floats
    angle: Floats
    factor: Floats
    across: Floats
    along: Floats


def _linear_maps(count: int, rng: np.random.Generator, settings: Augmentation) -> _LinearMaps:
    angle = np.radians(rng.uniform(-settings.rotation, settings.rotation, count))
    factor = rng.uniform(1 - settings.scale, 1 + settings.scale, count)
    across, along = rng.uniform(-settings.shear, settings.shear, (2, count))
    one = np.ones(count)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[one, across], [along, one]])
    return _LinearMaps(np.einsum("ijb,jkb->bik", factor * rotation, shear), angle, factor, across, along)


def _linear_maps_in_space(maps: _LinearMaps, rng: np.random.Generator, settings: Augmentation) -> Floats:
    """``(clip, 3, 3)``: shear, then scale, then rotate about the axes x, z and, by the given angle, y."""
    from scipy.spatial.transform import Rotation  # its import takes a second

    count = len(maps.angle)
    about_x, about_z = np.radians(rng.uniform(-settings.tilt, settings.tilt, (2, count)))
    angles = np.stack([about_x, about_z, maps.angle], axis=1)
    rotation = Rotation.from_euler("xzy", angles).as_matrix()
    shear = np.tile(np.eye(3), (count, 1, 1))
    shear[:, 0, 1], shear[:, 1, 0] = maps.across, maps.along
    shear[:, [0, 1, 2, 2], [2, 2, 0, 1]] = rng.uniform(-settings.shear, settings.shear, (count, 4))
    in_space: Floats = maps.factor[:, None, None] * rotation @ shear
    return in_space
