"""The clips of a manifest as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skdpipe.cache import PoseCache
from skdpipe.config import Augmentation, ClipFormat, Degradation, Recipe
from skdpipe.dataset.augmentation import Transformations, draw, transform
from skdpipe.dataset.batch import Batch
from skdpipe.dataset.manifest import PairedClip
from skdpipe.degradation import degrade
from skdpipe.inference.model_input import Floats, Mask, bytes_of_clip, clip_shape, joint_input, with_people
from skdpipe.inference.streams import to_stream
from skdpipe.skeleton import PoseSequence, layout_named
from skdpipe.skeleton.people import match_people

_OVERHEAD: Final = 1000  # bytes of the objects of a clip that is kept


class Request(NamedTuple):
    """A batch that is to be prepared.

    Attributes:
        epoch: from 0; the random numbers of resampled low quality depend on it.
        clips: ``(batch,)`` indices of clips.
        drawn: their transformations, None for none.
    """

    epoch: int
    clips: NDArray[np.int64]
    drawn: Transformations | None


class _Joints(NamedTuple):
    """A clip of joints in both qualities, and its masks of people."""

    high: Floats
    high_mask: Mask
    low: Floats
    low_mask: Mask
    paired: Mask


class PairedClips:
    """The clips of a manifest as tensors.

    Clips that have been read and prepared are kept in memory up to a limit; the others are read again.

    Args:
        cache: holds the sequences.
        clips: the clips.
        classes: all labels in class order.
        high: the teacher's clip format.
        low: the student's; differs in its smoothing.
        derive: how low quality is derived from high, None if it is cached.
        seed: of the derivation.
        resample: derive low quality again with other random numbers in each epoch; no clip is kept.
        megabytes: limit of the memory for clips, in MB (10^6 bytes).
    """

    def __init__(
        self,
        cache: PoseCache,
        clips: Sequence[PairedClip],
        classes: Sequence[str],
        high: ClipFormat,
        low: ClipFormat,
        derive: Degradation | None,
        seed: int,
        *,
        resample: bool = False,
        megabytes: float = Recipe.memory_megabytes,
    ) -> None:
        self._resample = resample and derive is not None
        self._cache, self._clips, self._derive, self._seed = cache, clips, derive, seed
        self._high, self._low = high, low
        self.classes = tuple(classes)
        class_of = {label: index for index, label in enumerate(classes)}
        self._label = np.array([class_of[clip.label] if clip.label else -1 for clip in clips], np.int64)
        self._labelled = np.array(["low" in clip.labelled for clip in clips], np.bool_)
        self._most = int(megabytes * 1e6 / (bytes_of_clip(high) + bytes_of_clip(low) + _OVERHEAD))
        self._kept: dict[int, _Joints] = {}

    def __len__(self) -> int:
        return len(self._clips)

    @property
    def labels(self) -> list[int]:
        """The class index of each clip, -1 for unlabelled clips."""
        labels: list[int] = self._label.tolist()
        return labels

    @property
    def fit_into_memory(self) -> bool:
        """Whether the memory suffices for all clips."""
        return len(self) <= self._most

    def limit_memory(self, share: float) -> None:
        """Keep only a share of the clips that the limit allows."""
        self._most = int(self._most * share)

    def __getitem__(self, index: int) -> Batch:
        """The joints of a clip, without a batch axis."""
        return Batch(*(each[0] for each in self.joints(np.array([index]))))

    def joints(self, clips: NDArray[np.int64], epoch: int = 0) -> Batch:
        """The joints of clips."""
        count, formats = len(clips), (self._high, self._low)
        high, low = (np.empty((count, *clip_shape(each)), np.float32) for each in formats)
        high_mask, low_mask, paired = np.empty((3, count, self._high.people), np.bool_)
        for row, clip in enumerate(clips.tolist()):
            high[row], high_mask[row], low[row], low_mask[row], paired[row] = self._joints(clip, epoch)
        arrays = high, high_mask, low, low_mask, paired, self._label[clips], self._labelled[clips], clips
        return Batch(*map(torch.from_numpy, arrays))

    def _joints(self, clip: int, epoch: int) -> _Joints:
        if clip in self._kept:
            return self._kept[clip]
        joints = self._read(clip, epoch if self._resample else 0)
        if len(self._kept) < self._most and not self._resample:
            self._kept[clip] = joints
        return joints

    def _read(self, clip: int, draw: int) -> _Joints:
        high, low, same_person = load_qualities(
            self._cache, self._clips[clip], self._high.people, self._derive, self._seed, draw
        )
        high_clip, high_mask = _joints_of(high, self._high)
        low_clip, low_mask = _joints_of(low, self._low)
        paired = high_mask & low_mask & np.array([i in same_person for i in range(len(high_mask))])
        return _Joints(high_clip, high_mask, low_clip, low_mask, paired)

    def draw(self, count: int, settings: Augmentation, rng: np.random.Generator) -> Transformations:
        """Draw the transformations of a batch of these clips."""
        _, _, frames, joints = clip_shape(self._high)
        deep = 4 in {self._high.channels, self._low.channels}
        return draw(count, rng, settings, frames=frames, joints=joints, in_space=deep)

    def prepare(self, request: Request) -> Batch:
        """A batch as the input of both networks: the joints, transformed, as the stream of each format."""
        return self.to_input(self.joints(request.clips, request.epoch), request.drawn)

    def to_input(self, batch: Batch, drawn: Transformations | None = None) -> Batch:
        """A batch of joints, transformed if transformations are given, as the input of both networks."""
        if drawn is not None:
            batch = transform(batch, drawn, layout_named(self._high.layout).mirror)
        return batch._replace(high=_to_stream(batch.high, self._high), low=_to_stream(batch.low, self._low))


def _joints_of(sequence: PoseSequence | None, clip: ClipFormat) -> tuple[Floats, Mask]:
    if sequence is None:
        return np.zeros(clip_shape(clip), np.float32), np.zeros(clip.people, np.bool_)
    return joint_input(sequence, clip)


def _to_stream(joints: Tensor, clip: ClipFormat) -> Tensor:
    return torch.from_numpy(to_stream(joints.numpy(), clip.stream, layout_named(clip.layout).parents))


def load_qualities(
    cache: PoseCache, clip: PairedClip, people: int, derive: Degradation | None, seed: int, draw: int = 0
) -> tuple[PoseSequence | None, PoseSequence | None, set[int]]:
    """The sequences of both qualities, as far as available, with matched people.

    Args:
        cache: holds the sequences.
        clip: the clip.
        people: number of person slots.
        derive: how low quality is derived from high, None if it is cached.
        seed, draw: of the derivation.

    Returns:
        High quality, low quality, and the person indices at which both show the same person.
    """
    high, low = (
        with_people(cache.load(path), people) if path is not None else None for path in (clip.high, clip.low)
    )
    if high is not None and derive is not None:
        return high, degrade(high, derive, seed, draw), set(range(people))
    if high is not None and low is not None:
        low, report = match_people(high, low)
        return high, low, {person for person, _ in report.pairs}
    return high, low, set()
