"""All checks of an experiment's data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from skdpipe.cache import PoseCache
from skdpipe.check import findings
from skdpipe.check.finding import Finding, Level
from skdpipe.check.inspect import InspectedClip, inspect_clips
from skdpipe.config import EstimatorNoise, Experiment
from skdpipe.dataset import BOTH, Manifest, build_manifest
from skdpipe.degradation import fit_noise
from skdpipe.errors import DataError
from skdpipe.progress import Progress
from skdpipe.skeleton import PoseSequence, layout_named


@dataclass(frozen=True)
class CheckReport:
    """The findings about an experiment's data.

    Attributes:
        findings: in the order of the checks.
        manifest: the clips.
    """

    findings: tuple[Finding, ...]
    manifest: Manifest

    def count(self, level: Level) -> int:
        """Number of findings of a level."""
        return sum(finding.level == level for finding in self.findings)

    def to_json(self) -> str:
        """The findings as JSON."""
        return json.dumps([asdict(finding) for finding in self.findings], indent=1)


def check_data(cache: PoseCache, experiment: Experiment, progress: Progress | None = None) -> CheckReport:
    """Check the clips of an experiment before training.

    Args:
        cache: contains the skeletons.
        experiment: data, clip format and recipe.
        progress: shows clips per second.

    Raises:
        DataError: if the cache lacks clips that the experiment needs.
    """
    manifest = build_manifest(cache, experiment)
    clips: list[InspectedClip] = []
    noise = _noise(_pairs(cache, manifest, experiment, progress or Progress(quiet=True), clips), experiment)
    found = (
        findings.check_classes(clips, manifest),
        findings.check_left_out(clips, manifest),
        *(findings.check_people_seen(clips, quality) for quality in BOTH),
        findings.check_qualities(noise),
        findings.check_sides(noise),
        findings.check_matching(clips),
        findings.check_copies(clips),
        findings.check_constant(clips),
        findings.check_subjects(clips),
        findings.check_labels(clips),
        findings.check_lengths(clips, experiment),
        findings.check_steps(manifest, experiment),
    )
    return CheckReport(found, manifest)


def _pairs(
    cache: PoseCache,
    manifest: Manifest,
    experiment: Experiment,
    progress: Progress,
    inspected: list[InspectedClip],
) -> Iterator[tuple[PoseSequence, PoseSequence]]:
    """The clips that have both qualities, one at a time; all clips are added to the inspected ones."""
    for clip, high, low in inspect_clips(cache, manifest, experiment, progress):
        inspected.append(clip)
        if high is not None and low is not None:
            yield high, low


def _noise(
    pairs: Iterator[tuple[PoseSequence, PoseSequence]], experiment: Experiment
) -> EstimatorNoise | None:
    try:
        return fit_noise(pairs, layout_named(experiment.clip.layout))
    except DataError:
        return None
    finally:
        for _ in pairs:  # a layout that cannot be mapped ends the fit early
            pass
