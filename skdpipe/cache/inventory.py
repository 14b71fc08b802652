"""What a pose cache contains, and whether its files are whole.

`summarise_cache` reads the headers only. `verify_cache` reads every file in full and compares its checksum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Final, Literal, get_args

from skdpipe.atomic_file import find_leftovers, is_unfinished
from skdpipe.cache.import_index import IMPORT_INDEX
from skdpipe.cache.pose_cache import LABELS_LOCK, PoseCache, is_entry, names_of
from skdpipe.cache.sequence_file import KNOWN_FIELDS, Entry, Quality, read_entry, read_whole
from skdpipe.cache.video_index import is_of_index
from skdpipe.errors import CacheError, CacheReadError, in_brief, in_one_line
from skdpipe.progress import Progress
from skdpipe.storage import Place, is_file, is_folder, state_of
from skdpipe.tensor_file import (
    NewerFormatError,
    OtherFormatError,
    TensorFileError,
    has_valid_checksum,
    read_header,
)

Kind = Literal["damaged", "misplaced", "unreadable", "unknown"]

ESTIMATOR_FILE: Final = "estimator.yaml"
"""Name of the file with the estimator's settings in a settings folder."""
_KNOWN: Final = {
    ESTIMATOR_FILE: "settings of the estimator",
    IMPORT_INDEX: "index of imported files",
    LABELS_LOCK: "lock of the labels",
    "README.md": "description",
}


@dataclass(frozen=True)
class FolderSummary:
    """What a settings folder of the cache contains, by the headers of its files.

    Attributes:
        quality, settings: the folder.
        estimators: fingerprints in its entries, sorted; one, unless entries of several were put there.
        files: number of files of sequences, whole or not.
        bytes: their size.
        labels: number of clips of each label, sorted by label.
        unlabelled: number of clips without a label.
        corrected: number of clips whose label, split or subject was corrected by hand.
        empty: number of clips in which no joint is seen.
        damaged: number of files with a header that cannot be used or does not fit the file's length.
        unknown: number of files of a later version, or of another format.
        leftovers: number of unfinished files whose process no longer exists.
        others: names of files and folders of no known kind, sorted.
        oldest, newest: times of the oldest and of the newest file, in seconds since 1970; 0 without files.
    """

    quality: Quality
    settings: str
    estimators: tuple[str, ...] = ()
    files: int = 0
    bytes: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    unlabelled: int = 0
    corrected: int = 0
    empty: int = 0
    damaged: int = 0
    unknown: int = 0
    leftovers: int = 0
    others: tuple[str, ...] = ()
    oldest: float = 0.0
    newest: float = 0.0

    @property
    def labelled(self) -> int:
        """Number of clips with a label."""
        return sum(self.labels.values())

    @property
    def classes(self) -> int:
        """Number of different labels."""
        return len(self.labels)


@dataclass(frozen=True)
class CacheFinding:
    """A file of the cache that is not as it should be.

    Attributes:
        path: the file.
        kind: damaged: its bytes changed, or it is incomplete; misplaced: its content is that of another path;
            unreadable: the system does not let it be read; unknown: whole as far as it can be verified, but
            of a later version or of another format.
        text: what was found.
        remedy: what to do.
    """

    path: Place
    kind: Kind
    text: str
    remedy: str


@dataclass(frozen=True)
class VerifyReport:
    """The result of `verify_cache`.

    Attributes:
        files: number of files read.
        bytes: their size.
        findings: the files that are not as they should be, by path.
        unverifiable: whole files without a checksum, which earlier versions wrote: changed keypoints would
            not be noticed.
    """

    files: int
    bytes: int
    findings: tuple[CacheFinding, ...]
    unverifiable: tuple[Place, ...]

    def count(self, kind: Kind) -> int:
        """Number of findings of a kind."""
        return sum(finding.kind == kind for finding in self.findings)


def summarise_cache(
    cache: PoseCache, progress: Progress | None = None, name: str = ""
) -> list[FolderSummary]:
    """What each settings folder contains, high quality first; only headers are read.

    Args:
        cache: the pose cache; a folder that does not exist has no settings folders.
        progress: shows the number of files.
        name: of a settings folder, NAME or high/NAME, the only one that is read.

    Raises:
        DataError: if there is no folder of this name.
        CacheError: if a folder cannot be read.
    """
    progress = progress or Progress(quiet=True)
    folders = cache.folders_named(name) if name else cache.folders()
    return [_summarise(cache, each, progress) for each in folders]


@dataclass(frozen=True)
class Pairs:
    """Number of clips in the cache by quality, in any settings."""

    both: int
    high_only: int
    low_only: int


def count_pairs(cache: PoseCache) -> Pairs:
    """Count the clips by quality, by the names of their files.

    Raises:
        CacheError: if a folder cannot be read.
    """
    high, low = (cache.all_keys(cache.folders(quality)) for quality in get_args(Quality))
    return Pairs(len(high & low), len(high - low), len(low - high))


@dataclass(frozen=True)
class OtherFile:
    """A file or folder in the cache that is no sequence.

    Attributes:
        path: from the root.
        bytes: its size; of a folder 0.
        what: an index, the settings of an estimator, an unfinished file..., or unknown.
    """

    path: PurePath
    bytes: int
    what: str


def list_other_files(cache: PoseCache) -> list[OtherFile]:
    """What lies in the root, in the folders of the qualities, and in the settings folders, sorted by path.

    Raises:
        CacheError: if a folder cannot be read.
    """
    settings = cache.folders()
    above = [cache.root / quality for quality in sorted(get_args(Quality))]
    found = []
    for folder in (cache.root, *(each for each in above if is_folder(each)), *settings):
        for name in names_of(folder):
            path = folder / name
            is_sequence = folder in settings and is_entry(name)
            if not is_sequence and path not in settings and path not in above:
                below = PurePath(*path.parts[len(cache.root.parts) :])
                found.append(OtherFile(below, _size_of(path), _what_is(name)))
    return sorted(found, key=lambda each: each.path)


def _size_of(path: Place) -> int:
    try:
        return state_of(path).size if is_file(path) else 0
    except OSError:
        return 0


def _what_is(name: str) -> str:
    if is_unfinished(name):
        return "unfinished"
    return "index of videos" if is_of_index(name) else _KNOWN.get(name, "unknown")


def _summarise(cache: PoseCache, folder: Place, progress: Progress) -> FolderSummary:
    names, states = names_of(folder), cache.states_in(folder)
    files = [name for name in names if is_entry(name)]
    estimators, labels, counts = set[str](), Counter[str](), Counter[str]()
    sizes, times = 0, list[float]()
    with progress.task(f"{folder.parent.name}/{folder.name}", len(files), unit="files") as task:
        for number, (path, start) in enumerate(cache.starts_in(folder), 1):
            task.advance_to(number)
            try:
                entry = read_entry(path, start)
            except CacheReadError:
                raise
            except CacheError as error:
                if isinstance(error.__cause__, FileNotFoundError):  # deleted meanwhile
                    continue
                counts["unknown" if _kind_of(error) == "unknown" else "damaged"] += 1
            else:
                estimators.add(entry.origin.estimator)
                labels.update([entry.origin.label] if entry.origin.label else [])
                counts["unlabelled"] += not entry.origin.label
                counts["empty"] += entry.empty
                counts["corrected"] += bool(entry.origin.corrected)
            counts["files"] += 1
            if (state := states.get(path.name)) is not None:
                sizes += state.size
                times = [min([*times[:1], state.time]), max([*times[1:], state.time])]
    return FolderSummary(
        quality="high" if folder.parent.name == "high" else "low",
        settings=folder.name,
        estimators=tuple(sorted(estimators)),
        files=counts["files"],
        bytes=sizes,
        labels=dict(sorted(labels.items())),
        unlabelled=counts["unlabelled"],
        corrected=counts["corrected"],
        empty=counts["empty"],
        damaged=counts["damaged"],
        unknown=counts["unknown"],
        leftovers=sum(1 for _ in find_leftovers(folder)) if isinstance(folder, Path) else 0,
        others=tuple(
            name for name in names if not (is_entry(name) or name == ESTIMATOR_FILE or is_unfinished(name))
        ),
        oldest=times[0] if times else 0.0,
        newest=times[1] if times else 0.0,
    )


def verify_cache(cache: PoseCache, progress: Progress) -> VerifyReport:
    """Read every file in full: compare its checksum, check its values, and its path against its content.

    Args:
        cache: the pose cache.
        progress: shows files per second.

    Raises:
        CacheError: if a folder cannot be read.
    """
    paths = [path for folder in cache.folders() for path in cache.files_in(folder)]
    findings, unverifiable = list[CacheFinding](), list[Place]()
    files = size = 0
    with progress.task("verifying", len(paths), unit="files") as task:
        for number, path in enumerate(paths, 1):
            if (found := verify_file(path)) is not None:  # None if it was deleted meanwhile
                files += 1
                size += found.bytes
                findings += [found.finding] if found.finding else []
                unverifiable += [path] if not (found.finding or found.has_checksum) else []
            task.advance_to(number)
    return VerifyReport(files, size, tuple(findings), tuple(unverifiable))


@dataclass(frozen=True)
class VerifiedFile:
    """The result of `verify_file`.

    Attributes:
        bytes: size of the file.
        finding: what is wrong with it, None if nothing.
        has_checksum: whether it states a checksum.
    """

    bytes: int
    finding: CacheFinding | None
    has_checksum: bool


def verify_file(path: Place) -> VerifiedFile | None:
    """Read a file of the cache in full; None if it does not exist."""
    try:
        size = state_of(path).size
        entry, _ = read_whole(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return VerifiedFile(0, _unreadable(path, error), has_checksum=False)
    except CacheError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        return VerifiedFile(size, _refused(path, error), has_checksum=False)
    if entry.checksum is None and (unknown := read_header(path).metadata.keys() - KNOWN_FIELDS):
        text = f"no checksum, but the unknown field {in_brief(min(unknown))}"
        return VerifiedFile(size, _damaged(path, text), has_checksum=False)
    return VerifiedFile(size, _misplaced(path, entry), entry.checksum is not None)


def _refused(path: Place, error: CacheError) -> CacheFinding:
    """The finding about a file that cannot be used."""
    kind = _kind_of(error)
    if kind == "unreadable":
        return _unreadable(path, error.__cause__)
    if kind == "damaged" and has_valid_checksum(path):
        text = f"its checksum is right, but this version cannot use it ({_reason_of(error)})"
        return CacheFinding(path, "unknown", text, "update skdpipe")
    if kind == "damaged":
        return _damaged(path, _reason_of(error))
    remedy = "update skdpipe" if isinstance(error.__cause__, NewerFormatError) else "move it elsewhere"
    return CacheFinding(path, "unknown", _reason_of(error), remedy)


def _damaged(path: Place, text: str) -> CacheFinding:
    remedy = "delete it (`skdpipe cache prune --damaged --yes`), and extract the video again"
    return CacheFinding(path, "damaged", text, remedy)


def _unreadable(path: Place, error: BaseException | None) -> CacheFinding:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return CacheFinding(path, "unreadable", reason, "change its permissions, or check the disk")


def _misplaced(path: Place, entry: Entry) -> CacheFinding | None:
    stated = (entry.quality, entry.settings, entry.origin.key)
    if stated == (path.parent.parent.name, path.parent.name, path.stem):
        return None
    return CacheFinding(
        path,
        "misplaced",
        f"its content is that of {in_brief('/'.join(stated), 200)}",
        "move it there, or delete it",
    )


def _kind_of(error: CacheError) -> Kind:
    """What the error of a file, raised by `read_entry` or `read_whole`, says about it."""
    match error.__cause__:
        case OSError():
            return "unreadable"
        case NewerFormatError() | OtherFormatError():
            return "unknown"
    return "damaged"


def _reason_of(error: CacheError) -> str:
    match error.__cause__:
        case KeyError(args=(name, *_)):
            return f"no {in_brief(name)} in its metadata"
        case Exception() as cause:
            return str(cause) if isinstance(cause, TensorFileError | CacheError) else in_one_line(cause)
    return str(error)
