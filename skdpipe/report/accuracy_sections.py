"""Sections about the predictions for the test clips: classes, confusions, wrong clips, probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.config import Report
from skdpipe.distill.calibration import FEWEST_CLIPS
from skdpipe.distill.methods import BASELINE, STUDENT, TEACHER, method_named
from skdpipe.evaluate import NOBODY
from skdpipe.inference.prediction import probabilities_of
from skdpipe.progress import Progress
from skdpipe.report.figures import draw_accuracy_by_class, draw_confusion, draw_coverage, draw_reliability
from skdpipe.report.figures.reliability import title_of_reliability
from skdpipe.report.measures import accuracy_by_class, confusion_matrix, frequent_confusions, rank_by_gain
from skdpipe.report.pose_strips import draw_strips
from skdpipe.report.predictions import Predictions
from skdpipe.report.reliability import Coverage, Reliability, coverage, coverage_curve, measure_reliability
from skdpipe.report.run_results import LoadedRun, TrainedMethod
from skdpipe.report.section import Answer, Cell, ClipGroup, MovingClip, Section, Table
from skdpipe.report.test_clips import TestClips
from skdpipe.report.wrong_clips import count_by_wrong_networks, select_wrong_clips
from skdpipe.skeleton import layout_named

_CONFUSIONS: Final = 20
_THRESHOLDS: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_TRUSTED: Final = 0.95  # accuracy of the labelled clips that the conclusion is about
_PLAYED: Final = (1.0, 4.0)  # shortest and longest time in seconds in which a clip is played

_READINGS: Final[Mapping[tuple[str, ...], str]] = {
    (STUDENT.name,): "what distillation has made worse",
    (BASELINE.name,): "what distillation has mended",
    (BASELINE.name, STUDENT.name): "what low-quality skeletons do not show",
    (TEACHER.name, BASELINE.name, STUDENT.name): "difficult clips, or wrong labels",
}


def class_section(run: LoadedRun, predictions: Predictions) -> Section:
    """Accuracy by class."""
    count = len(run.classes)
    clips = np.bincount(predictions.label, minlength=count)
    accuracy = {
        each.name: accuracy_by_class(predictions.label, predictions.predicted[each.name], count)
        for each in run.compared
    }
    if {BASELINE.name, STUDENT.name} <= accuracy.keys():
        student, baseline = accuracy[STUDENT.name], accuracy[BASELINE.name]
        order, gain = rank_by_gain(student, baseline), student - baseline
        caption = (
            f"Top-1 accuracy on the test clips of each class, in the order of the gain of {STUDENT.title} "
            f"over {BASELINE.title}. The right margin shows the gain in percentage points: {STUDENT.title} "
            f"is better in {np.sum(gain > 0)} and worse in {np.sum(gain < 0)} of {count} classes."
        )
    else:
        order = rank_by_gain(next(iter(accuracy.values())), np.zeros(count))
        caption = "Top-1 accuracy on the test clips of each class, in descending order."
    figure = draw_accuracy_by_class(
        {method: values[order] for method, values in accuracy.items()},
        [run.classes[index] for index in order],
        clips[order].tolist(),
    )
    return Section("classes", "Accuracy by class", caption, [figure])


def confusion_section(run: LoadedRun, clips: TestClips, predictions: Predictions) -> Section:
    """Confusion matrices, and the most frequent confusions of the student."""
    matrices = {
        each.name: confusion_matrix(predictions.label, predictions.predicted[each.name], len(run.classes))
        for each in run.compared
    }
    caption = (
        "Each row shows which classes are predicted for the test clips of one true class. Bright cells off "
        "the diagonal are pairs of classes that the network confuses. A row adds up to less than 1 if nobody "
        "was detected in some clips."
    )
    network = run.compared[-1]
    label, predicted = predictions.label, predictions.predicted[network.name]
    probability = _probability(network, predictions)
    pairs = frequent_confusions(label, predicted)
    rows: list[list[str | Cell]] = []
    for true, wrong, count in pairs[:_CONFUSIONS]:
        confused = np.flatnonzero((label == true) & (predicted == wrong))
        example = int(confused[probability[confused].argmax()])
        share = count / int((label == true).sum())
        names = run.classes[true], run.classes[wrong], Path(clips.clips[example].source).name
        rows.append([*names, str(count), Cell(f"{100 * share:.0f}", share)])
    if not rows:
        return Section("confusion", "Confusion matrices", caption, [draw_confusion(matrices, run.classes)])
    table = Table(
        ("true class", "predicted class", "example", "clips", "% of the true class"),
        rows,
        words=3,
        caption=f"The most frequent confusions of {network.method.title} ({len(rows)} of {len(pairs)} "
        "pairs); the example is the clip for which it is most confident.",
    )
    figure = draw_confusion(matrices, run.classes)
    return Section("confusion", "Confusion matrices", caption, [figure], tables=[table])


def wrong_section(
    run: LoadedRun, clips: TestClips, predictions: Predictions, settings: Report, progress: Progress
) -> Section:
    """The wrongly labelled clips as moving pictures, and how many clips are wrong for which networks."""
    network, chosen = run.compared[-1], settings.wrong
    label, predicted = predictions.label, predictions.predicted[network.name]
    shown = select_wrong_clips(
        label, predicted, _probability(network, predictions), chosen.of_class, chosen.clips
    )
    layout, moving = layout_named(run.experiment.clip.layout), {}
    said = {each.name: _answers(each, run, predictions) for each in (network, *run.compared[:-1])}
    with progress.task("wrong clips", len(shown), unit="clips") as task:
        for done, index in enumerate(shown, 1):
            pair = clips[index]
            moving[index] = MovingClip(
                draw_strips(pair, layout, chosen.poses),
                float(np.clip(pair.high.duration, *_PLAYED)),
                [answer(index) for answer in said.values()],
                clips.clips[index].source,
            )
            task.advance_to(done)
    is_wrong, title = predicted != label, network.method.title
    groups = []
    for of_class in dict.fromkeys(label[shown].tolist()):
        here = [moving[index] for index in shown if label[index] == of_class]
        wrong, total = int(is_wrong[label == of_class].sum()), int((label == of_class).sum())
        groups.append(ClipGroup(run.classes[of_class], f"{wrong} of {total} wrong, {len(here)} shown", here))
    unseen = int((predicted == NOBODY).sum())
    caption = (
        f"{title} labels {is_wrong.sum():,} of {len(label):,} test clips wrongly; {len(shown)} of them are "
        f"shown, at most {chosen.of_class} of a class, the most confident first. The first picture is of "
        f"high and the second of low quality, with {chosen.poses} poses at the same moments. Left limbs are "
        "blue, right ones orange; in an empty picture nobody was detected. A clip of more than four seconds "
        "is played faster."
    )
    if unseen:
        caption += f" The {unseen:,} clips in which nobody was detected are wrong and not shown."
    counts = count_by_wrong_networks(
        label, {each.name: predictions.predicted[each.name] for each in run.compared}
    )
    tables = [_tally(counts, len(label))] if len(run.compared) > 1 else []
    return Section("wrong", "Wrong clips", caption, tables=tables, groups=groups)


def _answers(network: TrainedMethod, run: LoadedRun, predictions: Predictions) -> Callable[[int], Answer]:
    predicted, probability = predictions.predicted[network.name], _probability(network, predictions)

    def answer(index: int) -> Answer:
        found = int(predicted[index])
        text = "nobody detected" if found == NOBODY else run.classes[found]
        of_text = "" if found == NOBODY else f"{100 * probability[index]:.0f}\N{NO-BREAK SPACE}%"
        return Answer(network.method.title, text, of_text, found == predictions.label[index])

    return answer


def _tally(counts: dict[tuple[str, ...], int], clips: int) -> Table:
    rows: list[list[str | Cell]] = []
    for wrong, count in sorted(counts.items(), key=lambda item: -len(item[0])):
        names = " and ".join(method_named(name).title for name in wrong)
        rows.append(
            [
                names if len(wrong) > 1 else f"only {names}",
                _READINGS.get(wrong, ""),
                f"{count:,}",
                Cell(f"{100 * count / clips:.1f}", count / clips),
            ]
        )
    return Table(("wrong for", "usually", "clips", "% of the test clips"), rows, words=2)


def _probability(network: TrainedMethod, predictions: Predictions) -> NDArray[np.float64]:
    """Of the most probable class of each clip ``(clip,)``, calibrated if the network is."""
    temperature = network.bundle.metadata.temperature
    return np.asarray(probabilities_of(predictions.logits[network.name], temperature).max(axis=1))


def calibration_section(run: LoadedRun, predictions: Predictions) -> Section:
    """How far the probabilities can be trusted, and what a lowest probability of a label gives."""
    title, total = "Calibration", len(predictions.label)
    measured: list[Reliability] = []
    final: dict[str, Reliability] = {}
    for each in run.compared:
        seen, temperature = predictions.seen[each.name], each.bundle.metadata.temperature
        logits, label = predictions.logits[each.name][seen], predictions.label[seen]
        if not len(label):
            return Section("calibration", title, "Nobody was detected in any test clip.")
        divisors = dict.fromkeys((None, temperature))
        measured += [measure_reliability(each.name, logits, label, divisor) for divisor in divisors]
        final[each.name] = measured[-1]
    chosen = final[run.compared[-1].name]
    kept = coverage(chosen, total, _THRESHOLDS)
    caption = (
        "How often a label is correct, by its probability. On the dashed line both agree; below it a network "
        "is too confident, above it not confident enough. Grey: number of clips. ECE (expected calibration "
        "error) is the mean distance from the line over all clips, NLL the negative log likelihood of the "
        "true class; lower is better, also for the Brier score. Clips in which nobody was detected have no "
        "probability. The last figure shows what is left without the labels of low probability, as with "
        "`skdpipe predict --min-probability`; numbers are the lowest probability of a label."
    )
    figures = [
        draw_reliability(measured),
        draw_coverage(
            {name: coverage_curve(each, total) for name, each in final.items()}, chosen.method, kept
        ),
    ]
    by_network = Table(
        ("network", "clips", "accuracy %", "mean probability %", "ECE (points)", "NLL", "Brier score"),
        [
            [
                title_of_reliability(each), f"{len(each.correct):,}", f"{100 * each.correct.mean():.1f}",
                f"{100 * each.probability.mean():.1f}", f"{100 * each.error:.1f}", f"{each.loss:.3f}",
                f"{each.brier:.3f}",
            ]
            for each in measured
        ],
    )  # fmt: skip
    by_threshold = Table(
        ("--min-probability", "labelled clips", "% of all", "of these, correct %"),
        [
            [
                f"{each.threshold:g}", f"{each.clips:,}", Cell(f"{100 * each.labelled:.1f}", each.labelled),
                Cell(f"{100 * each.accuracy:.1f}", each.accuracy) if each.labelled else "",
            ]
            for each in kept
        ],
        caption=f"Labels of {title_of_reliability(chosen)}.",
    )  # fmt: skip
    uncalibrated = next(each for each in measured if each.method == chosen.method)
    return Section(
        "calibration", title, caption, figures, tables=[by_network, by_threshold],
        conclusion=_conclude_reliability(uncalibrated, chosen, kept),
    )  # fmt: skip


def _conclude_reliability(before: Reliability, after: Reliability, kept: Sequence[Coverage]) -> str:
    name, surplus = method_named(after.method).title, 100 * after.surplus
    direction = "too high" if surplus > 0 else "too low"
    first = f"The probabilities of {name} are {abs(surplus):.1f} points {direction} on average"
    if after.temperature is not None:
        first += (
            f"; its temperature changes the ECE from {100 * before.error:.1f} to {100 * after.error:.1f} "
            f"points and the NLL from {before.loss:.3f} to {after.loss:.3f}"
        )
    trusted = next((each for each in kept if each.clips >= FEWEST_CLIPS and each.accuracy >= _TRUSTED), None)
    if trusted is None:
        return (
            f"{first}. No lowest probability of the table makes {100 * _TRUSTED:g} % of the labels correct."
        )
    return (
        f"{first}. With `--min-probability {trusted.threshold:g}`, {100 * trusted.labelled:.0f} % of the "
        f"clips get a label, and {100 * trusted.accuracy:.1f} % of these are correct."
    )
