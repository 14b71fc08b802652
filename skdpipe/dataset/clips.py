"""How a clip becomes a tensor, and clips a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from skdpipe.cache import PoseCache
from skdpipe.config import ClipFormat, Degradation
from skdpipe.dataset.manifest import PairedClip
from skdpipe.degradation import degrade
from skdpipe.inference.model_input import joint_input, with_people
from skdpipe.inference.streams import to_stream
from skdpipe.skeleton import PoseSequence, layout_named
from skdpipe.skeleton.people import match_people


class Batch(NamedTuple):
    """One clip, or a batch of them with a batch axis in front.

    Attributes:
        high, low: what teacher and student see, ``(person, channel, frame, joint)`` float32; zero, and nobody
            in its mask, where a clip lacks the quality.
        high_mask, low_mask: ``(person,)`` bool, True for people who are seen.
        paired: ``(person,)`` bool, True where both views show the same person; only there may features
            be compared.
        label: class index, -1 where nobody has said.
        labelled: bool, whether what learns from low quality is told the label.
        number: which of its data the clip is, from 0.
    """

    high: Tensor
    high_mask: Tensor
    low: Tensor
    low_mask: Tensor
    paired: Tensor
    label: Tensor
    labelled: Tensor
    number: Tensor


class PairedClips(Dataset[Batch]):
    """The clips of a manifest as tensors; a clip is read and prepared once and then kept in memory.

    A sample holds joints; `batches` turns them into the formats' streams.

    Args:
        cache: where the sequences are.
        clips: which.
        classes: all labels in class order.
        high: the teacher's clip format.
        low: the student's; differs in its smoothing.
        derive: how low quality comes from high, or None where it is cached.
        seed: of the derivation.
        fresh: derive anew in each epoch (see `begin_epoch`).
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
        fresh: bool = False,
    ) -> None:
        self._fresh, self._epoch = fresh and derive is not None, 0
        self._cache, self._clips, self._derive, self._seed = cache, clips, derive, seed
        self._high, self._low = high, low
        self._class_of = {label: index for index, label in enumerate(classes)}
        self._kept: dict[int, Batch] = {}

    def __len__(self) -> int:
        return len(self._clips)

    def begin_epoch(self, epoch: int) -> None:
        """Say which epoch begins: if views are to be fresh, those of the epoch before are forgotten."""
        if self._fresh and epoch != self._epoch:
            self._epoch = epoch
            self._kept.clear()

    def __getitem__(self, index: int) -> Batch:
        if index not in self._kept:
            self._kept[index] = self._read(index)
        return self._kept[index]

    def _read(self, index: int) -> Batch:
        clip = self._clips[index]
        high, low, same_places = load_views(
            self._cache, clip, self._high.people, self._derive, self._seed, self._epoch
        )
        high_clip, high_mask = _joints(high, self._high)
        low_clip, low_mask = _joints(low, self._low)
        paired = high_mask & low_mask & torch.tensor([i in same_places for i in range(len(high_mask))])
        label = self._class_of[clip.label] if clip.label else -1
        labelled = "low" in clip.labelled
        numbers = (torch.tensor(number) for number in (label, labelled, index))
        return Batch(high_clip, high_mask, low_clip, low_mask, paired, *numbers)

    def in_stream(self, batch: Batch) -> Batch:
        """A batch of joints as both networks see it."""
        return batch._replace(high=_as_stream(batch.high, self._high), low=_as_stream(batch.low, self._low))


def _joints(sequence: PoseSequence | None, clip: ClipFormat) -> tuple[Tensor, Tensor]:
    if sequence is None:
        nobody = torch.zeros(clip.people, dtype=torch.bool)
        return torch.zeros(clip.people, 3, clip.frames, len(layout_named(clip.layout))), nobody
    joints, seen = joint_input(sequence, clip)
    return torch.from_numpy(joints), torch.from_numpy(seen)


def _as_stream(joints: Tensor, clip: ClipFormat) -> Tensor:
    return torch.from_numpy(to_stream(joints.numpy(), clip.stream, layout_named(clip.layout).parents))


def load_views(
    cache: PoseCache, clip: PairedClip, people: int, derive: Degradation | None, seed: int, draw: int = 0
) -> tuple[PoseSequence | None, PoseSequence | None, set[int]]:
    """Both qualities of a clip as far as there are, and the places at which both show the same person."""
    high, low = (
        with_people(cache.load(path), people) if path is not None else None for path in (clip.high, clip.low)
    )
    if high is not None and derive is not None:
        return high, degrade(high, derive, seed, draw), set(range(people))
    if high is not None and low is not None:
        low, pairs = match_people(high, low)
        return high, low, {place for place, _ in pairs.pairs}
    return high, low, set()


def batches(
    data: PairedClips,
    size: int,
    *,
    workers: int = 0,
    shuffle: np.random.Generator | None = None,
    augment: Callable[[Batch, np.random.Generator], Batch] | None = None,
    noise: np.random.Generator | None = None,
) -> Iterator[Batch]:
    """One epoch of batches as the networks see them, in order or shuffled.

    A shuffled epoch leaves out a last batch of one clip: batch normalisation has nothing to compare it with.

    Args:
        data: the clips.
        size: of a batch.
        workers: processes that read clips.
        shuffle: the randomness of the order; in the data's order if not given.
        augment: looks at a batch of joints, before they become the formats' streams.
        noise: the randomness of that.
    """
    order = np.arange(len(data)) if shuffle is None else shuffle.permutation(len(data))
    chosen = [order[i : i + size].tolist() for i in range(0, len(order), size)]
    if shuffle is not None and len(chosen) > 1 and len(chosen[-1]) == 1:
        chosen.pop()
    for batch in DataLoader(data, batch_sampler=chosen, num_workers=workers):
        if augment is not None:
            assert noise is not None
            batch = augment(batch, noise)
        yield data.in_stream(batch)
