"""Which clips there are, and on which side of the split each is."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, NamedTuple

from skdpipe.cache import Entry, PoseCache, Quality
from skdpipe.config import Experiment, LabelShares
from skdpipe.degradation import generator_for
from skdpipe.errors import DataError
from skdpipe.skeleton import Origin

Qualities = tuple[Quality, ...]
BOTH: Final[Qualities] = ("high", "low")
_TEST_NAMES: Final = ("test", "val", "valid", "validation")


@dataclass(frozen=True)
class PairedClip:
    """One video of the data set: its label, and where its skeletons of both qualities are.

    Attributes:
        key: digest of the video's content.
        source: the video.
        label: what it shows; empty where nobody has said.
        train: on which side of the split it is.
        high: None where low quality alone shows the clip.
        low: None where high quality alone does, or low is derived from it.
        qualities: those that show the clip; both for every test clip.
        labelled: those of them whose networks are told the label; both for every test clip.
    """

    key: str
    source: str
    label: str
    train: bool
    high: Path | None
    low: Path | None
    qualities: Qualities = BOTH
    labelled: Qualities = BOTH


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

    def part(
        self, *, train: bool, quality: Quality | None = None, labelled: bool = False
    ) -> tuple[PairedClip, ...]:
        """The clips of one side of the split: all, what a quality shows, or what it has labels of."""
        return tuple(
            clip
            for clip in self.clips
            if clip.train is train
            and quality in (None, *clip.qualities)
            and (not labelled or quality in clip.labelled)
        )

    @property
    def digest(self) -> str:
        """Stands for which clips there are: labels, side of the split, and what a quality lacks of them."""
        clips = [
            (
                clip.key,
                clip.label,
                clip.train,
                *(clip.qualities if clip.qualities != BOTH else ()),
                *(("labelled", *clip.labelled) if clip.labelled != clip.qualities else ()),
            )
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
    subject that is held out, is left out. With ``experiment.unlabelled``, the same goes for pairs without a
    label, which are training clips whose label no network is told; ``experiment.labels`` makes such clips of
    labelled ones.

    Raises:
        DataError: if a class that the experiment names is not there, there is nothing to pair, there are no
            labels, fewer than two classes, a class that no training clip shows, an empty side of the split,
            or a split that only some videos name.
    """
    derived = experiment.derive_low is not None
    high_settings = cache.choose_settings("high", experiment.high)
    low_settings = "" if derived else cache.choose_settings("low", experiment.low)
    high = _of_classes(cache.entries("high", high_settings), experiment)
    low = high if derived else _of_classes(cache.entries("low", low_settings), experiment)
    videos = [_Video(high.get(key), low.get(key)) for key in sorted(high.keys() | low.keys())]
    lacks = [_useless(video, experiment) for video in videos]
    left_out = Counter(filter(None, lacks))
    videos = [video for video, lack in zip(videos, lacks, strict=True) if not lack]
    if not any(video.testable for video in videos):
        reasons = ", ".join(f"{count} with {reason}" for reason, count in left_out.items())
        raise DataError(
            f"{cache.root} has no labelled pairs of skeletons ({reasons or 'none at all'}); put the videos "
            "into a folder for each class, or name their labels in a CSV, and run `skdpipe extract`"
        )
    in_train = _split(videos, experiment)
    if experiment.validation:
        left_out["a place in the test (not looked at)"] = sum(not train for train in in_train.values())
        videos = [video for video in videos if in_train[video.origin.key]]
        in_train = _hold_out(videos, experiment.validation, experiment.seed)
    clips = []
    for video in videos:
        train = in_train[video.origin.key]
        qualities = _shown_in_training(video, experiment) if train else video.qualities
        if not train and not video.testable:
            left_out["no label" if qualities == BOTH else "one quality alone (test clips)"] += 1
        elif not qualities:
            left_out["nobody seen (training clips)"] += 1
        else:
            clips.append(_clip(video, train, qualities, derived=derived))
    known = _with_labels(clips, experiment.labels, experiment.seed)
    clips = [clip for clip in known if clip.labelled or clip.qualities == BOTH]
    left_out["neither label nor counterpart (training clips)"] = len(known) - len(clips)
    classes = tuple(sorted({clip.label for clip in clips if clip.label}))
    _require_both_sides(clips, classes, cache)
    return Manifest(tuple(clips), classes, high_settings, low_settings, dict(+left_out))


class _Video(NamedTuple):
    """What the cache has of a video in either quality; one of them at least."""

    high: Entry | None
    low: Entry | None

    @property
    def origin(self) -> Origin:
        entry = self.high or self.low
        assert entry is not None
        return entry.origin

    @property
    def qualities(self) -> Qualities:
        return tuple(quality for quality, entry in zip(BOTH, self, strict=True) if entry is not None)

    @property
    def testable(self) -> bool:
        """Whether every method can be tested on it."""
        return self.qualities == BOTH and bool(self.origin.label)


def _useless(video: _Video, experiment: Experiment) -> str:
    """What it lacks to be of use in this experiment; empty if nothing."""
    if len(video.qualities) == 1 and not experiment.unpaired:
        return f"no {'low' if video.low is None else 'high'}-quality skeletons"
    if not video.origin.label and not (experiment.unlabelled and video.qualities == BOTH):
        return "no label"
    return ""


def _shown_in_training(video: _Video, experiment: Experiment) -> Qualities:
    """The qualities that can train with the video: those that see somebody, if that is enough."""
    seen = tuple(
        quality for quality, entry in zip(BOTH, video, strict=True) if entry is not None and not entry.empty
    )
    alone = experiment.unpaired and bool(video.origin.label)
    return seen if alone or seen == BOTH else ()


def _of_classes(entries: Iterable[Entry], experiment: Experiment) -> dict[str, Entry]:
    """By key what the experiment wants: clips of some labels, and those without any."""
    there = {entry.origin.key: entry for entry in entries}
    only, without = set(experiment.only_classes), set(experiment.without_classes)
    labels = {entry.origin.label for entry in there.values() if entry.origin.label}
    if unknown := sorted((only | without) - labels):
        raise DataError(f"no clips of {', '.join(unknown)}; found {', '.join(sorted(labels)) or 'no labels'}")
    return {
        key: entry
        for key, entry in there.items()
        if entry.origin.label not in without and (not only or entry.origin.label in {None, *only})
    }


def _with_labels(clips: Sequence[PairedClip], shares: LabelShares, seed: int) -> list[PairedClip]:
    """The clips with the qualities that are told their labels: in each class so many, chosen by the seed.

    What the lesser share keeps, the greater keeps as well, as far as both qualities show it.
    """
    told: defaultdict[str, list[Quality]] = defaultdict(list)
    shares_of: dict[Quality, float] = {"high": shares.high, "low": shares.low}
    for quality, share in shares_of.items():
        by_label: defaultdict[str, list[str]] = defaultdict(list)
        for clip in clips:
            if clip.train and clip.label and quality in clip.qualities:
                by_label[clip.label].append(clip.key)
        for keys in by_label.values():
            if share < 1:
                keys.sort(key=lambda key: generator_for(seed, f"{key}:label").random())
            for key in keys[: max(1, round(share * len(keys)))]:
                told[key].append(quality)
    return [replace(clip, labelled=tuple(told[clip.key])) if clip.train else clip for clip in clips]


def _clip(video: _Video, train: bool, qualities: Qualities, *, derived: bool) -> PairedClip:
    high = video.high.path if video.high is not None and "high" in qualities else None
    low = video.low.path if video.low is not None and "low" in qualities and not derived else None
    origin = video.origin
    return PairedClip(origin.key, origin.source, origin.label or "", train, high, low, qualities)


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


def _split(videos: Sequence[_Video], experiment: Experiment) -> dict[str, bool]:
    """For each key whether the video is for training, as all say themselves, or by holding some out.

    Videos without a label need not say it: they are for training then.
    """
    if _named_by_all(videos, "split"):
        named = {video.origin.key: video.origin.split or "train" for video in videos}
        unknown = sorted({*named.values()} - {"train", *_TEST_NAMES})
        if unknown:
            raise DataError(
                f"split '{unknown[0]}' is none of train, {', '.join(_TEST_NAMES)}; correct the CSV"
            )
        return {key: split == "train" for key, split in named.items()}
    return _hold_out(videos, experiment.test_fraction, experiment.seed)


def _hold_out(videos: Sequence[_Video], fraction: float, seed: int) -> dict[str, bool]:
    """Hold out whole subjects, or a share of each class where there are none; False for what is held out.

    They are drawn from what can be tested; of the rest, only what shows a subject that is held out goes.
    """
    by_subject = _named_by_all(videos, "subject")
    groups: dict[str, list[tuple[str, str]]] = {}
    for origin in (video.origin for video in videos if video.testable):
        group, unit = ("", str(origin.subject)) if by_subject else (str(origin.label), origin.key)
        groups.setdefault(group, []).append((unit, origin.key))
    in_train: dict[str, bool] = {}
    for members in groups.values():
        units = sorted({unit for unit, _ in members})
        drawn = sorted(units, key=lambda unit: generator_for(seed, unit).random())
        share = max(1, round(fraction * len(units)))
        held_out = set(drawn[: min(share, len(units) - 1)])
        in_train.update({key: unit not in held_out for unit, key in members})
    origins = [video.origin for video in videos]
    tested = {origin.subject for origin in origins if by_subject and not in_train.get(origin.key, True)}
    return {origin.key: in_train.get(origin.key, origin.subject not in tested) for origin in origins}


def _named_by_all(videos: Sequence[_Video], what: Literal["split", "subject"]) -> bool:
    """Whether the labelled videos name their split, or their subject: all of them must, or none."""
    labelled = [video.origin for video in videos if video.origin.label]
    named = sum(bool(getattr(origin, what)) for origin in labelled)
    if 0 < named < len(labelled):
        raise DataError(
            f"{named} of {len(labelled)} videos name a {what}, the others do not; name it for all or none"
        )
    return named > 0
