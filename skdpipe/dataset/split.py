"""The split into training and test videos: as the videos state it, or by holding some out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence, Set
from typing import Literal, Protocol

from skdpipe.config import Fold
from skdpipe.degradation import generator_for
from skdpipe.errors import DataError
from skdpipe.skeleton import SPLITS, TEST_SPLITS, Origin


class Video(Protocol):
    """A video that is split."""

    @property
    def origin(self) -> Origin:
        """Key, label, split and subject."""

    @property
    def testable(self) -> bool:
        """Whether it can be held out."""


def split_videos(videos: Sequence[Video], test_fraction: float, seed: int) -> dict[str, bool]:
    """For each key whether the video is a training video.

    The split that the videos state is used if all labelled ones state it; videos without a label and a split
    are training videos. Otherwise a share is held out.

    Raises:
        DataError: if a split has an unknown name, or only some of the labelled videos name one.
    """
    if not _named_by_all(videos, "split"):
        return hold_out(videos, test_fraction, seed)
    named = {video.origin.key: video.origin.split or "train" for video in videos}
    if unknown := sorted({*named.values()} - SPLITS):
        raise DataError(f"split '{unknown[0]}' is none of {', '.join(sorted(SPLITS))}; correct the CSV")
    return {key: split not in TEST_SPLITS for key, split in named.items()}


def hold_out(videos: Sequence[Video], fraction: float, seed: int) -> dict[str, bool]:
    """For each key True for training, False for held out.

    Whole subjects are held out, or a share of each class if there are no subjects. They are drawn from the
    testable videos; other videos are held out only if they show a held-out subject.
    """
    held_out: set[str] = set()
    for units in _units(videos, seed):
        count = max(1, round(fraction * len(units)))
        held_out.update(key for keys in units[: min(count, len(units) - 1)] for key in keys)
    return _without_tested_subjects(videos, held_out)


def hold_out_fold(videos: Sequence[Video], fold: Fold, seed: int) -> dict[str, bool]:
    """As `hold_out`, for one part of a cross-validation: each testable video is in one part."""
    units = [unit for group in _units(videos, seed) for unit in group]
    held_out = {key for unit in units[fold.number - 1 :: fold.of] for key in unit}
    return _without_tested_subjects(videos, held_out)


def most_folds(videos: Sequence[Video]) -> int:
    """The largest number of parts in which every class has a test video: that of the smallest group."""
    return min(map(len, _groups(videos)), default=0)


def _units(videos: Sequence[Video], seed: int) -> list[list[list[str]]]:
    """The groups with their units in random order."""
    return [
        [units[unit] for unit in sorted(sorted(units), key=lambda unit: generator_for(seed, unit).random())]
        for units in _groups(videos)
    ]


def _groups(videos: Sequence[Video]) -> list[dict[str, list[str]]]:
    """Groups of units, each the keys of testable videos that stay on one side, by name.

    The units are subjects, all in one group, or videos, in a group for each class.
    """
    by_subject = _named_by_all(videos, "subject")
    groups: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
    for origin in (video.origin for video in videos if video.testable):
        group, unit = ("", str(origin.subject)) if by_subject else (str(origin.label), origin.key)
        groups[group].setdefault(unit, []).append(origin.key)
    return list(groups.values())


def _without_tested_subjects(videos: Sequence[Video], held_out: Set[str]) -> dict[str, bool]:
    """True for training videos: those that are neither held out nor show a subject of one that is."""
    origins = [video.origin for video in videos]
    by_subject = _named_by_all(videos, "subject")
    tested = {origin.subject for origin in origins if by_subject and origin.key in held_out}
    testable = {video.origin.key for video in videos if video.testable}
    return {
        origin.key: origin.key not in held_out and (origin.key in testable or origin.subject not in tested)
        for origin in origins
    }


def _named_by_all(videos: Sequence[Video], attribute: Literal["split", "subject"]) -> bool:
    """Whether all labelled videos name their split or subject; an error if only some do."""
    labelled = [video.origin for video in videos if video.origin.label]
    named = sum(bool(getattr(origin, attribute)) for origin in labelled)
    if 0 < named < len(labelled):
        raise DataError(
            f"{named} of {len(labelled)} videos name a {attribute}, the others do not; name it for all or "
            "none"
        )
    return named > 0
