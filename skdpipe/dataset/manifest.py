"""Which clips there are, and on which side of the split each is."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skdpipe.cache import Entry, PoseCache, Quality
from skdpipe.config import Experiment
from skdpipe.degrade import generator_for
from skdpipe.errors import DataError

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

    @property
    def digest(self) -> str:
        """Stands for which clips there are, with their labels and their side of the split."""
        clips = [(clip.key, clip.label, clip.train) for clip in self.clips]
        return hashlib.sha256(json.dumps(clips).encode()).hexdigest()[:16]


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
    high_settings = choose_settings(cache, "high", experiment.high)
    low_settings = "" if derived else choose_settings(cache, "low", experiment.low)
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


def choose_settings(cache: PoseCache, quality: Quality, wanted: str) -> str:
    """The settings folder that is wanted, or the only one there is.

    Raises:
        DataError: if there is no such folder, or none or several where none is named.
    """
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
