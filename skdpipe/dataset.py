"""From the cache to batches: which clips there are, how they are split, and how a clip becomes a tensor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from skdpipe.cache import Entry, PoseCache, Quality
from skdpipe.config import ClipFormat, Degradation, Experiment
from skdpipe.degrade import generator_for, occlude, sample_frames
from skdpipe.errors import DataError
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

_TEST_NAMES = ("test", "val", "valid", "validation")


@dataclass(frozen=True)
class PairedClip:
    """One video of the data set: its label, and where its skeletons of both qualities are.

    ``low`` is None where low quality is derived from high.
    """

    key: str
    source: str
    label: str
    train: bool
    high: Path
    low: Path | None


@dataclass(frozen=True)
class Manifest:
    """The clips of an experiment.

    Attributes:
        clips: every usable clip, sorted by key.
        classes: the labels, sorted; a label's place is its class index.
        high, low: the settings folders that were used; low is empty where it is derived.
        left_out: how many cached videos were not usable, by reason.
    """

    clips: tuple[PairedClip, ...]
    classes: tuple[str, ...]
    high: str
    low: str
    left_out: dict[str, int]

    def part(self, *, train: bool) -> tuple[PairedClip, ...]:
        """The clips of one side of the split."""
        return tuple(clip for clip in self.clips if clip.train is train)


def build_manifest(cache: PoseCache, experiment: Experiment) -> Manifest:
    """Pair the cached qualities of each video and split them.

    The split is the one stored with the videos (validation counts as test); where there is none, whole
    subjects are held out, and where there are no subjects either, a share of each class, chosen by the
    seed. Training clips in which a quality shows nobody are left out; such test clips stay.

    Raises:
        DataError: if there is nothing to pair, there are no labels, fewer than two classes, a class that no
            training clip shows, an empty side of the split, or a split that only some videos name.
    """
    derived = experiment.derive_low is not None
    high_settings = _choose(cache, "high", experiment.high)
    low_settings = "" if derived else _choose(cache, "low", experiment.low)
    high = {entry.origin.key: entry for entry in cache.entries("high", high_settings)}
    low = high if derived else {entry.origin.key: entry for entry in cache.entries("low", low_settings)}
    left_out = Counter(
        {
            "no label": sum(entry.origin.label is None for entry in high.values()),
            "no low-quality skeletons": sum(key not in low for key in high),
            "no high-quality skeletons": sum(key not in high for key in low),
        }
    )
    usable = [entry for key, entry in sorted(high.items()) if entry.origin.label and key in low]
    if not usable:
        reasons = ", ".join(f"{count} with {reason}" for reason, count in (+left_out).items())
        raise DataError(
            f"{cache.root} has no labelled pairs of skeletons ({reasons or 'none at all'}); put the videos "
            "into a folder for each class, or name their labels in a CSV, and run `skdpipe extract`"
        )
    in_train = _split(usable, experiment)
    clips = []
    for entry in usable:
        origin, train = entry.origin, in_train[entry.origin.key]
        if train and (entry.empty or low[origin.key].empty):
            left_out["nobody seen (training clips)"] += 1
            continue
        assert origin.label is not None
        low_path = None if derived else low[origin.key].path
        clips.append(PairedClip(origin.key, origin.source, origin.label, train, entry.path, low_path))
    classes = tuple(sorted({clip.label for clip in clips}))
    _require_both_sides(clips, classes, cache)
    return Manifest(tuple(clips), classes, high_settings, low_settings, dict(+left_out))


def _require_both_sides(clips: Sequence[PairedClip], classes: Sequence[str], cache: PoseCache) -> None:
    counts = Counter(clip.train for clip in clips)
    if len(classes) < 2 or not counts[True] or not counts[False]:
        raise DataError(
            f"{cache.root} gives {len(classes)} classes, {counts[True]} training and {counts[False]} test "
            "clips; expected two classes or more and clips on both sides of the split: extract more videos"
        )
    unknown = sorted(set(classes) - {clip.label for clip in clips if clip.train})
    if unknown:
        raise DataError(
            f"no training clip of {', '.join(unknown)}; expected one or more of each class: extract more "
            "videos, or change the split"
        )


def _choose(cache: PoseCache, quality: Quality, wanted: str) -> str:
    there = cache.settings_of(quality)
    if wanted:
        if wanted not in there:
            raise DataError(
                f"{cache.root} has no {quality} settings '{wanted}'; found {', '.join(there) or 'none'}"
            )
        return wanted
    if len(there) != 1:
        hint = "run `skdpipe extract` first" if not there else f"choose one with --set {quality}=NAME"
        raise DataError(
            f"{cache.root} has {len(there)} {quality} settings ({', '.join(there) or 'none'}); {hint}"
        )
    return there[0]


def _split(entries: Sequence[Entry], experiment: Experiment) -> dict[str, bool]:
    """For each key whether the clip is for training."""
    if _named_by_all(entries, "split"):
        unknown = sorted({str(entry.origin.split) for entry in entries} - {"train", *_TEST_NAMES})
        if unknown:
            raise DataError(
                f"split '{unknown[0]}' is none of train, {', '.join(_TEST_NAMES)}; correct the CSV"
            )
        return {entry.origin.key: entry.origin.split == "train" for entry in entries}
    by_subject = _named_by_all(entries, "subject")
    groups: dict[str, list[tuple[str, str]]] = {}
    for entry in entries:
        origin = entry.origin
        group, unit = ("", str(origin.subject)) if by_subject else (str(origin.label), origin.key)
        groups.setdefault(group, []).append((unit, origin.key))
    in_train: dict[str, bool] = {}
    for members in groups.values():
        units = sorted({unit for unit, _ in members})
        drawn = sorted(units, key=lambda unit: generator_for(experiment.seed, unit).random())
        share = max(1, round(experiment.test_fraction * len(units)))
        held_out = set(drawn[: min(share, len(units) - 1)])
        in_train.update({key: unit not in held_out for unit, key in members})
    return in_train


def _named_by_all(entries: Sequence[Entry], what: Literal["split", "subject"]) -> bool:
    """Whether the videos name their split, or their subject: all of them must, or none."""
    named = sum(bool(getattr(entry.origin, what)) for entry in entries)
    if 0 < named < len(entries):
        raise DataError(
            f"{named} of {len(entries)} videos name a {what}, the others do not; name it for all or none"
        )
    return named > 0


class Sample(NamedTuple):
    """One clip, or a batch of them with a batch axis in front.

    Attributes:
        high, low: what teacher and student see, ``(person, channel, frame, joint)`` float32.
        high_mask, low_mask: ``(person,)`` bool, True for people who are seen.
        paired: ``(person,)`` bool, True where both views show the same person; only there may features
            be compared.
        label: class index.
    """

    high: Tensor
    high_mask: Tensor
    low: Tensor
    low_mask: Tensor
    paired: Tensor
    label: Tensor


Batch = Sample


def prepare(sequence: PoseSequence, clip: ClipFormat) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A sequence as a network's input.

    In this order: joints mapped to the clip's layout, people chosen, smoothed, sampled frames joined
    by interpolation, brought to the clip's length, normalised, NaN to 0.

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
    return to_network(keypoints), seen


def with_people(sequence: PoseSequence, count: int) -> PoseSequence:
    """The sequence with so many places for people; as it is where it has them already."""
    if sequence.people == count:
        return sequence
    return sequence.with_keypoints(select_people(sequence.keypoints, count))


class PairedClips(Dataset[Sample]):
    """The clips of a manifest as tensors; a clip is read and prepared once and then kept in memory.

    Args:
        cache: where the sequences are.
        clips: which.
        classes: all labels in class order.
        high: the teacher's clip format.
        low: the student's; differs in its smoothing.
        derive: how low quality comes from high, or None where it is cached.
        seed: of the occlusion.
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
    ) -> None:
        self._cache, self._clips, self._derive, self._seed = cache, clips, derive, seed
        self._high, self._low = high, low
        self._class_of = {label: index for index, label in enumerate(classes)}
        self._kept: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> Sample:
        if index not in self._kept:
            self._kept[index] = self._read(self._clips[index])
        return self._kept[index]

    def _read(self, clip: PairedClip) -> Sample:
        high = with_people(self._cache.load(clip.high), self._high.people)
        if self._derive is not None:
            low = degrade(high, self._derive, self._seed)
            same_places = set(range(self._high.people))
        else:
            assert clip.low is not None
            low, pairs = match_people(high, with_people(self._cache.load(clip.low), self._low.people))
            same_places = {place for place, _ in pairs.pairs}
        high_clip, high_mask = map(torch.from_numpy, prepare(high, self._high))
        low_clip, low_mask = map(torch.from_numpy, prepare(low, self._low))
        paired = high_mask & low_mask & torch.tensor([i in same_places for i in range(len(high_mask))])
        label = torch.tensor(self._class_of[clip.label])
        return Sample(high_clip, high_mask, low_clip, low_mask, paired, label)


def degrade(sequence: PoseSequence, settings: Degradation, seed: int) -> PoseSequence:
    """Low quality from high; the same for the same seed and video."""
    sampled = sample_frames(sequence, settings.every)
    return occlude(sampled, settings.occlusion, generator_for(seed, sequence.origin.key))


def batches(
    data: PairedClips, size: int, *, workers: int = 0, shuffle: np.random.Generator | None = None
) -> Iterator[Batch]:
    """One epoch of batches, in order or shuffled.

    A shuffled epoch leaves out a last batch of one clip: batch normalisation has nothing to compare it with.
    """
    order = np.arange(len(data)) if shuffle is None else shuffle.permutation(len(data))
    chosen = [order[i : i + size].tolist() for i in range(0, len(order), size)]
    if shuffle is not None and len(chosen) > 1 and len(chosen[-1]) == 1:
        chosen.pop()
    yield from DataLoader(data, batch_sampler=chosen, num_workers=workers)


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


Augment = Callable[[Batch, np.random.Generator], Batch]
