"""All checks of an experiment's data."""

from __future__ import annotations

from dataclasses import dataclass

from skdpipe.cache import PoseCache
from skdpipe.check import neighbours, skeletons, split
from skdpipe.check.inspect import fit_noise_of_clips, inspect_clips
from skdpipe.config import Experiment
from skdpipe.dataset import Manifest, build_manifest
from skdpipe.finding import Finding, Level
from skdpipe.progress import Progress


@dataclass(frozen=True)
class CheckReport:
    """The findings about an experiment's data.

    Attributes:
        findings: one of each check, in a fixed order.
        manifest: the clips.
    """

    findings: tuple[Finding, ...]
    manifest: Manifest

    def count(self, level: Level) -> int:
        """Number of findings of a level."""
        return sum(finding.level == level for finding in self.findings)


def check_data(cache: PoseCache, experiment: Experiment, progress: Progress | None = None) -> CheckReport:
    """Check the clips of an experiment before training.

    Every clip is read. In large data sets, neighbours are searched among at most 5,000 clips, and the errors
    of low quality are fitted to at most 300, so the memory needed hardly grows with the number of clips.

    Args:
        cache: contains the skeletons.
        experiment: data, clip format and recipe.
        progress: shows clips per second.

    Raises:
        DataError: if training would be refused: `build_manifest` has the reasons.
        CacheError: if a cached sequence is missing or damaged.
    """
    manifest, derived = build_manifest(cache, experiment), experiment.derive_low is not None
    clips = inspect_clips(cache, manifest, experiment, progress or Progress(quiet=True))
    comparable = manifest.same_coordinates
    noise = fit_noise_of_clips(cache, manifest, experiment) if comparable else None
    similar = neighbours.find_neighbours(clips)
    findings = (
        split.check_classes(manifest, experiment),
        split.check_test_clips(manifest),
        split.check_left_out(manifest, experiment),
        split.check_subjects(clips),
        skeletons.check_detections(clips, "high", derived=derived),
        skeletons.check_detections(clips, "low", derived=derived),
        *(
            (skeletons.check_loss(noise, derived=derived), skeletons.check_sides(noise, derived=derived))
            if comparable
            else (skeletons.not_compared(manifest.coordinates),)
        ),
        skeletons.check_matching(clips, derived=derived),
        skeletons.check_motion(clips),
        skeletons.check_lengths(clips, experiment.clip),
        neighbours.check_copies(clips, similar),
        neighbours.check_labels(similar),
        split.check_steps(manifest, experiment),
    )
    return CheckReport(findings, manifest)
