"""The sections of a report: measure, draw, and describe what the figures show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from skdpipe.cache import PoseCache
from skdpipe.check import CheckReport, check_data
from skdpipe.config import Report
from skdpipe.distill.methods import BASELINE, STUDENT
from skdpipe.finding import Finding
from skdpipe.progress import Progress
from skdpipe.report.figures import (
    CostPoint,
    draw_accuracy_by_class,
    draw_conflicts,
    draw_confusion,
    draw_cost,
    draw_losses,
    draw_map,
    draw_response,
    draw_robustness,
)
from skdpipe.report.measures import (
    accuracy_by_class,
    confusion_matrix,
    evenly_spaced,
    map_to_plane,
    rank_by_gain,
)
from skdpipe.report.predictions import DeployedNetworks, Predictions, predict_clips
from skdpipe.report.response import measure_response, select_example_clips
from skdpipe.report.robustness import degradation_axes, evaluated_networks, measure_robustness
from skdpipe.report.run_results import LoadedRun, NetworkTimes
from skdpipe.report.test_clips import TestClips


class Section(NamedTuple):
    """A section of the report.

    Attributes:
        anchor: its id in links, only letters.
        title: its heading.
        caption: what the figures show, or why there are none.
        figures: drawn one below the other.
        findings: shown in a table.
    """

    anchor: str
    title: str
    caption: str
    figures: Sequence[Figure] = ()
    findings: Sequence[Finding] = ()


def build_sections(
    run: LoadedRun,
    others: Sequence[LoadedRun],
    times: Sequence[NetworkTimes],
    cache: PoseCache,
    settings: Report,
    device: torch.device,
    progress: Progress,
) -> list[Section]:
    """All sections in order: check the data, run the networks on the test clips, measure and draw.

    Args:
        run: the run of the report.
        others: runs to compare in accuracy and cost.
        times: of the networks of this run and of each other one, taken in turn.
        cache: contains the test clips.
        settings: content of the report.
        device: runs the networks.
        progress: shows clips and time left.
    """
    clips, networks = TestClips(run, cache), DeployedNetworks(run, device)
    predictions = predict_clips(run, clips, networks, progress)
    return [
        _data_check(check_data(cache, run.experiment, progress)),
        _cost([run, *others], times),
        _classes(run, predictions),
        _confusion(run, predictions),
        _map(run, predictions, settings, progress),
        _response(run, clips, networks, predictions, settings),
        _robustness(run, clips, networks, settings, progress),
        _losses(run),
        _conflicts(run),
    ]


def _data_check(report: CheckReport) -> Section:
    caption = (
        "Checks of the skeletons, labels and split of this run, as by the command skdpipe check. A problem "
        "makes results wrong or worthless, a warning may lower them. "
        f"Problems: {report.count('problem')}, warnings: {report.count('warning')}."
    )
    return Section("data", "Data check", caption, findings=report.findings)


def _cost(runs: Sequence[LoadedRun], times: Sequence[NetworkTimes]) -> Section:
    points = [
        CostPoint(
            run.name,
            each.name,
            each.figures.top1,
            each.figures.parameters,
            each.figures.gflops,
            of_run[each.name],
        )
        for run, of_run in zip(runs, times, strict=True)
        for each in run.methods
    ]
    caption = (
        "Top-1 accuracy against the cost of one clip. The area of a marker grows with the number of "
        "parameters, and the line at a time shows the shortest and the longest round. A network is better "
        "the higher and the further left it is."
    )
    return Section("cost", "Accuracy against cost", caption, [draw_cost(points)])


def _classes(run: LoadedRun, predictions: Predictions) -> Section:
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


def _confusion(run: LoadedRun, predictions: Predictions) -> Section:
    matrices = {
        each.name: confusion_matrix(predictions.label, predictions.predicted[each.name], len(run.classes))
        for each in run.compared
    }
    caption = (
        "Each row shows which classes are predicted for the test clips of one true class. Bright cells off "
        "the diagonal are pairs of classes that the network confuses. A row adds up to less than 1 if nobody "
        "was detected in some clips."
    )
    return Section("confusion", "Confusion matrices", caption, [draw_confusion(matrices, run.classes)])


def _map(run: LoadedRun, predictions: Predictions, settings: Report, progress: Progress) -> Section:
    chosen = evenly_spaced(len(predictions.label), settings.t_sne.clips)
    positions = {}
    with progress.task("t-SNE", len(run.compared), unit="networks") as task:
        for done, each in enumerate(run.compared):
            task.advance_to(done)
            logits = predictions.logits[each.name][chosen]
            positions[each.name] = map_to_plane(logits, settings.t_sne.perplexity, settings.seed)
        task.advance_to(len(run.compared))
    caption = (
        f"Each of {len(chosen)} test clips is a point; points with similar logits are close to each other. "
        "Pure and well separated clusters mean that the network separates the classes well. Positions in "
        "different maps cannot be compared."
    )
    figure = draw_map(positions, predictions.label[chosen], run.classes)
    return Section("tsne", "t-SNE of the logits", caption, [figure])


def _response(
    run: LoadedRun, clips: TestClips, networks: DeployedNetworks, predictions: Predictions, settings: Report
) -> Section:
    responses = [
        measure_response(run, clips, networks, index, int(predictions.shared_person[index]), settings.moments)
        for index in select_example_clips(predictions, settings.response_clips)
    ]
    figures = [draw_response(response) for response in responses if response.magnitude]
    if figures:
        caption = (
            "Size and brightness of a disc show the norm of the last features of a joint. Compare the "
            "student with the teacher, especially at joints with a red outline: they are missing in low "
            "quality."
        )
    elif responses:
        caption = "The features of these networks are those of the whole person, not of single joints."
    else:
        caption = "No test clip contains the same person in both qualities, or response_clips is 0."
    return Section("response", "Response by joint", caption, figures)


def _robustness(
    run: LoadedRun, clips: TestClips, networks: DeployedNetworks, settings: Report, progress: Progress
) -> Section:
    title, chosen = "Robustness", settings.robustness
    if not evaluated_networks(run):
        return Section("robustness", title, "The run has no network with low-quality input.")
    curves = measure_robustness(
        run, clips, networks, degradation_axes(chosen), chosen.clips, settings.seed, progress
    )
    caption = (
        f"Top-1 accuracy on {min(len(clips), chosen.clips)} test clips whose low-quality skeletons are "
        "degraded further; strength 0 leaves them unchanged. The flatter a line, the more robust the "
        "network. Dashed lines: the same network with input smoothed by a sliding-window average over "
        f"{run.experiment.smoothing_window} frames."
    )
    return Section("robustness", title, caption, [draw_robustness(curves)])


def _losses(run: LoadedRun) -> Section:
    title = "Learning curves"
    curves = {each.name: each.curves for each in run.methods if each.curves}
    if not curves:
        return Section("losses", title, "The bundles of this run contain no learning curves.")
    caption = (
        "The task loss of each method and the distillation losses of the students, with their weights in the "
        "total loss. Curves that still fall in the last epoch mean that more epochs may help."
    )
    return Section("losses", title, caption, [draw_losses(curves)])


def _conflicts(run: LoadedRun) -> Section:
    title = "Gradient conflicts"
    curves = {each.name: each.curves for each in run.methods if any(c.revised for c in each.curves)}
    if not curves:
        reason = "No gradient was revised: the run has no student, or gradient revision was switched off."
        return Section("conflicts", title, reason)
    caption = (
        "A distillation gradient conflicts with the task gradient if their cosine is negative; it is then "
        "revised. Left: share of the steps with a revision. Right: the cosine."
    )
    return Section("conflicts", title, caption, [draw_conflicts(curves)])
