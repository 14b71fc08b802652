"""Where extracted skeletons are kept: one self-describing safetensors file per video and estimator.

    root/<quality>/<settings>/<video key>.safetensors

``quality`` is high or low, ``settings`` names the estimator and its sampling, the key is a digest of
the video's content. pose_cache/README.md documents the file; any safetensors reader can open it.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from skdpipe.errors import CacheError, DataError
from skdpipe.skeleton import LAYOUTS, Layout, Origin, PoseSequence

Quality = Literal["high", "low"]
FORMAT = "skdpipe-sequence-1"

_SUFFIX = ".safetensors"
_UNFINISHED = ".part"
_OPTIONAL = ("label", "split", "subject")


@dataclass(frozen=True)
class Entry:
    """What a cached file says about itself, without its keypoints.

    Attributes:
        path: the file.
        quality, settings: the folders it was saved under.
        origin: where the sequence came from.
        layout: the layout's name.
        fps, size, video_frames: of the video, as in `PoseSequence`.
        frames: rows stored; fewer than video_frames where frames were sampled.
        people: places for people, some perhaps never filled.
        empty: True if nobody is seen in any frame.
    """

    path: Path
    quality: Quality
    settings: str
    origin: Origin
    layout: str
    fps: float
    size: tuple[int, int]
    video_frames: int
    frames: int
    people: int
    empty: bool


def settings_slug(prefix: str, description: str) -> str:
    """A folder name from a readable prefix and eight hex digits that stand for the full description."""
    readable = re.sub(r"[^A-Za-z0-9._]+", "-", prefix).strip("-._") or "settings"
    return f"{readable}-{hashlib.sha256(description.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class PoseCache:
    """The pose sequences under a root folder.

    Files appear whole or not at all, so any number of processes may write at once and any of them
    may be killed: the last to finish wins.
    """

    root: Path

    def path_of(self, quality: Quality, settings: str, key: str) -> Path:
        """Where a sequence is, or would be.

        Raises:
            CacheError: if a part cannot be used as a file name.
        """
        _require_quality(quality)
        _require(r"[A-Za-z0-9][A-Za-z0-9._-]*", settings, "settings", "a name of letters, digits and . _ -")
        _require(r"[0-9a-f]+", key, "video key", "a lower-case hexadecimal digest")
        return Path(self.root) / quality / settings / f"{key}{_SUFFIX}"

    def has(self, quality: Quality, settings: str, key: str) -> bool:
        """Whether a sequence is there and whole; a damaged file counts as missing, to be made again.

        Costs one read of the header, whose length is checked against the file's.
        """
        try:
            self.describe(self.path_of(quality, settings, key))
        except CacheError:
            return False
        return True

    def save(self, sequence: PoseSequence, quality: Quality, settings: str) -> Path:
        """Write a sequence under its origin's key, replacing what was there.

        Raises:
            CacheError: if the layout is not one that `load` could rebuild, the key is no digest, or the
                file cannot be written.
        """
        path = self.path_of(quality, settings, sequence.origin.key)
        layout = _known_layout(sequence.layout.name, sequence.layout.joints, str(path))
        tensors = {
            "keypoints": np.ascontiguousarray(sequence.keypoints, np.float32),
            "frame_index": np.ascontiguousarray(sequence.frame_index, np.int32),
        }
        _write_atomically(path, to_bytes(tensors, _to_metadata(sequence, layout, quality, settings)))
        return path

    def load(self, path: Path) -> PoseSequence:
        """Read a sequence, bit for bit as it was saved.

        Raises:
            CacheError: if the file is missing, damaged, or of a layout this version does not know.
        """
        entry, tensors = _read(path, with_tensors=True)
        try:
            return PoseSequence(
                keypoints=tensors["keypoints"],
                frame_index=tensors["frame_index"],
                video_frames=entry.video_frames,
                layout=LAYOUTS[entry.layout],
                fps=entry.fps,
                size=entry.size,
                origin=entry.origin,
            )
        except DataError as error:
            raise _damaged(path, str(error)) from error

    def describe(self, path: Path) -> Entry:
        """Read what a file says about itself, without its keypoints.

        Raises:
            CacheError: as `load`.
        """
        return _read(path, with_tensors=False)[0]

    def entries(self, quality: Quality | None = None, settings: str | None = None) -> Iterator[Entry]:
        """Describe the sequences of one quality and settings, or of all, sorted by their paths.

        Raises:
            CacheError: at the first damaged file; making it again or deleting it mends the cache.
        """
        for folder in self._folders(quality):
            if settings in (None, folder.name):
                names = sorted(name for name in os.listdir(folder) if _is_entry(name))  # noqa: PTH208
                yield from (self.describe(folder / name) for name in names)

    def settings_of(self, quality: Quality) -> tuple[str, ...]:
        """The settings for which there is any folder of this quality, sorted."""
        return tuple(folder.name for folder in self._folders(quality))

    def choose_settings(self, quality: Quality, wanted: str = "") -> str:
        """The settings folder of that name, or the only one there is.

        Raises:
            DataError: if there is no such folder, or none or several and no name is given.
        """
        found = self.settings_of(quality)
        listed = ", ".join(found) or "none"
        if wanted:
            if wanted not in found:
                raise DataError(f"{self.root} has no {quality} settings '{wanted}'; found {listed}")
            return wanted
        if len(found) != 1:
            hint = f"choose one with --set {quality}=NAME" if found else "run `skdpipe extract` first"
            raise DataError(f"{self.root} has {len(found)} {quality} settings ({listed}); {hint}")
        return found[0]

    def relabel(self, path: Path, origin: Origin) -> Entry:
        """Change a file's source, label, split and subject; the keypoints stay as they are.

        Raises:
            CacheError: if the origin is of another video or estimator, or as `load` and `save`.
        """
        entry = self.describe(path)
        if entry.origin == origin:
            return entry
        if (entry.origin.key, entry.origin.estimator) != (origin.key, origin.estimator):
            raise CacheError(
                f"{path} holds video {entry.origin.key} by {entry.origin.estimator}, and the new labels "
                f"are for {origin.key} by {origin.estimator}; relabel the file of that video"
            )
        sequence = replace(self.load(path), origin=origin)
        return self.describe(self.save(sequence, entry.quality, entry.settings))

    def remove_leftovers(self, older_than: float = 86_400.0) -> int:
        """Delete unfinished files that nobody has written to for so many seconds; return how many."""
        limit, removed = time.time() - older_than, 0
        for folder in self._folders(None):
            for path in folder.glob(f".*{_UNFINISHED}"):
                with suppress(OSError):  # another process has finished it meanwhile
                    if path.stat().st_mtime < limit:
                        path.unlink()
                        removed += 1
        return removed

    def _folders(self, quality: Quality | None) -> list[Path]:
        if quality is not None:
            _require_quality(quality)
        roots = [Path(self.root) / name for name in ([quality] if quality else sorted(get_args(Quality)))]
        return [
            folder for root in roots if root.is_dir() for folder in sorted(root.iterdir()) if folder.is_dir()
        ]


def _is_entry(name: str) -> bool:
    return name.endswith(_SUFFIX) and not name.startswith(".")


def _require(pattern: str, text: str, what: str, expected: str) -> None:
    if not re.fullmatch(pattern, text):
        raise CacheError(f"{what} {text!r} cannot name a cached file; give {expected}")


def _require_quality(quality: str) -> None:
    if quality not in get_args(Quality):
        raise CacheError(f"quality {quality!r} is unknown; give one of {', '.join(get_args(Quality))}")


def _known_layout(name: str, joints: tuple[str, ...], path: str) -> Layout:
    layout = LAYOUTS.get(name)
    if layout is None:
        raise CacheError(
            f"{path}: layout {name!r} is unknown, expected one of {', '.join(LAYOUTS)}; "
            "add it to layouts.LAYOUTS or map the sequence to a known one"
        )
    if layout.joints != joints:
        raise CacheError(
            f"{path}: joints {' '.join(joints)!r} are not those of layout {name}, "
            f"expected {' '.join(layout.joints)!r}; extract the video again"
        )
    return layout


def _damaged(path: Path, found: str) -> CacheError:
    return CacheError(f"{path} is damaged or no pose file ({found}); delete it or extract the video again")


def _to_metadata(sequence: PoseSequence, layout: Layout, quality: Quality, settings: str) -> dict[str, str]:
    origin = sequence.origin
    optional = {name: getattr(origin, name) for name in _OPTIONAL if getattr(origin, name) is not None}
    fields = {
        "format": FORMAT,
        "layout": layout.name,
        "joints": " ".join(layout.joints),
        "fps": repr(float(sequence.fps)),
        "width": str(sequence.size[0]),
        "height": str(sequence.size[1]),
        "video_frames": str(sequence.video_frames),
        "empty": "true" if sequence.is_empty else "false",
        "quality": quality,
        "settings": settings,
        "source": origin.source,
        "key": origin.key,
        "estimator": origin.estimator,
        **optional,
    }
    # A file name that is not UTF-8 reaches Python as lone surrogates, which no UTF-8 text can hold.
    return {name: text.encode("utf-8", "backslashreplace").decode() for name, text in fields.items()}


def _read(path: Path, with_tensors: bool) -> tuple[Entry, dict[str, Any]]:
    try:
        with safe_open(path, framework="np") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise _damaged(path, f"format {metadata.get('format')!r}, expected {FORMAT!r}")
            shape = file.get_slice("keypoints").get_shape()
            rows = file.get_slice("frame_index").get_shape()
            if len(shape) != 4 or rows != shape[:1]:
                raise _damaged(path, f"keypoints of shape {shape} with frame_index of shape {rows}")
            entry = _to_entry(path, metadata, frames=shape[0], people=shape[1])
            names = ("keypoints", "frame_index") if with_tensors else ()
            return entry, {name: file.get_tensor(name).copy() for name in names}
    except FileNotFoundError as error:
        raise CacheError(f"{path} does not exist, expected a cached sequence; extract the video") from error
    except (OSError, SafetensorError) as error:
        raise _damaged(path, str(error).splitlines()[0] if str(error) else repr(error)) from error


def _to_entry(path: Path, metadata: Mapping[str, str], frames: int, people: int) -> Entry:
    try:
        layout = _known_layout(metadata["layout"], tuple(metadata["joints"].split()), str(path))
        if metadata["quality"] not in get_args(Quality):
            raise ValueError(f"quality {metadata['quality']!r}")
        return Entry(
            path=Path(path),
            quality="high" if metadata["quality"] == "high" else "low",
            settings=metadata["settings"],
            origin=Origin(
                source=metadata["source"],
                key=metadata["key"],
                estimator=metadata["estimator"],
                label=metadata.get("label"),
                split=metadata.get("split"),
                subject=metadata.get("subject"),
            ),
            layout=layout.name,
            fps=float(metadata["fps"]),
            size=(int(metadata["width"]), int(metadata["height"])),
            video_frames=int(metadata["video_frames"]),
            frames=frames,
            people=people,
            empty=metadata["empty"] == "true",
        )
    except KeyError as error:
        raise _damaged(path, f"no {error.args[0]!r} in its metadata") from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def _write_atomically(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.stem}-{os.getpid()}-{uuid.uuid4().hex[:8]}{_UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise CacheError(
            f"cannot write {path} ({error}); free some space or choose another folder"
        ) from error
