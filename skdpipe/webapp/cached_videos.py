"""The videos of cached skeletons, if they are in a folder that the user has named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from skdpipe.errors import VideoError
from skdpipe.video import EXTENSIONS, content_key
from skdpipe.webapp.cache_index import CachedClip


def find_video(clip: CachedClip, folders: Sequence[Path]) -> Path | None:
    """The video that a clip was extracted from.

    It is where it was then, or at the end of that path below one of the folders, with the same content. Paths
    come from the cache: only videos below the folders are found, whatever they say.
    """
    source = Path(clip.labelled.source)
    if source.suffix.lower() not in EXTENSIONS:
        return None
    for folder in folders:
        root = folder.resolve()
        with suppress(OSError, ValueError):  # such as a null character
            for number, path in enumerate(_candidates(source, root)):
                resolved = path.resolve()
                if resolved.is_relative_to(root) and resolved.is_file():
                    with suppress(VideoError):
                        if number == 0 or content_key(resolved) == clip.key:
                            return resolved
    return None


def _candidates(source: Path, root: Path) -> Iterator[Path]:
    """The path itself, then its ends below a folder, the longest first."""
    yield source.absolute()
    parts = [part for part in source.parts if part != source.anchor]
    for first in range(len(parts)):
        yield root.joinpath(*parts[first:])
