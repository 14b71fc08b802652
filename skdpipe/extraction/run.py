"""Extraction of the skeletons of all qualities: one decoding pass for each video, resumable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import yaml

from skdpipe.cache import PoseCache, Quality
from skdpipe.config import Estimator, to_plain
from skdpipe.engines import Ended, Engine
from skdpipe.errors import CacheWriteError, DataError
from skdpipe.extraction.one_video import ExtractedVideo, ExtractorSettings, VideoExtractor, open_extractor
from skdpipe.extraction.plan import ExtractionJob, plan_extraction
from skdpipe.extraction.report import ExtractionReport
from skdpipe.extraction.sources import Source
from skdpipe.extraction.video_list import VideoItem
from skdpipe.memory import free_memory
from skdpipe.pose.protocol import runtime_of
from skdpipe.progress import Progress, Task
from skdpipe.runtimes import available_cores
from skdpipe.skeleton.people import PairReport
from skdpipe.storage import is_file, read_bytes, write_bytes

_BYTES_OF_A_WORKER: Final = 2**30


def extract_videos(
    items: Sequence[VideoItem],
    sources: Sequence[Source],
    cache: PoseCache,
    *,
    people: int = 2,
    batch: int = 16,
    engine: Engine | None = None,
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
        engine: extracts several videos at a time in its workers, each of which loads the estimators from
            their settings; a script that starts a `LocalEngine` must do so under
            ``if __name__ == "__main__":``. None: one after the other in this process, by the given sources.
        progress: shows frames per second and the time left.

    Raises:
        CacheWriteError: if the cache cannot be written.
        DataError: if there is an engine, and a source has no settings.
    """
    assert batch > 0
    progress = progress or Progress(quiet=True)
    cache.remove_leftovers()
    plan = plan_extraction(items, sources, cache, people=people, engine=engine, progress=progress)
    for source in sources:
        _save_settings(source, cache, always=bool(plan.jobs))  # also shows whether the cache can be written
    failed, without_people = list(plan.failed), list(plan.without_people)
    pairs: list[PairReport] = []
    done = decoded = 0
    with progress.task("extracting", sum(job.frames for job in plan.jobs) or None, unit="frames") as task:
        shown = _Shown(task, len(plan.jobs))
        if engine is not None:
            estimators = tuple(_require_settings(source) for source in sources)
            settings = ExtractorSettings(estimators, cache, people, batch)
            by_length = sorted(plan.jobs, key=lambda job: -job.frames)  # so that none is alone at the end
            ended = engine.run(
                by_length, partial(open_extractor, settings), shown.advance, shared=[cache.root]
            )
        else:
            ended = _in_this_process(plan.jobs, VideoExtractor(sources, cache, people, batch), shown.advance)
        for each in ended:
            job = each.job
            video = each.result or ExtractedVideo(0, f"{job.item.path}: {each.reason}; leave it out")
            if video.unwritable:
                raise CacheWriteError(video.unwritable)
            if video.reason:
                failed.append((job.item.path, video.reason))
            else:
                done += 1
            if video.without_people:
                without_people.append(job.item.path)
            if video.pair is not None:
                pairs.append(video.pair)
            decoded += video.frames
            shown.finish(job)
    return ExtractionReport(
        done,
        plan.skipped,
        tuple(failed),
        tuple(without_people),
        tuple(pairs),
        decoded,
        plan.relabelled,
        plan.corrected,
    )


def choose_workers(sources: Sequence[Source], videos: int) -> int:
    """The number of processes for a number of videos on this machine.

    One for each core, if all networks run on the processor in ONNX Runtime or OpenVINO, and if a gigabyte of
    memory is free for each; otherwise one.
    """
    if not all(source.config and runtime_of(source.estimator) in {"onnx", "openvino"} for source in sources):
        return 1
    memory = free_memory()
    most = available_cores() if memory is None else min(available_cores(), memory // _BYTES_OF_A_WORKER)
    return max(1, min(most, videos))


def _in_this_process(
    jobs: Sequence[ExtractionJob],
    extractor: VideoExtractor,
    on_frames: Callable[[ExtractionJob, float], None],
) -> Iterator[Ended[ExtractionJob, ExtractedVideo]]:
    for job in jobs:
        yield Ended(job, extractor(job, partial(on_frames, job)))


def _require_settings(source: Source) -> tuple[Quality, Estimator]:
    """What a worker needs to open a source.

    Raises:
        DataError: if it has no settings.
    """
    if source.config is None:
        raise DataError(
            f"the source of {source.quality} quality has no settings, from which the workers of an engine "
            "could load its estimator; use open_sources, or no engine"
        )
    return source.quality, source.config


@dataclass
class _Shown:
    """Moves the progress bar: by decoded frames, for each video at most by those that its container states.

    Attributes:
        task: the bar.
        videos: number of videos.
        ended: number of those that have ended.
        total: frames shown.
        running: frames shown of each video that has not ended, by its key.
    """

    task: Task
    videos: int
    ended: int = 0
    total: float = 0.0
    running: dict[str, float] = field(default_factory=dict)

    def advance(self, job: ExtractionJob, frames: float) -> None:
        shown = self.running.get(job.origin.key, 0) + frames
        self._show(job, min(shown, job.frames) if job.frames else shown)

    def finish(self, job: ExtractionJob) -> None:
        self.ended += 1
        self._show(job, job.frames or self.running.get(job.origin.key, 0))
        del self.running[job.origin.key]

    def _show(self, job: ExtractionJob, frames: float) -> None:
        self.total += frames - self.running.get(job.origin.key, 0)
        self.running[job.origin.key] = frames
        self.task.advance_to(self.total, f"video {min(self.ended + 1, self.videos)} of {self.videos}")


def _save_settings(source: Source, cache: PoseCache, *, always: bool) -> None:
    """Write the estimator's settings beside its sequences; unless ``always``, only if they differ.

    Raises:
        CacheWriteError: if they cannot be written.
    """
    if source.config is None:
        return
    path = cache.path_of(source.quality, source.settings, "0").with_name("estimator.yaml")
    text = yaml.safe_dump(to_plain(source.config), allow_unicode=True).encode()
    try:
        if always or not is_file(path) or read_bytes(path) != text:
            write_bytes(path, text)
    except OSError as error:
        raise CacheWriteError(f"cannot write {path} ({error.strerror}); choose another folder") from error
