"""How a clip becomes a tensor, and clips a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from skdpipe.cache import PoseCache
from skdpipe.config import ClipFormat, Degradation
from skdpipe.dataset.manifest import PairedClip
from skdpipe.dataset.streams import in_stream
from skdpipe.degrade import degrade
from skdpipe.pose.tracking import match_people, select_people
from skdpipe.skeleton import PoseSequence, layout_named, map_layout
from skdpipe.transforms import (
    interpolate_frames,
    normalise_by_body,
    normalise_by_picture,
    replay,
    resample,
    smooth,
    to_network,
)


class Sample(NamedTuple):
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


Batch = Sample


def prepare(sequence: PoseSequence, clip: ClipFormat) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A sequence as a network's input.

    In this order: joints mapped to the clip's layout, people chosen, smoothed, sampled frames joined
    by interpolation, brought to the clip's length, normalised, NaN to 0, joints to the format's stream.

    Returns:
        The clip ``(person, channel, frame, joint)`` and which people are seen ``(person,)``.

    Raises:
        DataError: if the layout cannot be mapped or the video has no frames.
    """
    sequence = with_people(map_layout(sequence, layout_named(clip.layout)), clip.people)
    sequence = sequence.with_keypoints(smooth(sequence.keypoints, clip.smoothing))
    if len(sequence.frame_index) < sequence.video_frames:
        sequence = interpolate_frames(sequence)
    to_length = resample if clip.fill == "resample" else replay
    keypoints = to_length(sequence.keypoints, clip.frames)
    if clip.scale == "body":
        keypoints = normalise_by_body(keypoints)
    else:
        keypoints = normalise_by_picture(keypoints, sequence.size)
    seen: NDArray[np.bool_] = np.any(keypoints[..., 2] > 0, axis=(0, 2))
    return to_stream(torch.from_numpy(to_network(keypoints)), clip).numpy(), seen


def to_stream(joints: Tensor, clip: ClipFormat) -> Tensor:
    """Prepared joints ``(..., channel, frame, joint)`` as the format's stream shows them."""
    return in_stream(joints, clip.stream, layout_named(clip.layout).parents)


def with_people(sequence: PoseSequence, count: int) -> PoseSequence:
    """The sequence with so many places for people; as it is where it has them already."""
    if sequence.people == count:
        return sequence
    return sequence.with_keypoints(select_people(sequence.keypoints, count))


class PairedClips(Dataset[Sample]):
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
        self._kept: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self._clips)

    def begin_epoch(self, epoch: int) -> None:
        """Say which epoch begins: if views are to be fresh, those of the epoch before are forgotten."""
        if self._fresh and epoch != self._epoch:
            self._epoch = epoch
            self._kept.clear()

    def __getitem__(self, index: int) -> Sample:
        if index not in self._kept:
            self._kept[index] = self._read(index)
        return self._kept[index]

    def _read(self, index: int) -> Sample:
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
        return Sample(high_clip, high_mask, low_clip, low_mask, paired, *numbers)

    def in_stream(self, batch: Batch) -> Batch:
        """A batch of joints as both networks see it."""
        return batch._replace(high=to_stream(batch.high, self._high), low=to_stream(batch.low, self._low))


def _joints(sequence: PoseSequence | None, clip: ClipFormat) -> tuple[Tensor, Tensor]:
    if sequence is None:
        nobody = torch.zeros(clip.people, dtype=torch.bool)
        return torch.zeros(clip.people, 3, clip.frames, len(layout_named(clip.layout))), nobody
    joints, seen = prepare(sequence, replace(clip, stream="joint"))
    return torch.from_numpy(joints), torch.from_numpy(seen)


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
