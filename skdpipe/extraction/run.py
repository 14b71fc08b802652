"""Extraction of the skeletons of all qualities: one decoding pass for each video, resumable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from skdpipe.atomic_file import write_text_atomically
from skdpipe.cache import PoseCache, Quality
from skdpipe.config import to_plain
from skdpipe.errors import CacheWriteError
from skdpipe.extraction.plan import ExtractionJob, plan_extraction
from skdpipe.extraction.report import ExtractionReport, reason_of
from skdpipe.extraction.sources import Source
from skdpipe.extraction.video_list import VideoItem
from skdpipe.pose.estimate import estimate_video
from skdpipe.progress import Progress, Task
from skdpipe.skeleton import PoseSequence
from skdpipe.skeleton.people import PairReport, match_people


def extract_videos(
    items: Sequence[VideoItem],
    sources: Sequence[Source],
    cache: PoseCache,
    *,
    people: int = 2,
    batch: int = 16,
    progress: Progress | None = None,
) -> ExtractionReport:
    """Extract all qualities of all videos that the cache lacks.

    A video that fails, by whatever error, does not stop the others. An interrupted extraction continues with
    the next call. Nothing is written if nothing is missing.

    Args:
        items: the videos.
        sources: the qualities.
        cache: the pose cache.
        people: number of people in a sequence, those with the highest mean confidence.
        batch: number of frames in one call of an estimator.
        progress: shows frames per second and the time left.

    Raises:
        CacheWriteError: if the cache cannot be written.
    """
    assert batch > 0
    progress = progress or Progress(quiet=True)
    cache.remove_leftovers()
    plan = plan_extraction(items, sources, cache, people=people, progress=progress)
    for source in sources:
        _save_settings(source, cache, always=bool(plan.jobs))  # also shows whether the cache can be written
    failed, without_people = list(plan.failed), list(plan.without_people)
    pairs: list[PairReport] = []
    done = decoded = shown = 0
    total = sum(job.frames for job in plan.jobs)
    with progress.task("extracting", total or None, unit="frames") as task:
        for number, job in enumerate(plan.jobs, 1):
            note = f"video {number} of {len(plan.jobs)}"
            count = _FrameCount(task, note, shown, job.frames if total else None)
            try:
                sequences = estimate_video(
                    job.item.path,
                    [source.sampled for source in job.missing],
                    job.origin,
                    people=people,
                    batch=batch,
                    on_frames=count.add,
                )
                qualities = _save(job, sequences, sources, cache)
                if {"high", "low"} <= qualities.keys():
                    pairs.append(match_people(qualities["high"], qualities["low"])[1])
            except CacheWriteError:
                raise
            except Exception as error:
                failed.append((job.item.path, reason_of(job.item.path, error)))
            else:
                done += 1
                if any(sequence.is_empty for sequence in qualities.values()):
                    without_people.append(job.item.path)
            decoded += count.frames
            shown += job.frames if total else count.frames
            task.advance_to(shown, note)
    return ExtractionReport(
        done, plan.skipped, tuple(failed), tuple(without_people), tuple(pairs), decoded, plan.relabelled
    )


def _save(
    job: ExtractionJob, sequences: Sequence[PoseSequence], sources: Sequence[Source], cache: PoseCache
) -> dict[Quality, PoseSequence]:
    """Save the new sequences of a video; return all its qualities, loading those that were in the cache."""
    for source, sequence in zip(job.missing, sequences, strict=True):
        cache.save(sequence, source.quality, source.settings)
    new = {source.quality: sequence for source, sequence in zip(job.missing, sequences, strict=True)}
    cached = {
        source.quality: cache.load(cache.path_of(source.quality, source.settings, job.origin.key))
        for source in sources
        if source.quality not in new
    }
    return {**new, **cached}


@dataclass
class _FrameCount:
    """Counts the decoded frames of one video and moves the progress bar.

    Attributes:
        task, note: the bar and the text behind it.
        start: position of the bar before the video.
        limit: number of frames by which the bar may move, None if unlimited.
        frames: number of frames decoded.
    """

    task: Task
    note: str
    start: int
    limit: int | None
    frames: int = 0

    def add(self, frames: int) -> None:
        self.frames += frames
        moved = self.frames if self.limit is None else min(self.frames, self.limit)
        self.task.advance_to(self.start + moved, self.note)


def _save_settings(source: Source, cache: PoseCache, *, always: bool) -> None:
    """Write the estimator's settings beside its sequences; unless ``always``, only if they differ.

    Raises:
        CacheWriteError: if they cannot be written.
    """
    if source.config is None:
        return
    path = cache.path_of(source.quality, source.settings, "0").with_name("estimator.yaml")
    text = yaml.safe_dump(to_plain(source.config), allow_unicode=True)
    try:
        if always or not path.is_file() or path.read_bytes() != text.encode():
            write_text_atomically(path, text)
    except OSError as error:
        raise CacheWriteError(f"cannot write {path} ({error.strerror}); choose another folder") from error
