"""What a training records in its bundle about itself, and its readers; without torch.

Bundles of earlier versions record less. A part that cannot be read does not prevent reading the others.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, FiniteFloat, NonNegativeInt, PositiveInt, TypeAdapter

from skdpipe.cache import Quality
from skdpipe.config import Estimator, Experiment, parse_config
from skdpipe.errors import SkdpipeError
from skdpipe.inference.metadata import HIGHEST, LOWEST, BundleMetadata
from skdpipe.json_shape import parse_json
from skdpipe.significance import Interval, accuracy_interval

NOBODY: Final = -1
"""The predicted class of a clip in which nobody was detected."""

METHODS: Final[Mapping[str, str]] = {
    "teacher": "HQS-T, trained on high-quality skeletons",
    "baseline": "LQS-S, trained on low-quality skeletons without a teacher",
    "smoothed": "LQS-SWA-S, trained on smoothed low-quality skeletons without a teacher",
    "student": "SKD, distilled from a teacher of high-quality skeletons",
    "student_smoothed": "SKD*, distilled on smoothed low-quality skeletons",
}
"""The methods by name: the title of `skdpipe.distill.METHODS`, and what it is."""

Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Error = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Loss = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Predicted = Annotated[int, Field(ge=NOBODY)]

_ROUNDING: Final = 1e-3  # percent


@dataclass(frozen=True)
class Figures:
    """Accuracy and cost of a network.

    Attributes:
        top1, top5: accuracy in percent on the test clips; a clip in which nobody was detected is not correct.
        parameters: number of trainable parameters, without the adaptation layer.
        gflops: billions of operations for one clip; a multiply-add counts as two.
        milliseconds: median time of one clip, by the deployed network on the device used for training,
            measured alone at that moment; to compare networks see `time_networks`.
        training_top1: top-1 accuracy in percent on its labelled training clips (at most 1,000 of them),
            without augmentation; None in bundles of earlier versions.
    """

    top1: Percent
    top5: Percent
    parameters: NonNegativeInt
    gflops: Cost
    milliseconds: Cost
    training_top1: Percent | None = None


@dataclass(frozen=True)
class Fit:
    """A fitted temperature, and how good the probabilities of the held-out clips are.

    Attributes:
        temperature: divides the logits.
        error_before, error_after: expected calibration error without and with it (`calibration_error`).
        loss_before, loss_after: mean negative log likelihood of the labels without and with it.
    """

    temperature: Annotated[float, Field(ge=LOWEST, le=HIGHEST, allow_inf_nan=False)]
    error_before: Error
    error_after: Error
    loss_before: Loss
    loss_after: Loss


@dataclass(frozen=True)
class Calibration:
    """The calibration of a network's probabilities.

    Attributes:
        clips: number of held-out training clips in which somebody is seen.
        fit: None if there is no temperature.
        reason: why there is none; empty if there is one.
    """

    clips: Annotated[int, Field(ge=0)]
    fit: Fit | None = None
    reason: str = ""

    @property
    def in_words(self) -> str:
        """One line without the name of the network."""
        if self.fit is None:
            return f"not calibrated: {self.reason}"
        return (
            f"temperature {self.fit.temperature:.2f}, fitted on {self.clips:,} held-out training clips "
            f"(negative log likelihood {self.fit.loss_before:.3f} -> {self.fit.loss_after:.3f})"
        )


@dataclass(frozen=True)
class RunData:
    """The data of a run.

    Attributes:
        classes: class names in the order of the logits.
        high, low: settings folders of the cache.
        training_clips, test_clips: their numbers.
        clips: digest of the manifest.
        teacher, initial: start of the SHA-256 of a given teacher, and of the bundle of the initial weights.
    """

    classes: tuple[str, ...]
    high: str
    low: str
    training_clips: NonNegativeInt
    test_clips: NonNegativeInt
    clips: str
    teacher: str | None = None
    initial: str | None = None


@dataclass(frozen=True)
class Skeletons:
    """The skeletons of one quality that a run used.

    Attributes:
        settings: folder of the cache.
        fingerprint: of the estimator.
        estimator: its settings, None if skeletons were imported.
        derived: whether they were derived from high quality.
    """

    settings: str
    fingerprint: str
    estimator: Estimator | None = None
    derived: bool = False


@dataclass(frozen=True)
class Confusions:
    """How many test clips of each class got each label.

    Attributes:
        counts: label, predicted class and number of clips, sorted, without zeros; the predicted class is
            `NOBODY` where nobody was detected.
    """

    counts: tuple[tuple[NonNegativeInt, Predicted, PositiveInt], ...]

    @cached_property
    def by_label(self) -> Mapping[int, int]:
        """Number of test clips by class."""
        return _sums((label, clips) for label, _, clips in self.counts)

    @cached_property
    def by_prediction(self) -> Mapping[int, int]:
        """Number of test clips by predicted class."""
        return _sums((predicted, clips) for _, predicted, clips in self.counts)

    @cached_property
    def correct_by_label(self) -> Mapping[int, int]:
        """Number of test clips by class whose predicted class is their label."""
        return _sums((label, clips) for label, predicted, clips in self.counts if label == predicted)

    @property
    def nobody(self) -> int:
        """Number of test clips in which nobody was detected."""
        return self.by_prediction[NOBODY]

    @property
    def clips(self) -> int:
        """Number of test clips."""
        return sum(self.by_label.values())

    @property
    def top1(self) -> Interval:
        """Top-1 accuracy in percent, with its 95 % interval."""
        return accuracy_interval(sum(self.correct_by_label.values()), self.clips)

    @property
    def chance(self) -> float:
        """Accuracy in percent of a constant prediction of the most frequent class."""
        return 100 * max(self.by_label.values()) / self.clips

    def fits(self, classes: int) -> bool:
        """Whether labels and predictions are indices of so many classes."""
        return all(max(pair) < classes for *pair, _ in self.counts)

    def largest(self, most: int) -> list[tuple[int, int, int]]:
        """The most frequent confusions: label, predicted class, number of clips."""
        wrong = [each for each in self.counts if each[1] not in (each[0], NOBODY)]
        return sorted(wrong, key=lambda each: (-each[2], each))[:most]


def _sums(counts: Iterable[tuple[int, int]]) -> Mapping[int, int]:
    """The sum of the numbers of each class; 0 of any other."""
    sums: Counter[int] = Counter()
    for name, clips in counts:
        sums[name] += clips
    return sums


def confusions_of(label: Sequence[int], predicted: Sequence[int]) -> Confusions:
    """Count the predictions of test clips: class indices of each clip, `NOBODY` where nobody was detected."""
    counts = Counter(zip(label, predicted, strict=True))
    return Confusions(tuple(sorted((*pair, clips) for pair, clips in counts.items())))


@dataclass(frozen=True)
class Epoch:
    """Losses and duration of an epoch, of all that its curve contains."""

    losses: Mapping[str, FiniteFloat] = field(default_factory=dict)
    seconds: FiniteFloat = 0.0


@dataclass(frozen=True)
class TrainingRecord:
    """What a bundle states about its training; None or empty is what it does not state.

    Attributes:
        method: name of the method.
        experiment: settings of the run.
        data: of the run.
        figures: accuracy and cost.
        confusions: of the test clips.
        labelled: number of labelled training clips of each class, in the order of the classes.
        skeletons: of each quality.
        epochs: number of epochs.
        losses: of the last epoch by name, means over its steps.
        seconds: duration of the training.
        versions: of the packages, and the machine.
        calibration: of the probabilities.
        unreadable: names of the parts that are not as this version writes them.
    """

    method: str = ""
    experiment: Experiment | None = None
    data: RunData | None = None
    figures: Figures | None = None
    confusions: Confusions | None = None
    labelled: tuple[int, ...] = ()
    skeletons: Mapping[str, Skeletons] = field(default_factory=dict)
    epochs: int = 0
    losses: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    calibration: Calibration | None = None
    unreadable: tuple[str, ...] = ()

    @property
    def test_clips(self) -> int | None:
        """Number of test clips."""
        if self.confusions is not None:
            return self.confusions.clips
        return self.data.test_clips if self.data is not None else None

    @property
    def top1(self) -> Interval | None:
        """Top-1 accuracy on the test clips in percent, with its 95 % interval."""
        if self.figures is None or not self.test_clips:
            return None
        return accuracy_interval(round(self.figures.top1 / 100 * self.test_clips), self.test_clips)


def read_record(metadata: BundleMetadata) -> TrainingRecord:
    """What a bundle states about its training."""
    parts, classes = _Parts(metadata.run), len(metadata.classes)
    curves: list[Epoch] = parts.read("curves", list[Epoch]) or []
    figures: Figures | None = parts.read("figures", Figures)
    return TrainingRecord(
        method=parts.read("method", str) or "",
        experiment=parts.experiment(),
        data=parts.read("data", RunData),
        figures=figures,
        confusions=parts.read(
            "confusions", Annotated[Confusions, AfterValidator(_fitting(classes, figures))]
        ),
        labelled=parts.read("labelled", _one_for_each(classes)) or (),
        skeletons=parts.read("skeletons", dict[Quality, Skeletons]) or {},
        epochs=len(curves),
        losses=curves[-1].losses if curves else {},
        seconds=sum(each.seconds for each in curves),
        versions=parts.read("versions", dict[str, str]) or {},
        calibration=parts.read("calibration", Calibration),
        unreadable=tuple(parts.unreadable),
    )


class _Parts:
    """The parts of a record, each read by itself.

    Attributes:
        unreadable: names of those that are there but not valid.
    """

    def __init__(self, run: Mapping[str, Any]) -> None:
        self._run = run
        self.unreadable: list[str] = []

    def read(self, name: str, kind: Any) -> Any:
        """A part as a type; None if it is not there, or not valid."""
        if (found := self._run.get(name)) is None:
            return None
        try:
            return parse_json(TypeAdapter(kind), json.dumps(found))
        except (ValueError, RecursionError):
            self.unreadable.append(name)
            return None

    def experiment(self) -> Experiment | None:
        """The settings, in which names of earlier versions are valid."""
        if (found := self._run.get("experiment")) is None:
            return None
        try:
            return parse_config(Experiment, found, "experiment")
        except SkdpipeError:
            self.unreadable.append("experiment")
            return None


def _fitting(classes: int, figures: Figures | None) -> Callable[[Confusions], Confusions]:
    """Checks that confusions are of so many classes, each pair once, and have the accuracy of the figures."""

    def check(confusions: Confusions) -> Confusions:
        pairs = {each[:2] for each in confusions.counts}
        if not len(confusions.counts) == len(pairs) > 0 or not confusions.fits(classes):
            raise ValueError(f"expected each pair of {classes} classes once")
        if figures is None or abs(confusions.top1.estimate - figures.top1) > _ROUNDING:
            raise ValueError("expected the accuracy of the figures")
        return confusions

    return check


def _one_for_each(classes: int) -> Any:
    """The type of a number of clips of each class."""
    return Annotated[tuple[NonNegativeInt, ...], Field(min_length=classes, max_length=classes)]
