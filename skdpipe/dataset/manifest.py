"""The clips of an experiment: labels, cached skeletons of both qualities, and the side of the split."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from skdpipe.cache import Entry, PoseCache, Quality
from skdpipe.config import ClipFormat, Experiment
from skdpipe.dataset.label_shares import with_labelled_qualities
from skdpipe.dataset.split import hold_out, hold_out_fold, most_folds, split_videos
from skdpipe.dataset.subset import draw_subset
from skdpipe.errors import DataError
from skdpipe.skeleton import Origin
from skdpipe.storage import Place

Qualities = tuple[Quality, ...]
BOTH: Final[Qualities] = ("high", "low")

_NOT_VALIDATION: Final = "the test split (not used for validation)"
_OUTSIDE_SUBSET: Final = "a class or number outside the subset"
INTENDED_REASONS: Final = frozenset({_NOT_VALIDATION, _OUTSIDE_SUBSET})
"""Reasons of `Manifest.left_out` that are the purpose of a setting."""


@dataclass(frozen=True, slots=True)
class PairedClip:
    """One video of the data set: its label, and the cached skeletons of both qualities.

    Attributes:
        key: digest of the video's content.
        source: path of the video.
        label: the class; empty for unlabelled clips.
        train: True on the training side of the split.
        high: path of the high-quality sequence, None if there is only low quality.
        low: path of the low-quality sequence, None if there is only high quality or low is derived from it.
        qualities: the qualities that are available; both for every test clip.
        labelled: those of them for which the label is used in training; both for every test clip.
        subject: the person, None if the data does not contain it.
    """

    key: str
    source: str
    label: str
    train: bool
    high: Place | None
    low: Place | None
    qualities: Qualities = BOTH
    labelled: Qualities = BOTH
    subject: str | None = None


@dataclass(frozen=True)
class Manifest:
    """The clips of an experiment.

    Attributes:
        clips: all usable clips, sorted by key.
        classes: the labels, sorted; the position of a label is its class index.
        high, low: the settings folders used; low is empty if low quality is derived.
        left_out: number of cached videos that were not usable, by reason.
        most_folds: number of parts that a cross-validation can have.
        coordinates: 2 or 3, of the skeletons of each quality.
    """

    clips: tuple[PairedClip, ...]
    classes: tuple[str, ...]
    high: str
    low: str
    left_out: dict[str, int]
    most_folds: int
    coordinates: Mapping[Quality, int]

    @property
    def same_coordinates(self) -> bool:
        """Whether both qualities have the same number of coordinates."""
        return self.coordinates["high"] == self.coordinates["low"]

    def clip_format(self, clip: ClipFormat, quality: Quality) -> ClipFormat:
        """The clip format with the number of coordinates that a quality has.

        Raises:
            DataError: if the format is for another number.
        """
        if clip.coordinates not in {None, self.coordinates[quality]}:
            raise DataError(
                f"the skeletons of {quality} quality have {self.coordinates[quality]} coordinates, and "
                f"clip.coordinates is {clip.coordinates}; leave it out, or choose other skeletons"
            )
        return replace(clip, coordinates=2 if self.coordinates[quality] == 2 else 3)

    def part(
        self, *, train: bool, quality: Quality | None = None, labelled: bool = False
    ) -> tuple[PairedClip, ...]:
        """The clips of one side of the split, optionally those of a quality or labelled in that quality."""
        return tuple(
            clip
            for clip in self.clips
            if clip.train is train
            and quality in (None, *clip.qualities)
            and (not labelled or quality in clip.labelled)
        )

    def hold_out(
        self, quality: Quality, fraction: float, seed: int
    ) -> tuple[Manifest, tuple[PairedClip, ...]]:
        """The manifest without a share of the training clips, drawn as the test clips are by `hold_out`.

        Args:
            quality: clips that are labelled in it are drawn.
            fraction: of the subjects, or of each class if there are no subjects.
            seed: of the draw.

        Returns:
            The manifest without them, and the held-out clips that are labelled in the quality.
        """
        videos = [
            _TrainingVideo(
                Origin(clip.source, clip.key, label=clip.label or None, subject=clip.subject),
                quality in clip.labelled,
            )
            for clip in self.part(train=True)
        ]
        in_training = hold_out(videos, fraction, seed)
        kept = tuple(clip for clip in self.clips if in_training.get(clip.key, True))
        held_out = tuple(
            clip
            for clip in self.part(train=True, quality=quality, labelled=True)
            if not in_training[clip.key]
        )
        return replace(self, clips=kept), held_out

    @property
    def digest(self) -> str:
        """Identifies the set of clips: labels, split, and missing or unlabelled qualities."""
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
    """Pair the cached qualities of each video and split the videos into training and test clips.

    The split is the one stored with the videos (validation counts as test). Without a stored split, whole
    subjects are held out; without subjects, a share of each class, chosen by the seed. A training clip in
    which a quality shows nobody is left out; such test clips stay. With ``experiment.validation`` the test
    clips are left out and a share of the training clips, held out in the same way, takes their place.

    With ``experiment.unpaired``, videos of which only one quality is available (the other is not cached or
    shows nobody) are training clips for the methods that use that quality. The split and the test clips are
    those of the paired videos, so that all methods are tested on the same clips; an unpaired video on the
    test side, or of a held-out subject, is left out. With ``experiment.unlabelled``, pairs without a label
    are training clips in the same way. ``experiment.labels`` turns labelled training clips into unlabelled
    ones.

    Raises:
        DataError: if a quality has skeletons of two and of three coordinates, a class named by the experiment
            is missing, there are no pairs, no labels, fewer than
            two classes, a test class without training clips, an empty side of the split, or a split that only
            some videos name.
    """
    derived = experiment.derive_low is not None
    high_settings = cache.choose_settings("high", experiment.high)
    low_settings = "" if derived else cache.choose_settings("low", experiment.low)
    high = _of_classes(cache.entries("high", high_settings), experiment)
    low = high if derived else _of_classes(cache.entries("low", low_settings), experiment)
    videos = [CachedVideo(high.get(key), low.get(key)) for key in sorted(high.keys() | low.keys())]
    missing = [_missing(video, experiment) for video in videos]
    left_out = Counter(filter(None, missing))
    videos = [video for video, reason in zip(videos, missing, strict=True) if not reason]
    if not any(video.testable for video in videos):
        reasons = ", ".join(f"{count} with {reason}" for reason, count in left_out.items())
        raise DataError(
            f"{cache.root} has no labelled pairs of skeletons ({reasons or 'none at all'}); put the videos "
            "into a folder for each class, or name their labels in a CSV, and run `skdpipe extract`"
        )
    if experiment.fold is None:
        in_train = split_videos(videos, experiment.test_fraction, experiment.seed)
    else:
        in_train = hold_out_fold(videos, experiment.fold, experiment.seed)
    if experiment.validation:
        left_out[_NOT_VALIDATION] = sum(not train for train in in_train.values())
        videos = [video for video in videos if in_train[video.origin.key]]
        in_train = hold_out(videos, experiment.validation, experiment.seed)
    clips = []
    for video in videos:
        train = in_train[video.origin.key]
        qualities = _training_qualities(video, experiment) if train else video.qualities
        if not train and not video.testable:
            left_out["no label" if qualities == BOTH else "one quality only (test clips)"] += 1
        elif not qualities:
            left_out["no person detected (training clips)"] += 1
        else:
            clips.append(_clip(video, train, qualities, derived=derived))
    drawn = draw_subset(clips, experiment.subset, experiment.seed)
    left_out[_OUTSIDE_SUBSET] = len(clips) - len(drawn)
    marked = with_labelled_qualities(drawn, experiment.labels, experiment.seed)
    clips = [clip for clip in marked if clip.labelled or clip.qualities == BOTH]
    left_out["neither label nor counterpart (training clips)"] = len(marked) - len(clips)
    classes = tuple(sorted({clip.label for clip in clips if clip.label}))
    _require_both_sides(clips, classes, cache)
    folds = most_folds(videos)
    coordinates: dict[Quality, int] = {
        "high": _coordinates(high.values(), cache, "high", high_settings),
        "low": _coordinates(low.values(), cache, "low", low_settings),
    }
    return Manifest(tuple(clips), classes, high_settings, low_settings, dict(+left_out), folds, coordinates)


def _coordinates(entries: Iterable[Entry], cache: PoseCache, quality: Quality, settings: str) -> int:
    found = sorted({entry.coordinates for entry in entries})
    if len(found) != 1:
        raise DataError(
            f"{cache.root}/{quality}/{settings} has skeletons of {' and of '.join(map(str, found))} "
            "coordinates; expected one kind: import them into caches of their own"
        )
    return found[0]


class _TrainingVideo(NamedTuple):
    """A training clip as a video that is split."""

    origin: Origin
    testable: bool


class CachedVideo(NamedTuple):
    """The cache entries of one video; at least one of the two exists."""

    high: Entry | None
    low: Entry | None

    @property
    def origin(self) -> Origin:
        """Source and labels of the video."""
        entry = self.high or self.low
        assert entry is not None
        return entry.origin

    @property
    def qualities(self) -> Qualities:
        """The qualities that are cached."""
        return tuple(quality for quality, entry in zip(BOTH, self, strict=True) if entry is not None)

    @property
    def testable(self) -> bool:
        """True if every method can be tested on the video: both qualities and a label."""
        return self.qualities == BOTH and bool(self.origin.label)


def _missing(video: CachedVideo, experiment: Experiment) -> str:
    """What the video lacks for this experiment; empty if nothing."""
    if len(video.qualities) == 1 and not experiment.unpaired:
        return f"no {'low' if video.low is None else 'high'}-quality skeletons"
    if not video.origin.label and not (experiment.unlabelled and video.qualities == BOTH):
        return "no label"
    return ""


def _training_qualities(video: CachedVideo, experiment: Experiment) -> Qualities:
    """The qualities in which a person was detected, if they suffice for training."""
    detected = tuple(
        quality for quality, entry in zip(BOTH, video, strict=True) if entry is not None and not entry.empty
    )
    single = experiment.unpaired and bool(video.origin.label)
    return detected if single or detected == BOTH else ()


def _of_classes(entries: Iterable[Entry], experiment: Experiment) -> dict[str, Entry]:
    """By key, the entries of the experiment's classes, and those without a label."""
    found = {entry.origin.key: entry for entry in entries}
    only, without = set(experiment.only_classes), set(experiment.without_classes)
    labels = {entry.origin.label for entry in found.values() if entry.origin.label}
    if unknown := sorted((only | without) - labels):
        raise DataError(f"no clips of {', '.join(unknown)}; found {', '.join(sorted(labels)) or 'no labels'}")
    return {
        key: entry
        for key, entry in found.items()
        if entry.origin.label not in without and (not only or entry.origin.label in {None, *only})
    }


def _clip(video: CachedVideo, train: bool, qualities: Qualities, *, derived: bool) -> PairedClip:
    high = video.high.path if video.high is not None and "high" in qualities else None
    low = video.low.path if video.low is not None and "low" in qualities and not derived else None
    origin = video.origin
    return PairedClip(
        origin.key, origin.source, origin.label or "", train, high, low, qualities, subject=origin.subject
    )


def _require_both_sides(clips: Sequence[PairedClip], classes: Sequence[str], cache: PoseCache) -> None:
    counts = Counter(clip.train for clip in clips)
    if len(classes) < 2 or not counts[True] or not counts[False]:
        raise DataError(
            f"{cache.root} gives {len(classes)} classes, {counts[True]} training and {counts[False]} test "
            "clips; expected two or more classes and clips on both sides of the split: extract more videos"
        )
    for quality in BOTH:
        trained = {clip.label for clip in clips if clip.train and quality in clip.qualities}
        unknown = sorted({clip.label for clip in clips if not clip.train} - trained)
        if unknown:
            raise DataError(
                f"no training clip of {', '.join(unknown)}; expected one or more of each class in {quality} "
                "quality: extract more videos, or change the split"
            )
