"""`skdpipe distill` and `skdpipe finetune`: teacher, baselines and student of one experiment."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from skdpipe.bundle import Bundle, load_bundle
from skdpipe.cache import PoseCache
from skdpipe.config import Experiment
from skdpipe.dataset import Manifest, build_manifest
from skdpipe.distill.auto import describe_choice, resolve_networks
from skdpipe.distill.calibration import Calibration
from skdpipe.distill.conclusions import Conclusion, conclude
from skdpipe.distill.forests import evaluate_forests
from skdpipe.distill.method_training import RunContext, train_method
from skdpipe.distill.methods import BASELINE, FORESTS, METHODS, SMOOTHED, STUDENT, TEACHER, Method
from skdpipe.distill.processes import ALONE, Processes
from skdpipe.distill.records import RunConfig, RunData
from skdpipe.distill.results import Results, read_test_results, recovered_gap, require_test_clips
from skdpipe.distill.run_folder import RunFolder, describe_data, open_run_folder
from skdpipe.distill.trained_teacher import adopt_teacher, load_teacher, require_comparable
from skdpipe.distill.training_log import require_log_formats
from skdpipe.errors import DataError
from skdpipe.evaluate import Figures, time_networks
from skdpipe.inference.metadata import read_metadata
from skdpipe.progress import Progress
from skdpipe.speed import Timing


@dataclass(frozen=True)
class DistillationResult:
    """The result of a run.

    Attributes:
        folder: contains a bundle for each method, config.yaml and results.json.
        manifest: the clips.
        results: test results of methods and forests, in the order of `METHODS`.
        choice: the automatic choices in one line, empty if there are none.
    """

    folder: Path
    manifest: Manifest
    results: Results
    choice: str

    @property
    def figures(self) -> dict[str, Figures]:
        """Accuracy and cost by method name."""
        return {name: each.figures for name, each in self.results.items() if each.figures is not None}

    def time_networks(self, device: torch.device) -> dict[str, Timing]:
        """Time one clip by each network of the results, all in turn; by method name.

        Raises:
            BundleError: if a bundle is damaged.
        """
        folder = RunFolder(self.folder)
        bundles: dict[str, Bundle] = {
            method.name: load_bundle(folder.bundle(method.name))
            for method in METHODS
            if method.name in self.figures
        }
        return time_networks(bundles, device)

    @property
    def calibrations(self) -> dict[str, Calibration]:
        """How the probabilities of networks were calibrated, by method name."""
        records = RunFolder(self.folder).read_results()
        return {
            name: each.calibration
            for name, each in records.items()
            if name in self.results and each.calibration is not None
        }

    @property
    def recovered_gap(self) -> float | None:
        """:func:`recovered_gap` of the student."""
        return recovered_gap(self.results, STUDENT.name)

    @property
    def conclusions(self) -> list[Conclusion]:
        """What the results mean, problems first."""
        return conclude(self.results)


def distill_student(
    experiment: Experiment,
    cache: PoseCache,
    models: Path,
    *,
    device: torch.device,
    progress: Progress | None = None,
    teacher: Path | None = None,
    initial: Path | None = None,
    log: Collection[str] = (),
    test_every: int = 0,
    processes: Processes = ALONE,
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
        log: formats in which the curves of each method are logged in the run's folder: ``csv``, as
            ``METHOD.training.csv``, and ``tensorboard``, as ``tensorboard/METHOD``.
        test_every: number of epochs after which the accuracy on the test clips is measured, for the curves
            only: nothing is chosen by it, and the weights are the same without it; 0: never.
        processes: train together, each with a part of every batch. Process 0 alone has the run's folder and
            shows progress.

    Raises:
        DataError: if the cache lacks clips that the experiment needs, the run's folder contains another run
            or is damaged, or a student has no teacher.
        BundleError: if the given teacher does not fit, or a bundle in the folder is damaged.
        ConfigError: if the feature maps of teacher and student have different joints, or a log is unknown.
        MissingDependencyError: if the package of a log is not installed.
        ProcessError: if another process fails.
    """
    settings = experiment
    if progress is None or not processes.is_first:
        progress = Progress(quiet=True)
    experiment, manifest, data = processes.of_first(
        lambda: _resolve(experiment, cache, teacher, initial, log)  # processes may have other caches
    )
    run = RunContext(
        experiment,
        cache,
        manifest,
        RunFolder(models / experiment.name),
        data,
        device,
        progress,
        initial,
        log,
        test_every,
        processes,
    )
    methods = [method for method in METHODS if method.name in experiment.methods]
    processes.of_first(lambda: _begin(run, methods, teacher))
    for method in methods:
        train_method(run, method)
    choice = describe_choice(settings, experiment, manifest)
    return DistillationResult(run.folder.path, manifest, processes.of_first(lambda: _finish(run)), choice)


def _resolve(
    experiment: Experiment, cache: PoseCache, teacher: Path | None, initial: Path | None, log: Collection[str]
) -> tuple[Experiment, Manifest, RunData]:
    """The settings without ``auto``, the clips, and their description."""
    require_log_formats(log)
    manifest = build_manifest(cache, experiment)
    if initial is not None:
        manifest.clip_format(read_metadata(initial).clip, "low")  # refuses other coordinates
    choice = read_metadata(teacher).choice if teacher else None
    return resolve_networks(experiment, manifest, choice), manifest, describe_data(manifest, teacher, initial)


def _begin(run: RunContext, methods: Sequence[Method], teacher: Path | None) -> None:
    """Check the run and open its folder; adopt a trained teacher, and fit the forests."""
    distilled = [method for method in methods if method.distilled]
    if distilled and not (teacher or TEACHER in methods or run.folder.has(TEACHER.name)):
        raise DataError(
            f"methods {', '.join(method.name for method in methods)} train a student without a teacher; add "
            "teacher to the methods, or specify a trained one with --teacher"
        )
    trained_teacher = load_teacher(run, teacher) if teacher else None
    if not all(run.folder.has(method.name) for method in distilled):
        require_comparable(run, trained_teacher)
    open_run_folder(run.folder, RunConfig(run.experiment, run.data))
    if trained_teacher is not None and not run.folder.has(TEACHER.name):
        adopt_teacher(run, trained_teacher)
    if run.experiment.classical:
        evaluate_forests(run)


def _finish(run: RunContext) -> Results:
    """Delete what a complete run does not need, and read its results."""
    folder, experiment = run.folder, run.experiment
    folder.remove_calibration_states()
    wanted: set[str] = {*experiment.methods, *(forest.name for forest in FORESTS if experiment.classical)}
    results: Results = {name: each for name, each in read_test_results([folder]).items() if name in wanted}
    require_test_clips(results, run.manifest, folder.path)
    return results


def finetune_student(
    bundle: Path,
    experiment: Experiment,
    cache: PoseCache,
    models: Path,
    *,
    device: torch.device,
    progress: Progress | None = None,
    log: Collection[str] = (),
    test_every: int = 0,
    processes: Processes = ALONE,
) -> DistillationResult:
    """Continue training a network on other classes, on low-quality skeletons only (the paper's Table IV).

    Network and clip format are those of the bundle, not of the experiment. The classifier is new, and all
    weights are trained. Interrupted runs continue as those of :func:`distill_student`.

    Args:
        bundle: the network with the initial weights.
        experiment: data and recipe.
        cache, models, device, progress, log, test_every, processes: as for :func:`distill_student`.

    Raises:
        BundleError: if the bundle cannot be read.
        DataError: if the cache lacks clips that the experiment needs, or the folder contains another run.
    """
    metadata = processes.of_first(lambda: load_bundle(bundle).metadata)
    method = SMOOTHED if metadata.clip.smoothing > 1 else BASELINE
    tuned = replace(
        experiment,
        methods=(method.name,),
        student=metadata.choice,
        clip=replace(metadata.clip, smoothing=1, coordinates=None),
        smoothing_window=metadata.clip.smoothing,
    )
    return distill_student(
        tuned,
        cache,
        models,
        device=device,
        progress=progress,
        initial=bundle,
        log=log,
        test_every=test_every,
        processes=processes,
    )
