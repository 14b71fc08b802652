"""The split into training and test videos: as the videos state it, or by holding some out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from skdpipe.degradation import generator_for
from skdpipe.errors import DataError
from skdpipe.skeleton import SPLITS, TEST_SPLITS

if TYPE_CHECKING:
    from skdpipe.dataset.manifest import CachedVideo


def split_videos(videos: Sequence[CachedVideo], test_fraction: float, seed: int) -> dict[str, bool]:
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


def hold_out(videos: Sequence[CachedVideo], fraction: float, seed: int) -> dict[str, bool]:
    """For each key True for training, False for held out.

    Whole subjects are held out, or a share of each class if there are no subjects. They are drawn from the
    testable videos; other videos are held out only if they show a held-out subject.
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
        count = max(1, round(fraction * len(units)))
        held_out = set(drawn[: min(count, len(units) - 1)])
        in_train.update({key: unit not in held_out for unit, key in members})
    origins = [video.origin for video in videos]
    tested = {origin.subject for origin in origins if by_subject and not in_train.get(origin.key, True)}
    return {origin.key: in_train.get(origin.key, origin.subject not in tested) for origin in origins}


def _named_by_all(videos: Sequence[CachedVideo], attribute: Literal["split", "subject"]) -> bool:
    """Whether all labelled videos name their split or subject; an error if only some do."""
    labelled = [video.origin for video in videos if video.origin.label]
    named = sum(bool(getattr(origin, attribute)) for origin in labelled)
    if 0 < named < len(labelled):
        raise DataError(
            f"{named} of {len(labelled)} videos name a {attribute}, the others do not; name it for all or "
            "none"
        )
    return named > 0
