"""Which clips there are, and on which side of the split each is."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from skdpipe.cache import Entry, PoseCache, Quality
from skdpipe.config import Experiment
from skdpipe.degrade import generator_for
from skdpipe.errors import DataError

BOTH: Final[tuple[Quality, ...]] = ("high", "low")
_TEST_NAMES: Final = ("test", "val", "valid", "validation")


@dataclass(frozen=True)
class PairedClip:
    """One video of the data set: its label, and where its skeletons of both qualities are.

    Attributes:
        key: digest of the video's content.
        source: the video.
        label: what it shows.
        train: on which side of the split it is.
        high: None where low quality alone shows the clip.
        low: None where high quality alone does, or low is derived from it.
        qualities: those that show the clip; both for every test clip.
    """

    key: str
    source: str
    label: str
    train: bool
    high: Path | None
    low: Path | None
    qualities: tuple[Quality, ...] = BOTH


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

    def part(self, *, train: bool, quality: Quality | None = None) -> tuple[PairedClip, ...]:
        """The clips of one side of the split; if a quality is given, those that it shows."""
        return tuple(
            clip for clip in self.clips if clip.train is train and quality in (None, *clip.qualities)
        )

    @property
    def digest(self) -> str:
        """Stands for which clips there are, with their labels, side of the split and missing qualities."""
        clips = [
            (clip.key, clip.label, clip.train, *(clip.qualities if clip.qualities != BOTH else ()))
            for clip in self.clips
        ]
        return hashlib.sha256(json.dumps(clips).encode()).hexdigest()[:16]


def build_manifest(cache: PoseCache, experiment: Experiment) -> Manifest:
    """Pair the cached qualities of each video and split them.

    The split is the one stored with the videos (validation counts as test); where there is none, whole
    subjects are held out, and where there are no subjects either, a share of each class, chosen by the
    seed. Training clips in which a quality shows nobody are left out; such test clips stay. With
    ``experiment.validation``, the test clips are left out, and a share of the training clips is tested, held
    out in the same manner.

    With ``experiment.unpaired``, videos that one quality alone shows, be it that the other was not cached or
    sees nobody, are training clips for what learns from that quality. Split and test clips are those of the
    paired videos, so that every method is tested on the same; an unpaired video of the test side, or of a
    subject that is held out, is left out.

    Raises:
        DataError: if a class that the experiment names is not there, there is nothing to pair, there are no
            labels, fewer than two classes, a class that no training clip shows, an empty side of the split,
            or a split that only some videos name.
    """
    derived = experiment.derive_low is not None
    high_settings = choose_settings(cache, "high", experiment.high)
    low_settings = "" if derived else choose_settings(cache, "low", experiment.low)
    high = _of_classes(cache.entries("high", high_settings), experiment)
    low = high if derived else _of_classes(cache.entries("low", low_settings), experiment)
    alone = _alone(high, low)
    known = {**low, **high} if experiment.unpaired else high
    left_out = Counter({"no label": sum(entry.origin.label is None for entry in known.values())})
    if not experiment.unpaired:
        left_out["no low-quality skeletons"] = sum(quality == "high" for _, quality in alone.values())
        left_out["no high-quality skeletons"] = sum(quality == "low" for _, quality in alone.values())
        alone = {}
    alone = {key: (entry, quality) for key, (entry, quality) in alone.items() if entry.origin.label}
    paired = [entry for key, entry in sorted(high.items()) if entry.origin.label and key in low]
    if not paired:
        reasons = ", ".join(f"{count} with {reason}" for reason, count in (+left_out).items())
        raise DataError(
            f"{cache.root} has no labelled pairs of skeletons ({reasons or 'none at all'}); put the videos "
            "into a folder for each class, or name their labels in a CSV, and run `skdpipe extract`"
        )
    in_train = _split(paired, [entry for entry, _ in alone.values()], experiment)
    if experiment.validation:
        left_out["a place in the test (not looked at)"] = sum(not train for train in in_train.values())
        paired = [entry for entry in paired if in_train[entry.origin.key]]
        alone = {key: (entry, quality) for key, (entry, quality) in alone.items() if in_train[key]}
        others = [entry for entry, _ in alone.values()]
        in_train = _hold_out(paired, others, experiment.validation, experiment.seed)
    clips = []
    for entry in paired:
        key, low_entry = entry.origin.key, low[entry.origin.key]
        if in_train[key] and (entry.empty or low_entry.empty):
            if experiment.unpaired and not (entry.empty and low_entry.empty):
                alone[key] = (low_entry, "low") if entry.empty else (entry, "high")
            else:
                left_out["nobody seen (training clips)"] += 1
            continue
        clips.append(_clip(entry, in_train[key], entry.path, None if derived else low_entry.path))
    for key, (entry, quality) in alone.items():
        if not in_train[key]:
            left_out["one quality alone (test clips)"] += 1
        elif entry.empty:
            left_out["nobody seen (training clips)"] += 1
        else:
            high_path, low_path = (entry.path, None) if quality == "high" else (None, entry.path)
            clips.append(_clip(entry, True, high_path, low_path, (quality,)))
    clips.sort(key=lambda clip: clip.key)
    classes = tuple(sorted({clip.label for clip in clips}))
    _require_both_sides(clips, classes, cache)
    return Manifest(tuple(clips), classes, high_settings, low_settings, dict(+left_out))


def _of_classes(entries: Iterable[Entry], experiment: Experiment) -> dict[str, Entry]:
    """By key what has a label that the experiment wants."""
    there = {entry.origin.key: entry for entry in entries}
    only, without = set(experiment.only_classes), set(experiment.without_classes)
    labels = {entry.origin.label for entry in there.values() if entry.origin.label}
    if unknown := sorted((only | without) - labels):
        raise DataError(f"no clips of {', '.join(unknown)}; found {', '.join(sorted(labels)) or 'no labels'}")
    return {
        key: entry
        for key, entry in there.items()
        if entry.origin.label not in without and (not only or entry.origin.label in only)
    }


def _alone(high: Mapping[str, Entry], low: Mapping[str, Entry]) -> dict[str, tuple[Entry, Quality]]:
    """By key what one quality alone has, and which."""
    found: dict[str, tuple[Entry, Quality]] = {}
    found.update({key: (entry, "high") for key, entry in high.items() if key not in low})
    found.update({key: (entry, "low") for key, entry in low.items() if key not in high})
    return found


def _clip(
    entry: Entry, train: bool, high: Path | None, low: Path | None, qualities: tuple[Quality, ...] = BOTH
) -> PairedClip:
    origin = entry.origin
    assert origin.label is not None
    return PairedClip(origin.key, origin.source, origin.label, train, high, low, qualities)


def _require_both_sides(clips: Sequence[PairedClip], classes: Sequence[str], cache: PoseCache) -> None:
    counts = Counter(clip.train for clip in clips)
    if len(classes) < 2 or not counts[True] or not counts[False]:
        raise DataError(
            f"{cache.root} gives {len(classes)} classes, {counts[True]} training and {counts[False]} test "
            "clips; expected two classes or more and clips on both sides of the split: extract more videos"
        )
    for quality in BOTH:
        shown = {clip.label for clip in clips if clip.train and quality in clip.qualities}
        unknown = sorted({clip.label for clip in clips if not clip.train} - shown)
        if unknown:
            raise DataError(
                f"no training clip of {', '.join(unknown)}; expected one or more of each class in {quality} "
                "quality: extract more videos, or change the split"
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


def _split(entries: Sequence[Entry], others: Sequence[Entry], experiment: Experiment) -> dict[str, bool]:
    """For each key whether the clip is for training; nobody is held out for the sake of the others."""
    everything = [*entries, *others]
    if _named_by_all(everything, "split"):
        unknown = sorted({str(entry.origin.split) for entry in everything} - {"train", *_TEST_NAMES})
        if unknown:
            raise DataError(
                f"split '{unknown[0]}' is none of train, {', '.join(_TEST_NAMES)}; correct the CSV"
            )
        return {entry.origin.key: entry.origin.split == "train" for entry in everything}
    return _hold_out(entries, others, experiment.test_fraction, experiment.seed)


def _hold_out(
    entries: Sequence[Entry], others: Sequence[Entry], fraction: float, seed: int
) -> dict[str, bool]:
    """Hold out whole subjects, or a share of each class where there are none; False for what is held out."""
    by_subject = _named_by_all([*entries, *others], "subject")
    groups: dict[str, list[tuple[str, str]]] = {}
    for entry in entries:
        origin = entry.origin
        group, unit = ("", str(origin.subject)) if by_subject else (str(origin.label), origin.key)
        groups.setdefault(group, []).append((unit, origin.key))
    in_train: dict[str, bool] = {}
    for members in groups.values():
        units = sorted({unit for unit, _ in members})
        drawn = sorted(units, key=lambda unit: generator_for(seed, unit).random())
        share = max(1, round(fraction * len(units)))
        held_out = set(drawn[: min(share, len(units) - 1)])
        in_train.update({key: unit not in held_out for unit, key in members})
    tested = {entry.origin.subject for entry in entries if by_subject and not in_train[entry.origin.key]}
    return {**{entry.origin.key: entry.origin.subject not in tested for entry in others}, **in_train}


def _named_by_all(entries: Sequence[Entry], what: Literal["split", "subject"]) -> bool:
    """Whether the videos name their split, or their subject: all of them must, or none."""
    named = sum(bool(getattr(entry.origin, what)) for entry in entries)
    if 0 < named < len(entries):
        raise DataError(
            f"{named} of {len(entries)} videos name a {what}, the others do not; name it for all or none"
        )
    return named > 0
