"""Extraction of one video: its skeletons of all qualities that the cache lacks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2

from skdpipe.cache import PoseCache, Quality
from skdpipe.config import Estimator
from skdpipe.engines import Worker
from skdpipe.errors import CacheWriteError
from skdpipe.extraction.plan import ExtractionJob
from skdpipe.extraction.report import reason_of
from skdpipe.extraction.sources import Source, open_source
from skdpipe.pose.estimate import estimate_video
from skdpipe.skeleton import PoseSequence
from skdpipe.skeleton.people import PairReport, match_people
from skdpipe.storage import is_local
from skdpipe.video import copied


@dataclass(frozen=True)
class ExtractedVideo:
    """What became of a video.

    Attributes:
        frames: number of frames decoded.
        reason: why it could not be extracted; empty if it was.
        without_people: whether an estimator detected nobody.
        pair: how the people of both qualities match.
        unwritable: why the cache cannot be written, which stops the extraction.
    """

    frames: int
    reason: str = ""
    without_people: bool = False
    pair: PairReport | None = None
    unwritable: str = ""


@dataclass(frozen=True)
class VideoExtractor:
    """Extracts one video after the other.

    Attributes:
        sources: the qualities.
        cache: the pose cache.
        people: number of people in a sequence.
        batch: number of frames in one call of an estimator.
        machine: as for `Worker`.
    """

    sources: Sequence[Source]
    cache: PoseCache
    people: int
    batch: int
    machine: str = ""

    def __call__(self, job: ExtractionJob, on_frames: Callable[[float], None]) -> ExtractedVideo:
        """Extract a video; whatever its error, it is the reason for which it fails."""
        frames = 0

        def count(decoded: int) -> None:
            nonlocal frames
            frames += decoded
            on_frames(decoded)

        missing = [source for source in self.sources if source.quality in job.missing]
        try:
            with copied(job.item.path) as path:
                sequences = estimate_video(
                    path,
                    [source.sampled for source in missing],
                    job.origin,
                    people=self.people,
                    batch=self.batch,
                    on_frames=count,
                )
            qualities = self._save(job, missing, sequences)
            pair = None
            if {"high", "low"} <= qualities.keys():
                pair = match_people(qualities["high"], qualities["low"])[1]
        except CacheWriteError as error:
            return ExtractedVideo(frames, unwritable=str(error))
        except Exception as error:
            return ExtractedVideo(frames, reason_of(job.item.path, error, self.machine))
        return ExtractedVideo(frames, "", any(each.is_empty for each in qualities.values()), pair)

    def _save(
        self, job: ExtractionJob, missing: Sequence[Source], sequences: Sequence[PoseSequence]
    ) -> dict[Quality, PoseSequence]:
        """Save the new sequences of a video; return all its qualities, those in the cache too."""
        found: dict[Quality, PoseSequence] = {}
        with self.cache.changing_labels():
            right = job.origin
            if is_local(self.cache.root):  # they may have been corrected while the video was extracted
                right = self.cache.with_corrections(right.uncorrected())
            for source, sequence in zip(missing, sequences, strict=True):
                origin = replace(right, estimator=sequence.origin.estimator)
                found[source.quality] = replace(sequence, origin=origin)
                self.cache.save(found[source.quality], source.quality, source.settings)
        for source in self.sources:
            if source.quality not in found:
                path = self.cache.path_of(source.quality, source.settings, job.origin.key)
                found[source.quality] = self.cache.load(path)
        return found


@dataclass(frozen=True)
class ExtractorSettings:
    """What a worker needs to open a `VideoExtractor`.

    Attributes:
        estimators: quality and settings of each.
        cache, people, batch: as for `VideoExtractor`.
    """

    estimators: tuple[tuple[Quality, Estimator], ...]
    cache: PoseCache
    people: int
    batch: int


def open_extractor(settings: ExtractorSettings, worker: Worker) -> VideoExtractor:
    """Load the estimators, and limit the threads of this process.

    Raises:
        SkdpipeError: as `load_estimator`.
    """
    cv2.setNumThreads(worker.threads)
    sources = [open_source(*each, worker.device, worker.threads) for each in settings.estimators]
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(worker.threads)
    return VideoExtractor(sources, settings.cache, settings.people, settings.batch, worker.machine)
