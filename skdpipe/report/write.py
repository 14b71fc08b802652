"""`skdpipe report`: what is measured, what is drawn of it, and in which order it is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from skdpipe.atomic_file import write_text_atomically
from skdpipe.cache import PoseCache
from skdpipe.config import Report
from skdpipe.progress import Progress
from skdpipe.report.figures import (
    draw_accuracy_by_class,
    draw_conflicts,
    draw_confusion,
    draw_cost,
    draw_losses,
    draw_map,
    draw_response,
    draw_robustness,
)
from skdpipe.report.figures.accuracy import Point
from skdpipe.report.gather import (
    Answers,
    LoadedRun,
    Networks,
    UnseenClips,
    answer_clips,
    load_run,
    respond,
    telling_clips,
)
from skdpipe.report.measures import accuracy_by_class, by_gain, confusion_matrix, map_to_plane, spread
from skdpipe.report.page import Section, write_page
from skdpipe.report.robustness import degradation_axes, evaluated_networks, measure_robustness


def write_report(
    folder: Path,
    cache: PoseCache,
    output: Path,
    settings: Report,
    *,
    device: torch.device,
    progress: Progress | None = None,
    beside: Sequence[Path] = (),
) -> None:
    """Write one self-contained HTML file about a run.

    Args:
        folder: the run's, made by `distill`.
        cache: the skeletons that it was trained on.
        output: the file, written whole or not at all.
        settings: what is shown.
        device: where the networks answer.
        progress: shows clips and time left.
        beside: folders of further runs, to be compared in accuracy and cost.

    Raises:
        DataError: if the folder is no run, or the cache is gone or gives other clips.
        BundleError: if a bundle is damaged.
        CacheError: if a cached sequence is missing or damaged.
    """
    progress = progress or Progress(quiet=True)
    run, others = load_run(folder), [load_run(other) for other in beside]
    clips, networks = UnseenClips(run, cache), Networks(run, device)
    answers = answer_clips(run, clips, networks, progress)
    sections = [
        _cost([run, *others]),
        _by_class(run, answers),
        _confusion(run, answers),
        _map(run, answers, settings, progress),
        _response(run, clips, networks, answers, settings),
        _endurance(run, clips, networks, settings, progress),
        _losses(run),
        _conflicts(run),
    ]
    write_text_atomically(output, write_page(run, settings, sections, others))


def _titles(run: LoadedRun) -> dict[str, str]:
    return {each.method: each.title for each in run.methods}


def _cost(runs: Sequence[LoadedRun]) -> Section:
    points = [
        Point(
            run.name,
            each.method,
            each.title,
            each.figures.top1,
            each.figures.parameters,
            each.figures.gflops,
            each.figures.milliseconds,
        )
        for run in runs
        for each in run.methods
    ]
    caption = (
        "The higher and the further left a network stands, the more it gives for what it costs; areas go "
        "with the number of parameters."
    )
    return Section("cost", "Accuracy against cost", caption, [draw_cost(points)])


def _by_class(run: LoadedRun, answers: Answers) -> Section:
    count = len(run.classes)
    clips = np.bincount(answers.label, minlength=count)
    accuracy = {
        each.method: accuracy_by_class(answers.label, answers.predicted[each.method], count)
        for each in run.compared
    }
    if {"baseline", "student"} <= accuracy.keys():
        order = by_gain(accuracy["student"], accuracy["baseline"])
        gain = accuracy["student"] - accuracy["baseline"]
        caption = (
            f"Classes stand in the order of what {_titles(run)['student']} gains over "
            f"{_titles(run)['baseline']} (right margin, in points): it is better in {np.sum(gain > 0)}, "
            f"worse in {np.sum(gain < 0)} of {count}."
        )
    else:
        order = by_gain(next(iter(accuracy.values())), np.zeros(count))
        caption = (
            "Classes stand in the order of accuracy; those at the bottom are what the network finds hardest."
        )
    figure = draw_accuracy_by_class(
        {method: values[order] for method, values in accuracy.items()},
        _titles(run),
        [run.classes[index] for index in order],
        clips[order].tolist(),
    )
    return Section("classes", "Accuracy by class", caption, [figure])


def _confusion(run: LoadedRun, answers: Answers) -> Section:
    matrices = {
        each.title: confusion_matrix(answers.label, answers.predicted[each.method], len(run.classes))
        for each in run.compared
    }
    caption = (
        "Each row shows what the clips of a class are taken for: bright cells off the diagonal are classes "
        "that a network mixes up, and the student should lose those that the baseline alone has."
    )
    return Section("confusion", "Confusion matrices", caption, [draw_confusion(matrices, run.classes)])


def _map(run: LoadedRun, answers: Answers, settings: Report, progress: Progress) -> Section:
    chosen = spread(len(answers.label), settings.t_sne.clips)
    places = {}
    with progress.task("t-SNE", len(run.compared), unit="networks") as task:
        for done, each in enumerate(run.compared):
            task.advance_to(done)
            logits = answers.logits[each.method][chosen]
            places[each.title] = map_to_plane(logits, settings.t_sne.perplexity, settings.seed)
        task.advance_to(len(run.compared))
    caption = (
        f"Each of {len(chosen)} test clips is a point, near those with similar logits: the purer and the "
        "further apart the clusters, the better a network tells the classes apart; places in different maps "
        "cannot be compared."
    )
    return Section(
        "tsne", "t-SNE of the logits", caption, [draw_map(places, answers.label[chosen], run.classes)]
    )


def _response(
    run: LoadedRun, clips: UnseenClips, networks: Networks, answers: Answers, settings: Report
) -> Section:
    chosen = telling_clips(answers, settings.response_clips)
    figures = [
        draw_response(
            respond(run, clips, networks, index, int(answers.shared[index]), settings.moments), _titles(run)
        )
        for index in chosen
    ]
    caption = (
        "Discs grow and brighten with the norm of a joint's last features: see whether the student attends "
        "to the joints that the teacher attends to, although those with a red ring are hidden from it."
        if figures
        else "No test clip shows one person in both qualities, or none was asked for."
    )
    return Section("response", "Response by joint", caption, figures)


def _endurance(
    run: LoadedRun, clips: UnseenClips, networks: Networks, settings: Report, progress: Progress
) -> Section:
    title = "Robustness"
    if not evaluated_networks(run):
        return Section("robustness", title, "The run has no network that sees poor skeletons.")
    chosen = settings.robustness
    card = measure_robustness(
        run, clips, networks, degradation_axes(chosen), chosen.clips, settings.seed, progress
    )
    caption = (
        f"Top-1 on {min(len(clips), chosen.clips)} test clips whose poor skeletons are made worse still, 0 "
        "being as they are: the flatter a line, the more robust its network; dashed lines are the same "
        f"networks looking at skeletons smoothed over {run.experiment.smoothing_window} frames."
    )
    return Section("robustness", title, caption, [draw_robustness(card, _titles(run))])


def _losses(run: LoadedRun) -> Section:
    curves = {each.method: each.curves for each in run.methods if each.curves}
    if not curves:
        return Section("losses", "Learning curves", "The run keeps no learning curves.")
    caption = (
        "The task loss of every method and the distillation losses of the students, each as it enters the "
        "sum: all should have levelled out by the last epoch."
    )
    return Section("losses", "Learning curves", caption, [draw_losses(curves, _titles(run))])


def _conflicts(run: LoadedRun) -> Section:
    title = "Gradients in conflict"
    curves = {each.method: each.curves for each in run.methods if any(c.revised for c in each.curves)}
    if not curves:
        return Section(
            "conflicts", title, "No gradient was revised: the run has no student, or revision was off."
        )
    caption = (
        "Where a distillation gradient points away from the task's (cosine below 0) it is revised: the left "
        "panel shows in how many steps that was so, the right one the cosine itself, which is taken in an "
        "epoch's first step at least."
    )
    return Section("conflicts", title, caption, [draw_conflicts(curves, _titles(run))])
