"""Labels that are corrected by hand: in all sequences of a clip, of both qualities and all settings.

A corrected sequence also holds the values before (`Origin.corrected`): an extraction keeps the correction,
and it can be undone. The labels are changed clip by clip, under a lock: a relabelling that is killed is
completed by the next call, and of two at the same time the later one wins for each clip.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from skdpipe.cache.pose_cache import PoseCache
from skdpipe.cache.sequence_file import Entry
from skdpipe.errors import CacheError, CacheWriteError, DataError, in_brief
from skdpipe.names import require_label
from skdpipe.progress import Progress
from skdpipe.skeleton import Origin
from skdpipe.skeleton.sequence import split_named
from skdpipe.storage import Place

_Rule = Callable[[Origin], Origin]


@dataclass(frozen=True)
class Correction:
    """The right labels of a clip; None for those that stay as they are.

    Raises:
        DataError: if one is no label, or no name of a split.
    """

    label: str | None = None
    split: str | None = None
    subject: str | None = None

    def __post_init__(self) -> None:
        for what, value in (("label", self.label), ("subject", self.subject)):
            if value is not None:
                require_label(value, "the correction", what)
        if self.split is not None and split_named(self.split) != self.split:
            raise DataError(f"split {in_brief(self.split)} is unknown; expected train, test or val")


@dataclass(frozen=True)
class LabelChange:
    """How the label of a number of clips changes; None stands for no label."""

    before: str | None
    after: str | None
    clips: int


@dataclass(frozen=True)
class RelabelReport:
    """What a relabelling changes, or has changed.

    Attributes:
        clips: number of clips of which a file changes.
        files: number of files that change.
        changes: the changes of labels; clips of which only split, subject or a mark changes have the same
            label before and after.
        unchanged: number of clips of each label that do not change.
        failed: path and reason for each file that cannot be changed.
        missing: keys of which the cache has no sequence.
    """

    clips: int
    files: int
    changes: tuple[LabelChange, ...]
    unchanged: Mapping[str | None, int]
    failed: tuple[tuple[Place, str], ...]
    missing: tuple[str, ...]


def correct_label(cache: PoseCache, key: str, label: str) -> RelabelReport:
    """Correct the label of a clip in all its sequences.

    Args:
        cache: the pose cache.
        key: of the clip.
        label: the right one.

    Raises:
        DataError: if it is no label.
        CacheError: if the key is no digest, the cache cannot be written (`CacheWriteError`), or has no
            sequence of this clip.
    """
    report = relabel_cache(cache, {key: Correction(label)}, write=True)
    if report.missing:
        raise CacheError(f"{cache.root} has no sequence of clip {key:.40}; name a clip of the cache")
    return report


def relabel_cache(
    cache: PoseCache,
    corrections: Mapping[str, Correction],
    *,
    write: bool = False,
    progress: Progress | None = None,
) -> RelabelReport:
    """Correct the labels of clips in all their sequences.

    Args:
        cache: the pose cache.
        corrections: by the key of the clip.
        write: if False, nothing is changed, and the report says what would be.
        progress: shows the number of clips.

    Raises:
        CacheError: if a key is no digest, the cache is in a store, or cannot be written (`CacheWriteError`).
    """

    def corrected(origin: Origin) -> Origin:
        right = corrections[origin.key]
        return origin.correct(right.label, right.split, right.subject)

    return _change(cache, corrected, corrections.keys(), write, progress)


def rename_label(
    cache: PoseCache, old: str, new: str, *, write: bool = False, progress: Progress | None = None
) -> RelabelReport:
    """Rename a class: correct the label of all its clips. Arguments and errors as for `relabel_cache`.

    Raises:
        DataError: if the new name is no label.
    """
    require_label(new, "the new name")
    return _change(
        cache, lambda origin: origin.correct(new) if origin.label == old else origin, None, write, progress
    )


def undo_corrections(
    cache: PoseCache,
    keys: Collection[str] | None = None,
    *,
    write: bool = False,
    progress: Progress | None = None,
) -> RelabelReport:
    """Restore the labels before the corrections, of some clips or of all. Errors as for `relabel_cache`."""
    return _change(cache, Origin.uncorrected, keys, write, progress)


def _change(
    cache: PoseCache, rule: _Rule, keys: Collection[str] | None, write: bool, progress: Progress | None
) -> RelabelReport:
    cache.local_root("correcting labels, which needs locks")
    folders = cache.folders()
    chosen = sorted(cache.all_keys(folders) if keys is None else keys)
    progress = progress or Progress(quiet=True)
    changes, unchanged, files = Counter[tuple[str | None, str | None]](), Counter[str | None](), 0
    failed, missing = list[tuple[Place, str]](), list[str]()
    with progress.task("relabelling" if write else "looking up", len(chosen), unit="clips") as task:
        for number, key in enumerate(chosen, 1):
            clip = _Clip(cache, key, folders, rule)
            if write and clip.changed:
                with cache.changing_labels():
                    clip = _Clip(cache, key, folders, rule)  # another process may have changed it meanwhile
                    clip.write()
            if keys is not None and not clip.paths:
                missing.append(key)
            failed += clip.failed
            files += len(clip.changed)
            changes.update(clip.labels)
            unchanged.update(clip.kept[: not clip.changed])
            task.advance_to(number)
    by_size = sorted(changes.items(), key=lambda item: (-item[1], str(item[0])))
    return RelabelReport(
        clips=sum(changes.values()),
        files=files,
        changes=tuple(LabelChange(before, after, clips) for (before, after), clips in by_size),
        unchanged=dict(unchanged),
        failed=tuple(failed),
        missing=tuple(missing),
    )


class _Clip:
    """The sequences of a clip that a rule changes.

    Attributes:
        paths: of all its sequences.
        changed: header and new labels of those that change.
        kept: the labels of those that do not.
        failed: path and reason of those that cannot be changed.
    """

    def __init__(self, cache: PoseCache, key: str, folders: Sequence[Place], rule: _Rule) -> None:
        self._cache = cache
        self.paths = list(cache.paths_of(key, folders))
        self.changed: list[tuple[Entry, Origin]] = []
        self.kept: list[str | None] = []
        self.failed: list[tuple[Place, str]] = []
        for path in self.paths:
            try:
                entry = cache.describe(path)
            except CacheError as error:
                self.failed.append((path, str(error)))
                continue
            if entry.origin.key != key:
                self.failed.append((path, f"{path} is of clip {entry.origin.key:.40}; move or delete it"))
            elif (origin := rule(entry.origin)) != entry.origin:
                self.changed.append((entry, origin))
            else:
                self.kept.append(entry.origin.label)

    @property
    def labels(self) -> set[tuple[str | None, str | None]]:
        """The label before and after the change, if there is one; usually the same of all sequences."""
        return {(entry.origin.label, origin.label) for entry, origin in self.changed[:1]}

    def write(self) -> None:
        """Write the changed labels.

        Raises:
            CacheWriteError: if nothing can be written to the cache.
        """
        written = []
        for entry, origin in self.changed:
            try:
                self._cache.relabel(entry.path, origin)
                written.append((entry, origin))
            except CacheWriteError:
                raise
            except CacheError as error:
                self.failed.append((entry.path, str(error)))
        self.changed = written
