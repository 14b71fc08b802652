"""The clips of a manifest as tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from skdpipe.cache import PoseCache
from skdpipe.config import Augmentation, ClipFormat, Degradation
from skdpipe.dataset.augmentation import Transformations, draw, transform
from skdpipe.dataset.batch import Batch
from skdpipe.dataset.manifest import PairedClip
from skdpipe.degradation import degrade
from skdpipe.inference.model_input import clip_shape, joint_input, with_people
from skdpipe.inference.streams import to_stream
from skdpipe.skeleton import PoseSequence, layout_named
from skdpipe.skeleton.people import match_people


class PairedClips(Dataset[Batch]):
    """The clips of a manifest; each is read and prepared once and then kept in memory.

    Items hold joints; :meth:`to_input` transforms a batch and converts it to the stream of each clip format.

    Args:
        cache: holds the sequences.
        clips: the clips.
        classes: all labels in class order.
        high: the teacher's clip format.
        low: the student's; differs in its smoothing.
        derive: how low quality is derived from high, None if it is cached.
        seed: of the derivation.
        resample: derive low quality again with other random numbers in each epoch (see `begin_epoch`).
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
    ) -> None:
        self._resample, self._epoch = resample and derive is not None, 0
        self._cache, self._clips, self._derive, self._seed = cache, clips, derive, seed
        self._high, self._low = high, low
        self.classes = tuple(classes)
        self._class_of = {label: index for index, label in enumerate(classes)}
        self._prepared: dict[int, Batch] = {}

    def __len__(self) -> int:
        return len(self._clips)

    @property
    def labels(self) -> list[int]:
        """The class index of each clip, -1 for unlabelled clips."""
        return [self._label(clip) for clip in self._clips]

    def begin_epoch(self, epoch: int) -> None:
        """Announce an epoch; if low quality is resampled, the clips of the previous epoch are discarded."""
        if self._resample and epoch != self._epoch:
            self._epoch = epoch
            self._prepared.clear()

    def __getitem__(self, index: int) -> Batch:
        if index not in self._prepared:
            self._prepared[index] = self._prepare(index)
        return self._prepared[index]

    def _prepare(self, index: int) -> Batch:
        clip = self._clips[index]
        high, low, same_person = load_qualities(
            self._cache, clip, self._high.people, self._derive, self._seed, self._epoch
        )
        high_clip, high_mask = _joints(high, self._high)
        low_clip, low_mask = _joints(low, self._low)
        paired = high_mask & low_mask & torch.tensor([i in same_person for i in range(len(high_mask))])
        label = self._label(clip)
        numbers = (torch.tensor(number) for number in (label, "low" in clip.labelled, index))
        return Batch(high_clip, high_mask, low_clip, low_mask, paired, *numbers)

    def _label(self, clip: PairedClip) -> int:
        return self._class_of[clip.label] if clip.label else -1

    def no_clips(self) -> Batch:
        """A batch of joints without a clip."""
        high, low = (torch.zeros(0, *clip_shape(clip)) for clip in (self._high, self._low))
        high_mask, low_mask = (each.new_zeros(each.shape[:2], dtype=torch.bool) for each in (high, low))
        label = torch.zeros(0, dtype=torch.int64)
        return Batch(high, high_mask, low, low_mask, high_mask, label, label.bool(), label)

    def draw(self, count: int, settings: Augmentation, rng: np.random.Generator) -> Transformations:
        """Draw the transformations of a batch of these clips."""
        _, _, frames, joints = clip_shape(self._high)
        deep = 4 in {self._high.channels, self._low.channels}
        return draw(count, rng, settings, frames=frames, joints=joints, in_space=deep)

    def to_input(self, batch: Batch, drawn: Transformations | None = None) -> Batch:
        """A batch of joints, transformed if transformations are given, as the input of both networks."""
        if drawn is not None:
            batch = transform(batch, drawn, layout_named(self._high.layout).mirror)
        return batch._replace(high=_to_stream(batch.high, self._high), low=_to_stream(batch.low, self._low))


def _joints(sequence: PoseSequence | None, clip: ClipFormat) -> tuple[Tensor, Tensor]:
    if sequence is None:
        nobody = torch.zeros(clip.people, dtype=torch.bool)
        return torch.zeros(clip_shape(clip)), nobody
    joints, mask = joint_input(sequence, clip)
    return torch.from_numpy(joints), torch.from_numpy(mask)


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
