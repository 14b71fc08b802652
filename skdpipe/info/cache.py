"""The pose cache: its root, a quality, a settings folder, an entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, get_args

from skdpipe.cache import PoseCache, Quality
from skdpipe.cache.inventory import FolderSummary, summarise_cache, verify_file
from skdpipe.cache.sequence_file import FORMAT, read_entry
from skdpipe.config import load_estimator_settings, to_plain
from skdpipe.errors import CacheError, DataError, SkdpipeError
from skdpipe.formats.catalogue import format_named
from skdpipe.formats.format import FormatOptions
from skdpipe.info.description import Description, Fact, bytes_as_fact, commands_for, size_of
from skdpipe.info.skeletons import describe_skeletons
from skdpipe.info.tensors import checksum_fact, is_format
from skdpipe.progress import Progress
from skdpipe.storage import Place
from skdpipe.training_summary import describe_estimator

_QUALITIES: Final[tuple[Quality, ...]] = get_args(Quality)
_TRIED: Final = 20  # files of a folder, of which some may be damaged


def is_settings_folder(folder: Path) -> bool:
    """Whether a folder directly holds cached sequences."""
    files = sorted(folder.glob("*.safetensors"))[:_TRIED]
    return any(is_format(file, FORMAT) for file in files)


def is_quality(folder: Path) -> bool:
    """Whether a folder is that of a quality: it has its name and holds settings folders."""
    return folder.name in _QUALITIES and any(map(is_settings_folder, _folders_in(folder)))


def is_cache(folder: Path) -> bool:
    """Whether a folder is the root of a pose cache."""
    return any(is_quality(folder / quality) for quality in _QUALITIES)


def describe_remote_cache(root: Place, progress: Progress) -> Description:
    """Describe a cache in a store.

    Raises:
        DataError: if there is none.
        CacheError: if the store cannot be read.
    """
    if not PoseCache(root).folders():
        raise DataError(
            f"{root}: no pose cache there; expected one, since nothing else is described in a store: copy it "
            "to this machine"
        )
    return describe_cache(root, progress)


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(each for each in folder.iterdir() if each.is_dir())
    except OSError:
        return []


def describe_cache(root: Place, progress: Progress, quality: Quality | None = None) -> Description:
    """Describe the root of a cache, or one quality of it; only headers are read.

    Raises:
        CacheError: if a folder cannot be read.
    """
    found = [each for each in summarise_cache(PoseCache(root), progress) if quality in (None, each.quality)]
    path = root if quality is None else root / quality
    files = sum(each.files for each in found)
    facts = [Fact("sequences", files, f"{files:,}"), bytes_as_fact(sum(each.bytes for each in found))]
    facts.append(Fact("folders", list(map(_plain, found)), tuple(map(_in_words, found))))
    if quality is None:
        facts.append(
            commands_for(
                root,
                "skdpipe check --cache {}",
                "skdpipe distill --cache {}",
                "skdpipe cache verify --cache {}",
            )
        )
    what = "a pose cache" if quality is None else f"the {quality} quality of a pose cache"
    title = f"{what}: {files:,} sequences in {len(found)} settings folders"
    return Description(path, "pose cache", title, tuple(facts), _problems(found, root))


def describe_settings_folder(folder: Path, progress: Progress) -> Description:
    """Describe a settings folder and its skeletons; all files are read."""
    described = describe_skeletons(folder, format_named("cache"), FormatOptions(), progress)
    facts = [*_estimator(folder), size_of(folder.glob("*.safetensors")), *described.facts]
    return replace(described, kind="pose cache", facts=tuple(facts))


def describe_entry(path: Path, progress: Progress) -> Description:
    """Describe one cached sequence and its skeletons.

    Raises:
        CacheError: if it is damaged.
    """
    entry = read_entry(path)
    origin, verified, notes = entry.origin, verify_file(path), list[str]()
    if verified is not None and (finding := verified.finding) is not None:
        if finding.kind != "misplaced":
            raise CacheError(f"{path}: {finding.text}; {finding.remedy}")
        notes.append(finding.text)
    has_checksum = verified is not None and verified.has_checksum
    facts = (
        Fact("source", origin.source),
        Fact("label", origin.label, origin.label or "none"),
        Fact("split", origin.split, origin.split or "none"),
        Fact("subject", origin.subject, origin.subject or "none"),
        Fact("quality", entry.quality),
        Fact("settings", entry.settings),
        Fact("estimator", origin.estimator),
        Fact("key", origin.key),
        Fact("video", {"fps": entry.fps, "size": list(entry.size), "frames": entry.video_frames},
             f"{entry.video_frames:,} frames of {entry.size[0]} x {entry.size[1]}, {entry.fps:.4g} fps"),
        Fact("sequence", {"frames": entry.frames, "people": entry.people, "coordinates": entry.coordinates},
             f"{entry.frames:,} frames, {entry.people} people, {entry.layout.name} in {entry.coordinates} "
             "coordinates"),
        size_of([path]),
        checksum_fact(has_checksum),
    )  # fmt: skip
    poses = None
    try:
        described = describe_skeletons(path, format_named("cache"), FormatOptions(), progress)
        poses, notes = described.poses, [*notes, *described.notes]
    except DataError as error:  # nobody is seen, so there is no mean pose
        notes.append(str(error))
    title = f"a cached sequence of {entry.quality} quality"
    return Description(path, "cached sequence", title, facts, notes=tuple(notes), poses=poses)


def _estimator(folder: Path) -> list[Fact]:
    path = folder / "estimator.yaml"
    if not path.is_file():
        return []
    try:
        settings = load_estimator_settings(path)
    except SkdpipeError as error:
        return [Fact("estimator", None, f"not readable ({error})")]
    return [Fact("estimator", to_plain(settings), describe_estimator(settings))]


def _plain(summary: FolderSummary) -> dict[str, Any]:
    return {name: list(each) if isinstance(each, tuple) else each for name, each in asdict(summary).items()}


def _in_words(summary: FolderSummary) -> str:
    parts = [
        f"{summary.quality}/{summary.settings}: {summary.files:,} sequences",
        f"{summary.labelled:,} with one of {summary.classes:,} labels",
        *bytes_as_fact(summary.bytes).lines,
    ]
    counts = Counter({"without people": summary.empty, "unfinished": summary.leftovers})
    parts += [f"{count:,} {what}" for what, count in counts.items() if count]
    if summary.files:
        parts.append(f"newest {datetime.fromtimestamp(summary.newest, UTC):%Y-%m-%d %H:%M} UTC")
    return "; ".join([*parts, "estimator " + " and ".join(summary.estimators)])


def _problems(found: Sequence[FolderSummary], root: Place) -> tuple[str, ...]:
    return tuple(
        f"{root / each.quality / each.settings}: {each.damaged} damaged files, {each.unknown} of another or "
        f"later format; `skdpipe cache verify --cache {root}` lists them"
        for each in found
        if each.damaged or each.unknown
    )
