"""Random transformations of a batch during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skdpipe.config import Augmentation
from skdpipe.dataset.batch import Batch

Floats = NDArray[np.float64]


class Transformations(NamedTuple):
    """Random transformations of clips; the first axis of each array is the clip.

    Attributes:
        frame: ``(clip, frame)``, the frame of the clip that is shown in each frame.
        flipped: ``(clip,)`` bool, whether left and right joints are exchanged.
        in_image: ``(clip, 2, 2)``, the linear map of two coordinates.
        in_space: ``(clip, 3, 3)``, that of three; None if no quality has three.
        kept: ``(clip, joint)`` bool, False for a hidden joint.
    """

    frame: NDArray[np.int64]
    flipped: NDArray[np.bool_]
    in_image: Floats
    in_space: Floats | None
    kept: NDArray[np.bool_]

    def of_clips(self, clips: slice) -> Transformations:
        """Those of some of the clips."""
        in_space = None if self.in_space is None else self.in_space[clips]
        return Transformations(
            self.frame[clips], self.flipped[clips], self.in_image[clips], in_space, self.kept[clips]
        )


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
    count, _, channels, frames, joints = batch.high.shape
    deep = 4 in {channels, batch.low.shape[2]}
    return transform(batch, draw(count, rng, settings, frames=frames, joints=joints, in_space=deep), mirror)


def draw(
    count: int, rng: np.random.Generator, settings: Augmentation, *, frames: int, joints: int, in_space: bool
) -> Transformations:
    """Draw the transformations of a batch.

    Args:
        count: number of clips.
        rng: the random numbers.
        settings: ranges and probabilities.
        frames, joints: of a clip.
        in_space: whether a quality has three coordinates.
    """
    maps = _linear_maps(count, rng, settings)
    flipped = rng.random(count) < settings.flip
    share = rng.uniform(settings.crop, 1, count)
    start = rng.uniform(0, 1 - share) * (frames - 1)
    frame = np.rint(start[:, None] + np.linspace(0, 1, frames) * (share * (frames - 1))[:, None])
    maps_in_space = _linear_maps_in_space(maps, rng, settings) if in_space else None
    for matrix in (maps.matrix, maps_in_space):
        if matrix is not None:
            matrix[:, :, 0] *= np.where(flipped, -1, 1)[:, None]  # x is mirrored before all else
    kept = rng.random((count, joints)) >= settings.joint_dropout
    return Transformations(frame.astype(np.int64), flipped, maps.matrix, maps_in_space, kept)


def transform(batch: Batch, drawn: Transformations, mirror: Sequence[int]) -> Batch:
    """Apply transformations to both qualities of a batch; see :func:`augment`."""
    dtype = batch.high.dtype
    frame = torch.from_numpy(drawn.frame)[:, None, None, :, None]
    flipped = torch.from_numpy(drawn.flipped)[:, None, None, None, None]
    kept = torch.from_numpy(drawn.kept).to(dtype)[:, None, None, None]

    def of_quality(clip: Tensor) -> Tensor:
        clip = clip.gather(3, frame.expand_as(clip))
        clip = torch.where(flipped, clip[..., list(mirror)], clip)
        chosen = drawn.in_image if clip.shape[2] == 3 else drawn.in_space
        assert chosen is not None
        moved = torch.einsum("bcd,bmdtv->bmctv", torch.from_numpy(chosen).to(dtype), clip[:, :, :-1])
        return torch.cat([moved, clip[:, :, -1:]], dim=2) * kept

    return batch._replace(high=of_quality(batch.high), low=of_quality(batch.low))


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
