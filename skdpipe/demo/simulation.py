"""Skeletons without rendering: the exact poses of actors with the fitted errors of the estimators.

The rendered training clips have exact poses and extracted ones. The differences are the errors of an
estimator (`fit_noise`). Further clips get random errors of the same kind, which takes milliseconds per clip
instead of the seconds of rendering and extraction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from skdpipe.cache import PoseCache, Quality
from skdpipe.cache.video_index import VideoIndex
from skdpipe.config import Degradation, Demonstration, EstimatorNoise
from skdpipe.degradation import degrade, fit_noise, save_noise
from skdpipe.demo.clips import ActorClip, rendered_clips, simulated_clips, simulated_source, video_path
from skdpipe.extraction import Source
from skdpipe.progress import Progress
from skdpipe.skeleton import COCO_17, Origin, PoseSequence
from skdpipe.skeleton.sequence import clip_key
from skdpipe.synthetic import exact_poses

# The random errors of the two qualities are independent.
_DRAW: Final[Mapping[Quality, int]] = {"high": 0, "low": 1}


@dataclass(frozen=True)
class Simulation:
    """What was simulated.

    Attributes:
        noise: fitted errors of the estimator of each quality.
        fitted: number of rendered training clips that they are fitted on.
        done: number of clips simulated now.
        skipped: number of clips that were already in the cache.
    """

    noise: Mapping[Quality, EstimatorNoise]
    fitted: int
    done: int
    skipped: int


def simulate_clips(
    settings: Demonstration,
    videos: Path,
    sources: Sequence[Source],
    cache: PoseCache,
    folder: Path,
    progress: Progress,
) -> Simulation:
    """Fit the errors of the estimators on the rendered training clips, and write the missing simulated clips.

    The simulated sequences are in the folders of the estimators whose errors they have; the source in their
    origin starts with ``simulated/``.

    Args:
        settings: of the demonstration.
        videos: folder of the rendered videos.
        sources: the estimators of both qualities.
        cache: contains the extracted skeletons, and gets the simulated ones.
        folder: gets ``noise-high.yaml`` and ``noise-low.yaml``.
        progress: displays the progress.

    Raises:
        DataError: if no person is detected in any rendered training clip.
    """
    training = [clip for clip in rendered_clips(settings) if clip.split == "train"]
    noise: dict[Quality, EstimatorNoise] = {}
    for source in sources:
        pairs = _exact_and_extracted(settings, training, videos, source, cache, progress)
        noise[source.quality] = fit_noise(pairs, COCO_17)
        save_noise(noise[source.quality], folder / f"noise-{source.quality}.yaml")
    clips, done = simulated_clips(settings), 0
    with progress.task("simulating skeletons", len(clips), unit="clips") as task:
        for number, clip in enumerate(clips, 1):
            done += _simulate(settings, clip, noise, sources, cache)
            task.advance_to(number)
    return Simulation(noise, len(training), done, len(clips) - done)


def _exact_and_extracted(
    settings: Demonstration,
    clips: Sequence[ActorClip],
    videos: Path,
    source: Source,
    cache: PoseCache,
    progress: Progress,
) -> Iterator[tuple[PoseSequence, PoseSequence]]:
    """Exact poses of the rendered clips, and those of an estimator, without clips whose extraction failed."""
    index = VideoIndex(cache.root)
    with progress.task(f"measuring errors of {source.quality} quality", len(clips), unit="clips") as task:
        for number, clip in enumerate(clips, 1):
            key = index.key_of(video_path(videos, clip))
            if cache.has(source.quality, source.settings, key):
                extracted = cache.load(cache.path_of(source.quality, source.settings, key))
                yield exact_poses(clip.scene(settings)), extracted
            task.advance_to(number)


def _simulate(
    settings: Demonstration,
    clip: ActorClip,
    noise: Mapping[Quality, EstimatorNoise],
    sources: Sequence[Source],
    cache: PoseCache,
) -> bool:
    """Write the missing qualities of a clip; whether there were any."""
    name = simulated_source(clip)
    key = clip_key(name)
    missing = [source for source in sources if not cache.has(source.quality, source.settings, key)]
    if not missing:
        return False
    exact = exact_poses(clip.scene(settings))
    for source in missing:
        origin = Origin(name, key, source.estimator.fingerprint, label=clip.action, split=clip.split)
        errors = Degradation(noise=noise[source.quality], every=source.every)
        degraded = degrade(replace(exact, origin=origin), errors, settings.seed, _DRAW[source.quality])
        cache.save(degraded, source.quality, source.settings)
    return True
