"""Importing foreign skeletons into the cache; an interrupted import can be resumed."""

from __future__ import annotations

from skdpipe.cache import PoseCache, Quality
from skdpipe.cache.video_index import VideoIndex
from skdpipe.formats.reading import Reading, ReadingReport, read_clips
from skdpipe.progress import Progress


def import_poses(reading: Reading, cache: PoseCache, quality: Quality, progress: Progress) -> ReadingReport:
    """Read every clip that is not yet in the cache and save it there.

    Args:
        reading: the data set.
        cache: where to save; the folder is ``reading.settings``.
        quality: the quality to save the clips as.
        progress: shows clips per second.

    Returns:
        Counts of the clips; one that fails does not stop the others.

    Raises:
        FormatError: if there are no files.
        CacheError: if the cache cannot be written.
    """
    report, settings = ReadingReport(), reading.settings

    def in_cache(key: str) -> bool:
        return cache.has(quality, settings, key)

    for sequence in read_clips(reading, report, progress, in_cache, VideoIndex(cache.root).key_of):
        cache.save(sequence, quality, settings)
    return report
