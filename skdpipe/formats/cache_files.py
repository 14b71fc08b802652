"""Files of the pose cache, read and written like those of any other format.

A path is one file, ``NAME.safetensors``, or a folder of the cache, ``pose_cache/high/NAME``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

from skdpipe.cache import PoseCache, Quality
from skdpipe.cache.sequence_file import write_sequence
from skdpipe.errors import FormatError
from skdpipe.formats.clip_names import key_of_name
from skdpipe.formats.format import NO_SURROUNDINGS, Format, FormatOptions, Surroundings, Target
from skdpipe.skeleton import PoseSequence

_SUFFIX: Final = ".safetensors"
_EXPECTED = f"expected a file NAME{_SUFFIX} or a folder such as pose_cache/high/NAME"


def find_cache_files(path: Path) -> tuple[Path, ...]:
    """The file itself, or the files of a cache folder, sorted.

    Raises:
        FormatError: if there are none.
    """
    if path.is_file():
        return (path,)
    paths = tuple(sorted(each for each in path.glob(f"*{_SUFFIX}") if not each.name.startswith(".")))
    if not paths:
        raise FormatError(f"no sequences in {path}; {_EXPECTED}")
    return paths


def write_cache_files(sequences: Iterable[PoseSequence], path: Path) -> int:
    """Write one sequence to a file, or any number to a cache folder under their keys.

    A sequence without a key gets the key of its source's name, or of the file's name.

    Returns:
        The number of sequences written.

    Raises:
        FormatError: if the path is neither such a file nor such a folder, if there is not exactly one
            sequence for a file, or if two sequences have the same key.
        CacheError: if a sequence cannot be written.
    """
    if path.suffix.lower() == _SUFFIX:
        return _write_file(list(islice(sequences, 2)), path)
    quality = _quality_of(path)
    if quality is None:
        raise FormatError(f"{path} is not in a folder called high or low; {_EXPECTED}")
    cache, keys = PoseCache(path.parents[1]), set[str]()
    for sequence in sequences:
        keyed = _with_key(sequence, Path(sequence.origin.source))
        key = keyed.origin.key
        if key in keys:
            raise FormatError(
                f"two clips have the key {key:.12} ({sequence.origin.source}); expected one of each"
            )
        keys.add(key)
        cache.save(keyed, quality, path.name)
    return len(keys)


def _write_file(sequences: list[PoseSequence], path: Path) -> int:
    if len(sequences) != 1:
        found = "several clips" if sequences else "no clip"
        raise FormatError(f"{found} for {path}; expected one: give a folder such as pose_cache/high/NAME")
    quality = _quality_of(path.parent)
    settings = path.parent.name if quality else "file"
    write_sequence(path, _with_key(sequences[0], path.with_suffix("")), quality or "high", settings)
    return 1


def _quality_of(folder: Path) -> Quality | None:
    """The quality of a cache folder ``.../high/NAME``."""
    qualities: dict[str, Quality] = {"high": "high", "low": "low"}
    return qualities.get(folder.parent.name)


def _with_key(sequence: PoseSequence, named: Path) -> PoseSequence:
    if sequence.origin.key:
        return sequence
    if not (sequence.origin.source or named.name):
        raise FormatError("a clip has neither a source nor a key; expected one: set its origin's source")
    key = key_of_name(Path(sequence.origin.source) if sequence.origin.source else named)
    return replace(sequence, origin=replace(sequence.origin, key=key))


def _read(
    file: Path, root: Path, options: FormatOptions, around: Surroundings = NO_SURROUNDINGS
) -> Iterator[PoseSequence]:
    yield PoseCache(file.parent).load(file)


def _write(sequences: Iterable[PoseSequence], path: Path, options: FormatOptions) -> int:
    return write_cache_files(sequences, path)


FORMAT = Format("cache", find_cache_files, _read, suffix=_SUFFIX)
TARGET = Target("cache", _write, suffix=_SUFFIX)
