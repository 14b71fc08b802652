"""Foreign skeletons into the cache, file by file; what is there already is replaced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from skdpipe.cache import PoseCache, Quality
from skdpipe.errors import SkdpipeError
from skdpipe.progress import Progress
from skdpipe.skeleton import PoseSequence


def import_files(
    files: Sequence[Path],
    load: Callable[[Path], PoseSequence],
    cache: PoseCache,
    quality: Quality,
    settings: str,
    progress: Progress,
) -> tuple[int, list[str]]:
    """Read every file and save its sequence.

    Returns:
        How many sequences were saved, and the reason of each file that failed.

    Raises:
        CacheError: if the cache cannot be written.
    """
    done, failed = 0, []
    with progress.task(f"importing {settings}", len(files), unit="files") as task:
        for number, file in enumerate(files, 1):
            try:
                sequence = load(file)
            except SkdpipeError as error:
                failed.append(str(error))
            else:
                cache.save(sequence, quality, settings)
                done += 1
            task.advance_to(number)
    return done, failed
