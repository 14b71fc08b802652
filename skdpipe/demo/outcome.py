"""What distillation gains in the demonstration, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from skdpipe.demo.clips import is_simulated
from skdpipe.distill import DistillationResult
from skdpipe.distill.methods import BASELINE, STUDENT, TEACHER
from skdpipe.significance import Interval, difference_interval, mean_lead_by_clip

Correct = Mapping[str, bool]
"""For each test clip by its key, whether its prediction is correct."""


@dataclass(frozen=True)
class Outcome:
    """Test results of several runs, which differ in their seed and have the same test clips.

    Attributes:
        correct: for each method and forest by its name, the results of each run.
        simulated: keys of the test clips whose skeletons are simulated.
    """

    correct: Mapping[str, Sequence[Correct]]
    simulated: frozenset[str]

    @property
    def runs(self) -> int:
        """Number of runs."""
        return len(self.correct[STUDENT.name])

    @cached_property
    def clips(self) -> frozenset[str]:
        """Keys of all test clips."""
        return frozenset(self.correct[STUDENT.name][0])

    @cached_property
    def extracted(self) -> frozenset[str]:
        """Keys of the test clips whose skeletons are extracted from rendered videos."""
        return self.clips - self.simulated

    def top1(self, method: str, clips: frozenset[str]) -> list[float]:
        """Accuracy of a method in percent on some test clips, for each run."""
        return [100 * fmean(correct[clip] for clip in clips) for correct in self.correct[method]]

    def lead(self, method: str, other: str) -> Interval:
        """Mean difference of two methods over the runs in points, with its 95 % interval over the clips."""
        return difference_interval(mean_lead_by_clip(self.correct[method], self.correct[other]))


def outcome_of(results: Sequence[DistillationResult]) -> Outcome:
    """The test results of runs that have trained the same methods on the same clips."""
    test = results[0].manifest.part(train=False)
    return Outcome(
        {name: [run.results[name].correct for run in results] for name in results[0].results},
        frozenset(clip.key for clip in test if is_simulated(clip.source)),
    )


def conclude(outcome: Outcome) -> str:
    """One or two sentences: whether the student is ahead of the baseline beyond chance."""
    lead = outcome.lead(STUDENT.name, BASELINE.name)
    tested = (
        f"{len(outcome.clips):,} test clips ({len(outcome.extracted):,} extracted, "
        f"{len(outcome.simulated):,} simulated), {_counted(outcome.runs, 'seed')}"
    )
    if lead.low > 0:
        gap = outcome.lead(TEACHER.name, BASELINE.name)
        return (
            f"{STUDENT.title} is ahead of {BASELINE.title} by {lead.in_words('points')} on {tested}; "
            f"{TEACHER.title} by {gap.in_words('points')}."
        )
    found = (
        f"{STUDENT.title} is behind {BASELINE.title}"
        if lead.high < 0
        else (f"No difference between {STUDENT.title} and {BASELINE.title} beyond chance")
    )
    return (
        f"{found}: {lead.in_words('points')} on {tested}. This demonstration shows the pipeline, not the "
        "benefit of distillation."
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)
