"""Test results of a run's methods and forests, and of several runs together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean

from skdpipe.cache import Quality
from skdpipe.dataset import Manifest
from skdpipe.distill.methods import BASELINE, FORESTS, METHODS, TEACHER, Forest, Method
from skdpipe.distill.records import ClipPredictions, MethodRecord, read_predictions_file
from skdpipe.distill.run_folder import RunFolder
from skdpipe.errors import DataError
from skdpipe.evaluate import NOBODY, Figures
from skdpipe.significance import (
    Interval,
    accuracy_interval,
    chance_level,
    difference_interval,
    is_beyond_chance,
    mean_lead_by_clip,
)


@dataclass(frozen=True)
class MethodResult:
    """Predictions of a method or a forest for test clips.

    Attributes:
        name: of the method or the forest.
        title: in tables.
        quality: of its input.
        label: class index of each test clip by key.
        predicted: predicted class index of each test clip by key; `NOBODY` where nobody was detected.
        figures: of the network; None for a forest.
        training_top1: accuracy in percent on its training clips, None if unknown.
    """

    name: str
    title: str
    quality: Quality
    label: Mapping[str, int]
    predicted: Mapping[str, int]
    figures: Figures | None
    training_top1: float | None

    @cached_property
    def correct(self) -> dict[str, bool]:
        """Whether each clip's prediction is its label."""
        return {clip: self.predicted[clip] == label for clip, label in self.label.items()}

    @property
    def top1(self) -> Interval:
        """Accuracy in percent on all test clips, with its 95 % interval."""
        return accuracy_interval(sum(self.correct.values()), len(self.correct))

    @property
    def chance(self) -> float:
        """Chance level of the test clips in percent."""
        return chance_level(list(self.label.values()))

    @property
    def is_beyond_chance(self) -> bool:
        """Whether the accuracy is above the chance level (see `skdpipe.significance.is_beyond_chance`)."""
        return is_beyond_chance(sum(self.correct.values()), list(self.label.values()))

    @property
    def unseen(self) -> int:
        """Number of test clips in which nobody was detected."""
        return sum(predicted == NOBODY for predicted in self.predicted.values())

    @property
    def top1_where_seen(self) -> float:
        """Accuracy in percent on the test clips in which somebody was detected; 0 without any."""
        return 100 * sum(self.correct.values()) / max(1, len(self.correct) - self.unseen)

    def lead_over(self, other: MethodResult) -> Interval:
        """The difference to another result on the same clips in points, with its 95 % interval."""
        return difference_interval(mean_lead_by_clip([self.correct], [other.correct]))


Results = Mapping[str, MethodResult]
"""Test results by method or forest, in the order of the table."""


def read_test_results(folders: Sequence[RunFolder]) -> dict[str, MethodResult]:
    """The results of runs with different test clips as those of one test, for what all of them contain.

    Raises:
        DataError: if a file is damaged, or the methods of a run were not tested on the same clips.
    """
    records = [folder.read_results() for folder in folders]
    methods: tuple[Method | Forest, ...] = (*METHODS, *FORESTS)
    finished = [
        each
        for each in methods
        if all(each.name in found for found in records)
        and all(folder.predictions(each.name).exists() for folder in folders)
    ]
    tests = [_read_tests(folder, finished) for folder in folders]
    return {
        str(each.name): _result_of(
            each,
            [test[each.name] for test in tests],
            [_figures_of(each, found, folder) for found, folder in zip(records, folders, strict=True)],
        )
        for each in finished
    }


def require_test_clips(results: Results, manifest: Manifest, folder: Path) -> None:
    """Check that the methods of a run were tested on the test clips of its manifest.

    Raises:
        DataError: if their clips, labels or classes are others.
    """
    labels = {clip.key: manifest.classes.index(clip.label) for clip in manifest.part(train=False)}
    for name, each in results.items():
        if each.label != labels or max(each.predicted.values()) >= len(manifest.classes):
            raise DataError(
                f"{RunFolder(folder).predictions(name)} has other clips, labels or classes than the run; "
                "delete it, and `skdpipe distill` tests again"
            )


def _read_tests(folder: RunFolder, methods: Sequence[Method | Forest]) -> dict[str, ClipPredictions]:
    """The predictions of the methods of a run, which have the same clips and labels."""
    tests = {str(each.name): read_predictions_file(folder.predictions(each.name)) for each in methods}
    for name, test in tests.items():
        first = next(iter(tests))
        if (test.clip, test.label) != (tests[first].clip, tests[first].label):
            raise DataError(
                f"{folder.predictions(name)} has other clips or labels than {first}.predictions.json; "
                "delete both, and `skdpipe distill` tests again"
            )
    return tests


def _figures_of(
    method: Method | Forest, records: Mapping[str, MethodRecord], folder: RunFolder
) -> Figures | None:
    figures = records[method.name].figures
    if figures is None and isinstance(method, Method):
        raise DataError(
            f"{folder.results} is damaged ({method.name} has no figures); delete it, and `skdpipe distill` "
            "writes it again from the bundles"
        )
    return figures


def _result_of(
    method: Method | Forest, tests: Sequence[ClipPredictions], figures: Sequence[Figures | None]
) -> MethodResult:
    label: dict[str, int] = {}
    predicted: dict[str, int] = {}
    for test in tests:
        label |= zip(test.clip, test.label, strict=True)
        predicted |= zip(test.clip, test.predicted, strict=True)
    training = [each.training_top1 for each in figures if each is not None and each.training_top1 is not None]
    return MethodResult(
        method.name,
        method.title,
        method.quality,
        label,
        predicted,
        figures[0],
        fmean(training) if training else None,
    )


def recovered_gap(results: Results, method: str) -> float | None:
    """(method - LQS-S) / (HQS-T - LQS-S), all in top-1.

    None if one of them is missing, or the gap HQS-T - LQS-S is not larger than its 95 % interval.
    """
    teacher, baseline = results.get(TEACHER.name), results.get(BASELINE.name)
    if teacher is None or baseline is None or method not in results:
        return None
    gap = teacher.lead_over(baseline)
    return results[method].lead_over(baseline).estimate / gap.estimate if gap.low > 0 else None
