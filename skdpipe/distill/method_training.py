"""Training of one method of a run: its clips, network and objective, its test, its bundle."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from skdpipe.bundle import Bundle, build_network, load_bundle, save_bundle, versions
from skdpipe.cache import PoseCache, Quality
from skdpipe.config import ClipFormat, Estimator, Experiment, NetworkChoice, load_estimator_settings, to_plain
from skdpipe.dataset import Manifest, PairedClip, PairedClips
from skdpipe.dataset.loader import clips_per_epoch, steps_per_epoch
from skdpipe.dataset.subset import evenly_spread
from skdpipe.dataset.training_clips import describe_training_clips
from skdpipe.distill.calibration import FEWEST_CLIPS, Calibration, calibrate
from skdpipe.distill.initial_weights import initialise_except_classifier, initialise_from_teacher
from skdpipe.distill.methods import METHODS, STUDENT, TEACHER, Method
from skdpipe.distill.objective import (
    baseline_objective,
    cache_teacher_outputs,
    student_objective,
    teacher_objective,
)
from skdpipe.distill.processes import ALONE, Processes
from skdpipe.distill.records import RunData, record_of_bundle
from skdpipe.distill.run_folder import RunFolder, write_card
from skdpipe.distill.standstill import describe_standstill, epoch_of_judgement
from skdpipe.distill.training import Objective, planned_epochs, train
from skdpipe.distill.training_log import TrainingLog, training_log
from skdpipe.distill.training_state import Curve
from skdpipe.distill.training_table import training_table
from skdpipe.evaluate import Figures, accuracy, evaluate, logits_of, predicted_classes
from skdpipe.inference.metadata import BundleMetadata, TrainingClips, read_metadata
from skdpipe.networks import GraphNetwork, Network, NetworkOutput, adaptation_layer, deployed
from skdpipe.progress import Progress, Task
from skdpipe.storage import is_file, local_copy
from skdpipe.training_record import Skeletons

_TRAINING_CLIPS_TESTED: Final = 1000


@dataclass(frozen=True)
class RunContext:
    """What the methods of a run share.

    Attributes:
        experiment: data, networks and recipe.
        cache: contains the skeletons.
        manifest: the clips.
        folder: the files of the run.
        data: of the run, saved in each bundle.
        device: where to train.
        progress: shows epochs and time left.
        initial: a bundle with the initial weights of the baselines, except the classifier's.
        log: formats in which the curves are logged.
        test_every: number of epochs after which the accuracy on the test clips is measured; 0: never.
        processes: train together; process 0 alone has the folder.
    """

    experiment: Experiment
    cache: PoseCache
    manifest: Manifest
    folder: RunFolder
    data: RunData
    device: torch.device
    progress: Progress
    initial: Path | None
    log: Collection[str] = ()
    test_every: int = 0
    processes: Processes = ALONE
    _training_clips: dict[Quality, TrainingClips] = field(default_factory=dict, init=False, repr=False)

    def training_clips(self, quality: Quality) -> TrainingClips:
        """The labelled training clips of a quality; they are described once for all methods."""
        if quality not in self._training_clips:
            experiment = self.experiment
            self._training_clips[quality] = describe_training_clips(
                self.cache,
                self.manifest.part(train=True, quality=quality, labelled=True),
                quality,
                self.manifest.clip_format(experiment.clip, quality),
                experiment.derive_low,
                experiment.seed,
            )
        return self._training_clips[quality]

    def clip_format(self, method: Method, quality: Quality | None = None) -> ClipFormat:
        """The format of a method's clips of a quality, by default the one it is trained on."""
        clip = method.clip_format(self.experiment.clip, self.experiment.smoothing_window)
        return self.manifest.clip_format(clip, quality or method.quality)


def train_method(run: RunContext, method: Method) -> None:
    """Train, test and save a method; what is done already is not done again."""
    if run.processes.of_first(lambda: run.folder.has(method.name)):
        run.processes.of_first(lambda: _complete(run, method))
        return
    calibration = _calibrate(run, method)
    network, curves = _train_network(run, method, run.folder.training_state(method.name))
    run.processes.of_first(lambda: _test_and_save(run, method, network, curves, calibration))


def _test_and_save(
    run: RunContext,
    method: Method,
    network: GraphNetwork,
    curves: list[Curve],
    calibration: Calibration | None,
) -> None:
    figures = evaluate_method(run, method, network)
    bundle = Bundle(network.cpu(), _metadata(run, method, figures, curves, calibration))
    run.folder.card(method.name).unlink(missing_ok=True)  # of a bundle that was deleted
    save_bundle(bundle, run.folder.bundle(method.name))
    _write_results(run, method)


def _complete(run: RunContext, method: Method) -> None:
    """Write what is missing beside the bundle of a method."""
    path = run.folder.bundle(method.name)
    if not run.folder.predictions(method.name).is_file():
        evaluate_method(run, method, load_bundle(path).network)
    with _log_of(run, method) as log:
        log.write(record_of_bundle(read_metadata(path), path).curves)
    _write_results(run, method)


def _write_results(run: RunContext, method: Method) -> None:
    path = run.folder.bundle(method.name)
    write_card(run.folder, method.name)
    run.folder.write_results(method.name, record_of_bundle(read_metadata(path), path))
    state = run.folder.training_state(method.name)
    if state.exists():  # a complete run may be in a read-only place
        state.unlink()


def _calibrate(run: RunContext, method: Method) -> Calibration | None:
    """Fit the temperature of a student on training clips that another training of it leaves out.

    With a warm start the student's initial weights are a teacher's, which is then trained without them too.
    """
    experiment = run.experiment
    if not (experiment.calibration and (method.distilled or run.initial is not None)):
        return None
    manifest, held_out = run.manifest.hold_out(method.quality, experiment.calibration, experiment.seed)
    if reason := _reason_not_to_calibrate(run.manifest, manifest, method, len(held_out)):
        return Calibration(len(held_out), reason=reason)
    part, teacher = replace(run, manifest=manifest, log=(), test_every=0), None
    if method.distilled and experiment.distillation.warm_start:
        choice = run.processes.of_first(lambda: read_metadata(run.folder.bundle(TEACHER.name)).choice)
        teachers = replace(part, experiment=replace(experiment, teacher=choice))
        teacher = _train_for_calibration(teachers, TEACHER).eval()
    network = deployed(_train_for_calibration(part, method, teacher))
    return run.processes.of_first(lambda: _fit_calibration(run, method, network, held_out))


def _fit_calibration(
    run: RunContext, method: Method, network: Network, held_out: Sequence[PairedClip]
) -> Calibration:
    clips, batch = clips_of(run, method, held_out), run.experiment.recipe.batch
    logits, label = logits_of(network, clips, method.quality, batch, run.device)
    seen = ~logits.isnan().any(dim=1)
    return calibrate(logits[seen].numpy(), label[seen].numpy())


def _reason_not_to_calibrate(whole: Manifest, part: Manifest, method: Method, held_out: int) -> str:
    """Why the training clips do not suffice for a temperature; empty if they do."""
    if held_out < FEWEST_CLIPS:
        return f"{held_out} held-out training clips, fewer than {FEWEST_CLIPS}"
    for quality in (TEACHER.quality, method.quality):
        before, after = (
            {clip.label for clip in manifest.part(train=True, quality=quality, labelled=True)}
            for manifest in (whole, part)
        )
        if lost := sorted(before - after):
            return f"all training clips of {lost[0]} are held out"
    return ""


def _train_for_calibration(
    run: RunContext, method: Method, teacher: GraphNetwork | None = None
) -> GraphNetwork:
    state = run.folder.calibration_state(method.name, run.experiment.calibration)
    return _train_network(run, method, state, teacher, purpose=" for calibration")[0].eval()


def evaluate_method(run: RunContext, method: Method, network: GraphNetwork) -> Figures:
    """Test a network on the test clips of the run and write its predictions."""
    labelled = run.manifest.part(train=True, quality=method.quality, labelled=True)
    figures, logits = evaluate(
        network,
        clips_of(run, method, run.manifest.part(train=False)),
        quality=method.quality,
        batch=run.experiment.recipe.batch,
        device=run.device,
        training=clips_of(run, method, evenly_spread(labelled, _TRAINING_CLIPS_TESTED)),
    )
    run.folder.write_predictions(method.name, run.manifest, predicted_classes(logits))
    return figures


def network_choice(run: RunContext, method: Method) -> NetworkChoice:
    """The network of a method."""
    return run.experiment.teacher if method == TEACHER else run.experiment.student


def untrained_network(run: RunContext, method: Method) -> GraphNetwork:
    """A new network of a method, on the device of the run."""
    clip, classes = run.clip_format(method), len(run.manifest.classes)
    return build_network(network_choice(run, method), clip, classes).to(run.device)


def skeleton_source(run: RunContext, method: Method) -> tuple[str, Estimator | None]:
    """The estimator's fingerprint of a method's skeletons, and its settings unless they were imported.

    If low quality is derived by dropping frames, the settings drop the same frames, for prediction.
    """
    derive = run.experiment.derive_low
    quality: Quality = "high" if derive else method.quality
    settings = run.manifest.high if quality == "high" else run.manifest.low
    first = next(run.cache.entries(quality, settings))
    path = first.path.with_name("estimator.yaml")
    estimator = None
    if is_file(path):
        with local_copy(path) as copy:
            estimator = load_estimator_settings(copy)
    if estimator is not None and derive is not None and method.quality == "low":
        estimator = replace(estimator, every=estimator.every * derive.every)
    return first.origin.estimator, estimator


def clips_of(
    run: RunContext, method: Method, clips: Sequence[PairedClip], *, resample: bool = False
) -> PairedClips:
    """Clips of the run as tensors, in the formats of a method."""
    experiment = run.experiment
    return PairedClips(
        run.cache,
        clips,
        run.manifest.classes,
        run.clip_format(TEACHER),
        run.clip_format(method, "low"),
        experiment.derive_low,
        experiment.seed,
        resample=resample,
        megabytes=experiment.recipe.memory_megabytes,
    )


def _train_network(
    run: RunContext, method: Method, state: Path, teacher: GraphNetwork | None = None, purpose: str = ""
) -> tuple[GraphNetwork, list[Curve]]:
    """Train a network of a method; a student is taught by the teacher given, or by that of the run's folder.

    A training that has a state continues from it.
    """
    torch.manual_seed(run.experiment.seed)
    network = untrained_network(run, method)
    clips = _training_clips(run, method)
    modules, objective = _objective(run, method, network, clips, teacher)
    test = _test_of(run, method, network)
    return network, _train(run, method, purpose, modules, objective, clips, state, test)


def _training_clips(run: RunContext, method: Method) -> PairedClips:
    distillation = run.experiment.distillation
    unlabelled = method.distilled and distillation.has_losses
    return clips_of(
        run,
        method,
        run.manifest.part(train=True, quality=method.quality, labelled=not unlabelled),
        resample=method.distilled and distillation.resample_degradation,
    )


def _objective(
    run: RunContext, method: Method, network: GraphNetwork, clips: PairedClips, teacher: GraphNetwork | None
) -> tuple[nn.ModuleDict, Objective]:
    """What is trained and what it minimises; sets the network's initial weights."""
    recipe = run.experiment.recipe
    modules = nn.ModuleDict({"network": network})
    if method == TEACHER:
        return modules, teacher_objective(network, recipe, run.processes)
    if method.distilled:
        return _student_objective(run, network, clips, teacher)
    if run.initial is not None:
        initial = run.initial
        initialise_except_classifier(network, run.processes.of_first(lambda: load_bundle(initial).network))
    return modules, baseline_objective(network, recipe, run.processes)


def _student_objective(
    run: RunContext, network: GraphNetwork, clips: PairedClips, teacher: GraphNetwork | None
) -> tuple[nn.ModuleDict, Objective]:
    recipe, settings = run.experiment.recipe, run.experiment.distillation
    if teacher is None:
        path = run.folder.bundle(TEACHER.name)
        teacher = run.processes.of_first(lambda: load_bundle(path).network).to(run.device).eval()
    if settings.warm_start:
        initialise_from_teacher(network, teacher, same_input=run.manifest.same_coordinates)
    adaptation: nn.Module = nn.Identity()
    if settings.adaptation or network.feature_channels != teacher.feature_channels:
        adaptation = adaptation_layer(network.feature_channels, teacher.feature_channels).to(run.device)
    cached = None
    if recipe.augment is None and settings.teacher_cache_megabytes:
        cached = _cached_outputs(run, teacher, clips)
    modules = nn.ModuleDict({"network": network, "adaptation": adaptation})
    return modules, student_objective(network, teacher, adaptation, recipe, settings, cached, run.processes)


def _cached_outputs(run: RunContext, teacher: Network, clips: PairedClips) -> NetworkOutput | None:
    recipe, megabytes = run.experiment.recipe, run.experiment.distillation.teacher_cache_megabytes
    with run.progress.task(f"caching outputs of {TEACHER.title}", len(clips), unit="clips") as task:
        return cache_teacher_outputs(teacher, clips, recipe, megabytes, run.device, task, run.processes)


def _train(
    run: RunContext,
    method: Method,
    purpose: str,
    modules: nn.ModuleDict,
    objective: Objective,
    clips: PairedClips,
    state: Path,
    test: Callable[[int], float | None] | None,
) -> list[Curve]:
    recipe, distillation = run.experiment.recipe, run.experiment.distillation
    epochs = planned_epochs(recipe, len(clips))
    title = f"{method.title}{purpose}"
    with (
        run.progress.task(f"training {title}", epochs, unit="epochs") as task,
        _log_of(run, method) as log,
    ):
        return train(
            modules,
            objective,
            clips,
            recipe,
            seed=run.experiment.seed,
            device=run.device,
            revision=distillation.revision,
            augment=recipe.augment,
            state_file=state,
            task=task,
            distil_from=distillation.start,
            test=test,
            follow=_follower(run, method, title, clips.labels, epochs, task, log),
            processes=run.processes,
        )


def _log_of(run: RunContext, method: Method) -> AbstractContextManager[TrainingLog]:
    return training_log(run.log, run.folder, method, run.experiment)


def _test_of(run: RunContext, method: Method, network: GraphNetwork) -> Callable[[int], float | None] | None:
    """Measures the accuracy on the test clips after the epochs that the run names; changes no weight."""
    if not run.test_every:
        return None
    clips = clips_of(run, method, run.manifest.part(train=False))
    batch = run.experiment.recipe.batch

    def test(epoch: int) -> float | None:
        if epoch % run.test_every:
            return None
        network_in_use = deployed(network.eval())
        return accuracy(*logits_of(network_in_use, clips, method.quality, batch, run.device), 1)

    return test


def _follower(
    run: RunContext,
    method: Method,
    title: str,
    labels: Sequence[int],
    epochs: int,
    task: Task,
    log: TrainingLog,
) -> Callable[[Sequence[Curve]], None]:
    """Shows and logs the curves after each epoch, and warns once if the network does not learn."""
    recipe, records = run.experiment.recipe, run.processes.of_first(run.folder.read_results)
    before = METHODS[: METHODS.index(method)]
    earlier = {each.title: records[each.name].curves for each in before if each.name in records}
    judged = epoch_of_judgement(
        epochs, steps_per_epoch(clips_per_epoch(labels, balanced=recipe.balanced), recipe.batch)
    )

    def follow(curves: Sequence[Curve]) -> None:
        task.show_table(*training_table(method.title, curves, epochs, earlier))
        log.write(curves)
        if len(curves) == judged < epochs:
            problem = describe_standstill(title, curves, epochs, labels, balanced=recipe.balanced)
            if problem:
                warnings.warn(problem, stacklevel=2)

    return follow


def _metadata(
    run: RunContext, method: Method, figures: Figures, curves: list[Curve], calibration: Calibration | None
) -> BundleMetadata:
    fingerprint, estimator = skeleton_source(run, method)
    return BundleMetadata(
        network_choice(run, method),
        run.manifest.classes,
        run.clip_format(method),
        fingerprint,
        estimator,
        run={
            "method": method.name,
            "experiment": to_plain(run.experiment),
            "data": to_plain(run.data),
            "figures": asdict(figures),
            "curves": [asdict(curve) for curve in curves],
            "versions": versions(),
            "calibration": asdict(calibration) if calibration else None,
            "confusions": asdict(run.folder.read_confusions(method.name)),
            "labelled": _labelled_clips(run, method),
            "skeletons": _skeletons(run),
        },
        temperature=calibration.fit.temperature if calibration and calibration.fit else None,
        training_clips=run.training_clips(method.quality),
    )


def _labelled_clips(run: RunContext, method: Method) -> list[int]:
    """Number of labelled training clips of each class."""
    labelled = run.manifest.part(train=True, quality=method.quality, labelled=True)
    counts = Counter(clip.label for clip in labelled)
    return [counts[name] for name in run.manifest.classes]


def _skeletons(run: RunContext) -> dict[Quality, dict[str, Any]]:
    """The skeletons of both qualities, as plain values."""
    derived = run.experiment.derive_low is not None
    return {
        "high": to_plain(Skeletons(run.manifest.high, *skeleton_source(run, TEACHER))),
        "low": to_plain(Skeletons(run.manifest.low, *skeleton_source(run, STUDENT), derived)),
    }
