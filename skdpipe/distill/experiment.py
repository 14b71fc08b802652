"""`skdpipe distill` and `skdpipe finetune`: teacher, baselines and student of one experiment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from skdpipe.bundle import load_bundle
from skdpipe.cache import PoseCache
from skdpipe.config import Experiment, to_plain
from skdpipe.dataset import Manifest, build_manifest
from skdpipe.distill.method_training import RunContext, train_method
from skdpipe.distill.methods import BASELINE, METHODS, SMOOTHED, STUDENT, TEACHER
from skdpipe.distill.run_folder import RunFolder, data_description, open_run_folder
from skdpipe.distill.trained_teacher import adopt_teacher, load_teacher, require_comparable
from skdpipe.errors import DataError
from skdpipe.evaluate import Figures
from skdpipe.progress import Progress


@dataclass(frozen=True)
class DistillationResult:
    """The result of a run.

    Attributes:
        folder: contains a bundle for each method, config.yaml and results.json.
        figures: by method name, in the order of `METHODS`.
        manifest: the clips.
    """

    folder: Path
    figures: dict[str, Figures]
    manifest: Manifest

    @property
    def recovered_gap(self) -> float | None:
        """:func:`recovered_gap` of the run; None without teacher, baseline and student."""
        methods = (TEACHER.name, BASELINE.name, STUDENT.name)
        if not self.figures.keys() >= {*methods}:
            return None
        return recovered_gap(*(self.figures[method].top1 for method in methods))


def recovered_gap(teacher: float, baseline: float, student: float) -> float | None:
    """(SKD - LQS-S) / (HQS-T - LQS-S), all in top-1; None if the teacher is not better than the baseline."""
    return (student - baseline) / (teacher - baseline) if teacher > baseline else None


def distill_student(
    experiment: Experiment,
    cache: PoseCache,
    models: Path,
    *,
    device: torch.device,
    progress: Progress | None = None,
    teacher: Path | None = None,
    initial: Path | None = None,
) -> DistillationResult:
    """Train the methods of an experiment, test them, and write their bundles.

    An interrupted run continues in its folder: finished methods are not trained again, an unfinished one
    continues after its last complete epoch.

    Args:
        experiment: data, networks and recipe.
        cache: contains the skeletons.
        models: the run's folder is created in this folder.
        device: where to train.
        progress: shows epochs and time left.
        teacher: a bundle to use instead of training a teacher.
        initial: a bundle of the student's network with the initial weights of the baselines, except the
            classifier's (see :func:`finetune_student`).

    Raises:
        DataError: if the cache lacks clips that the experiment needs, the run's folder contains another run,
            or a student has no teacher.
        BundleError: if the given teacher does not fit.
        ConfigError: if the feature maps of teacher and student have different joints.
    """
    manifest = build_manifest(cache, experiment)
    folder = RunFolder(models / experiment.name)
    data = data_description(manifest, teacher, initial)
    progress = progress or Progress(quiet=True)
    run = RunContext(experiment, cache, manifest, folder, data, device, progress, initial)

    methods = [method for method in METHODS if method.name in experiment.methods]
    distilled = [method for method in methods if method.distilled]
    if distilled and not (teacher or TEACHER in methods or folder.has(TEACHER.name)):
        raise DataError(
            f"methods {', '.join(method.name for method in methods)} train a student without a teacher; add "
            "teacher to the methods, or specify a trained one with --teacher"
        )
    trained_teacher = load_teacher(run, teacher) if teacher else None
    if not all(folder.has(method.name) for method in distilled):
        require_comparable(run, trained_teacher)
    open_run_folder(folder, {"experiment": to_plain(experiment), "data": data})
    if trained_teacher is not None and not folder.has(TEACHER.name):
        adopt_teacher(run, trained_teacher)
    figures: dict[str, Figures] = {method.name: train_method(run, method) for method in methods}
    return DistillationResult(folder.path, figures, manifest)


def finetune_student(
    bundle: Path,
    experiment: Experiment,
    cache: PoseCache,
    models: Path,
    *,
    device: torch.device,
    progress: Progress | None = None,
) -> DistillationResult:
    """Continue training a network on other classes, on low-quality skeletons only (the paper's Table IV).

    Network and clip format are those of the bundle, not of the experiment. The classifier is new, and all
    weights are trained. Interrupted runs continue as those of :func:`distill_student`.

    Args:
        bundle: the network with the initial weights.
        experiment: data and recipe.
        cache, models, device, progress: as for :func:`distill_student`.

    Raises:
        BundleError: if the bundle cannot be read.
        DataError: if the cache lacks clips that the experiment needs, or the folder contains another run.
    """
    metadata = load_bundle(bundle).metadata
    method = SMOOTHED if metadata.clip.smoothing > 1 else BASELINE
    tuned = replace(
        experiment,
        methods=(method.name,),
        student=metadata.choice,
        clip=replace(metadata.clip, smoothing=1),
        smoothing_window=metadata.clip.smoothing,
    )
    return distill_student(tuned, cache, models, device=device, progress=progress, initial=bundle)
