"""`skdpipe distill`: teacher, baselines and student of one experiment, one after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from skdpipe.atomic_file import write_text_atomically
from skdpipe.bundle import Bundle, build_network, load_bundle, save_bundle, versions
from skdpipe.cache import PoseCache, Quality
from skdpipe.config import ClipFormat, Estimator, Experiment, MethodName, NetworkChoice, load_config, to_plain
from skdpipe.dataset import Augment, Manifest, PairedClips, augment, build_manifest
from skdpipe.distill.alignment import require_same_joints
from skdpipe.distill.initial_weights import initialise_except_classifier, initialise_from_teacher
from skdpipe.distill.methods import METHODS
from skdpipe.distill.objective import (
    baseline_objective,
    cache_teacher_outputs,
    student_objective,
    teacher_objective,
)
from skdpipe.distill.run_folder import claim, describe
from skdpipe.distill.training import Curve, Objective, train
from skdpipe.errors import BundleError, DataError
from skdpipe.evaluate import Figures, evaluate
from skdpipe.inference.metadata import BundleMetadata, read_metadata
from skdpipe.networks import GraphNetwork, Network, NetworkOutput, adaptation_layer, deployed
from skdpipe.progress import Progress
from skdpipe.skeleton import layout_named

NAMES: Final[dict[str, str]] = {method.name: method.title for method in METHODS}
DISTILLED: Final[frozenset[str]] = frozenset(method.name for method in METHODS if method.distilled)
_SMOOTHED: Final[frozenset[str]] = frozenset(method.name for method in METHODS if method.smoothed)


@dataclass(frozen=True)
class DistillationResult:
    """What a run gave.

    Attributes:
        folder: holds a bundle for each method, config.yaml and results.json.
        figures: by method (teacher, baseline, smoothed, student, student_smoothed).
        manifest: the clips.
    """

    folder: Path
    figures: dict[str, Figures]
    manifest: Manifest

    @property
    def recovered_gap(self) -> float | None:
        """(SKD - LQS-S) / (HQS-T - LQS-S) in top-1; None where the teacher is not ahead."""
        if not {"teacher", "baseline", "student"} <= self.figures.keys():
            return None
        return recovered_gap(*(self.figures[m].top1 for m in ("teacher", "baseline", "student")))


def recovered_gap(teacher: float, baseline: float, student: float) -> float | None:
    """(SKD - LQS-S) / (HQS-T - LQS-S), all in top-1; None where the teacher is not ahead."""
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
    """Train what the experiment names, evaluate it on the test clips, and write bundles.

    A run that was interrupted goes on in its folder: finished methods are not trained again, an
    unfinished one continues after its last whole epoch.

    Args:
        experiment: data, networks and recipe.
        cache: where the skeletons are.
        models: the run's folder is made in here.
        device: where to train.
        progress: shows epochs and time left.
        teacher: a bundle to use instead of training a teacher.
        initial: a bundle of the student's network, whose weights the baselines begin with, but for the
            classifier's (see `finetune`).

    Raises:
        DataError: if the cache does not give what the experiment needs, the run's folder holds another
            run, or a student has no teacher.
        BundleError: if the given teacher does not fit.
        ConfigError: if the feature maps of teacher and student have different joints.
    """
    progress = progress or Progress(quiet=True)
    manifest = build_manifest(cache, experiment)
    run = _Run(experiment, cache, manifest, models / experiment.name, device, progress, initial)
    methods = [method for method in NAMES if method in experiment.methods]  # the teacher first
    distilled = [method for method in methods if method in DISTILLED]
    if distilled and not (teacher or "teacher" in methods or run.has("teacher")):
        raise DataError(
            f"methods {', '.join(methods)} train a student without a teacher; add teacher to the methods, or "
            "give a trained one with --teacher"
        )
    adopted = run.fitting_teacher(teacher) if teacher else None
    if not all(run.has(method) for method in distilled):
        run.require_comparable(adopted)
    data = describe(manifest, teacher, initial)
    claim(run.folder, {"experiment": to_plain(experiment), "data": data})
    if adopted is not None and not run.has("teacher"):
        run.adopt(adopted)
    figures: dict[str, Figures] = {method: run.train_or_load(method, data) for method in methods}
    return DistillationResult(run.folder, figures, manifest)


def finetune_student(
    bundle: Path,
    experiment: Experiment,
    cache: PoseCache,
    models: Path,
    *,
    device: torch.device,
    progress: Progress | None = None,
) -> DistillationResult:
    """Go on with a trained network on other classes and poor skeletons alone (the paper's Table IV).

    Network and clip format are the bundle's, whatever the experiment says of them; the classifier is new, and
    everything is trained. Resumable as `distill`.

    Args:
        bundle: the network to begin with.
        experiment: data and recipe.
        cache, models, device, progress: as of `distill`.

    Raises:
        BundleError: if the bundle cannot be read.
        DataError: if the cache does not give what the experiment needs, or the folder holds another run.
    """
    known = load_bundle(bundle)
    method: MethodName = "smoothed" if known.metadata.clip.smoothing > 1 else "baseline"
    tuned = replace(
        experiment,
        methods=(method,),
        student=known.metadata.choice,
        clip=replace(known.metadata.clip, smoothing=1),
        smoothing_window=known.metadata.clip.smoothing,
    )
    return distill_student(tuned, cache, models, device=device, progress=progress, initial=bundle)


class _Run:
    """The parts of one run that its methods share."""

    def __init__(
        self,
        experiment: Experiment,
        cache: PoseCache,
        manifest: Manifest,
        folder: Path,
        device: torch.device,
        progress: Progress,
        initial: Path | None,
    ) -> None:
        self._initial = initial
        self._experiment, self._cache, self._manifest = experiment, cache, manifest
        self._device, self._progress = device, progress
        self.folder = folder
        self._layout = layout_named(experiment.clip.layout)

    def has(self, method: str) -> bool:
        """Whether a method is trained."""
        return self._path(method).is_file()

    def fitting_teacher(self, path: Path) -> Bundle:
        """A trained teacher, if it was trained for the same classes, clips and estimator."""
        bundle = load_bundle(path)
        for what, found, wanted in (
            ("classes", ", ".join(bundle.metadata.classes), ", ".join(self._manifest.classes)),
            ("clips", bundle.metadata.clip, self._experiment.clip),
            ("the skeletons of", bundle.metadata.fingerprint, self._seen_by("teacher")[0]),
        ):
            if found != wanted:
                raise BundleError(f"{path} was trained for {what} {found}; expected {wanted}")
        return bundle

    def require_comparable(self, teacher: Bundle | None) -> None:
        """Find out before anything is trained whether the student can learn from this teacher.

        Node and edge loss compare feature maps, and a warm start takes the teacher's weights.
        """
        settings, clip = self._experiment.distillation, self._experiment.clip
        if not (settings.node or settings.edge or settings.warm_start):
            return
        known = teacher.network.to(self._device) if teacher else self._untrained(self._choice("teacher"))
        student = self._untrained(self._choice("student"))
        if settings.warm_start:
            initialise_from_teacher(student, known)
        if settings.node or settings.edge:
            require_same_joints(student, known.eval(), (clip.people, 3, clip.frames, len(self._layout)))

    def adopt(self, teacher: Bundle) -> None:
        """Use a trained teacher; its figures are taken anew, on the test clips of this run."""
        figures = self._evaluate("teacher", teacher.network)
        run = {**teacher.metadata.run, "figures": asdict(figures)}
        metadata = replace(teacher.metadata, run=run)
        save_bundle(Bundle(teacher.network.cpu(), metadata), self._path("teacher"))

    def train_or_load(self, method: str, data: Mapping[str, Any]) -> Figures:
        """The figures of a method, trained now unless it was before; its bundle says from what data."""
        if not self.has(method):
            torch.manual_seed(self._experiment.seed)
            network = self._untrained(self._choice(method))
            clips = self._clips(method, train=True)
            curves = self._train(method, *self._objective(method, network, clips), clips)
            self._save(method, network, self._evaluate(method, network), curves, data)
        run = read_metadata(self._path(method)).run
        self._write_results(method, run)
        self._state_file(method).unlink(missing_ok=True)
        return Figures(**run["figures"])

    def _choice(self, method: str) -> NetworkChoice:
        return self._experiment.teacher if method == "teacher" else self._experiment.student

    def _untrained(self, choice: NetworkChoice) -> GraphNetwork:
        return build_network(choice, self._experiment.clip, len(self._manifest.classes)).to(self._device)

    def _objective(
        self, method: str, network: GraphNetwork, clips: PairedClips
    ) -> tuple[nn.ModuleDict, Objective]:
        recipe, settings = self._experiment.recipe, self._experiment.distillation
        modules = nn.ModuleDict({"network": network})
        if method == "teacher":
            return modules, teacher_objective(network, recipe)
        if method not in DISTILLED:
            if self._initial is not None:
                initialise_except_classifier(network, load_bundle(self._initial).network)
            return modules, baseline_objective(network, recipe)
        known = load_bundle(self._path("teacher"))
        if settings.warm_start:
            initialise_from_teacher(network, known.network)
        teacher = deployed(known.network.to(self._device))
        adaptation: nn.Module = nn.Identity()
        if settings.adaptation or network.feature_channels != teacher.feature_channels:
            adaptation = adaptation_layer(network.feature_channels, teacher.feature_channels).to(self._device)
        modules["adaptation"] = adaptation
        kept = (
            self._answers(teacher, clips)
            if recipe.augment is None and settings.teacher_cache_megabytes
            else None
        )
        return modules, student_objective(network, teacher, adaptation, recipe, settings, kept)

    def _answers(self, teacher: Network, clips: PairedClips) -> NetworkOutput | None:
        experiment = self._experiment
        megabytes = experiment.distillation.teacher_cache_megabytes
        with self._progress.task(f"asking {NAMES['teacher']}", len(clips), unit="clips") as task:
            return cache_teacher_outputs(teacher, clips, experiment.recipe, megabytes, self._device, task)

    def _train(
        self, method: str, modules: nn.ModuleDict, objective: Objective, clips: PairedClips
    ) -> list[Curve]:
        recipe = self._experiment.recipe
        chosen: Augment | None = None
        if recipe.augment is not None:
            chosen = partial(augment, mirror=self._layout.mirror, settings=recipe.augment)
        with self._progress.task(f"training {NAMES[method]}", recipe.epochs, unit="epochs") as task:
            return train(
                modules,
                objective,
                clips,
                recipe,
                seed=self._experiment.seed,
                device=self._device,
                revision=self._experiment.distillation.revision,
                augment=chosen,
                state_file=self._state_file(method),
                task=task,
                distil_from=self._experiment.distillation.start,
            )

    def _clips(self, method: str, *, train: bool) -> PairedClips:
        experiment = self._experiment
        taught = method in DISTILLED and experiment.distillation.has_losses
        quality: Quality = "high" if method == "teacher" else "low"
        return PairedClips(
            self._cache,
            self._manifest.part(train=train, quality=quality, labelled=not taught),
            self._manifest.classes,
            experiment.clip,
            self._clip_format(method),
            experiment.derive_low,
            experiment.seed,
            fresh=train and method in DISTILLED and experiment.distillation.resample_degradation,
        )

    def _clip_format(self, method: str) -> ClipFormat:
        """What a method's network sees."""
        clip, window = self._experiment.clip, self._experiment.smoothing_window
        return replace(clip, smoothing=window) if method in _SMOOTHED else clip

    def _evaluate(self, method: str, network: GraphNetwork) -> Figures:
        quality: Quality = "high" if method == "teacher" else "low"
        test = self._clips(method, train=False)
        size = self._experiment.recipe.batch
        figures, logits = evaluate(network, test, quality=quality, batch=size, device=self._device)
        classes, clips = self._manifest.classes, self._manifest.part(train=False)
        answers = {
            "clip": [clip.key for clip in clips],
            "label": [classes.index(clip.label) for clip in clips],
            "predicted": logits.argmax(dim=1).tolist(),
        }
        write_text_atomically(self.folder / f"{method}.predictions.json", json.dumps(answers))
        return figures

    def _save(
        self,
        method: str,
        network: GraphNetwork,
        figures: Figures,
        curves: list[Curve],
        data: Mapping[str, Any],
    ) -> None:
        fingerprint, estimator = self._seen_by(method)
        run = {
            "method": method,
            "experiment": to_plain(self._experiment),
            "data": data,
            "figures": asdict(figures),
            "curves": [asdict(curve) for curve in curves],
            "versions": versions(),
        }
        metadata = BundleMetadata(
            self._choice(method),
            self._manifest.classes,
            self._clip_format(method),
            fingerprint,
            estimator,
            run,
        )
        save_bundle(Bundle(network.cpu(), metadata), self._path(method))

    def _seen_by(self, method: str) -> tuple[str, Estimator | None]:
        """Who made a method's skeletons: the estimator's fingerprint, and its settings unless imported.

        Where low quality is derived by leaving frames out, prediction leaves them out as well.
        """
        derive = self._experiment.derive_low
        quality: Quality = "high" if method == "teacher" or derive else "low"
        settings = self._manifest.high if quality == "high" else self._manifest.low
        first = next(self._cache.entries(quality, settings))
        path = first.path.with_name("estimator.yaml")
        estimator = load_config(Estimator, path) if path.is_file() else None
        if estimator is not None and derive is not None and method != "teacher":
            estimator = replace(estimator, every=estimator.every * derive.every)
        return first.origin.estimator, estimator

    def _write_results(self, method: str, run: Mapping[str, Any]) -> None:
        path = self.folder / "results.json"
        results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        results[method] = {key: run.get(key) for key in ("figures", "curves", "versions")}
        write_text_atomically(path, json.dumps(results, indent=1))

    def _path(self, method: str) -> Path:
        return self.folder / f"{method}.safetensors"

    def _state_file(self, method: str) -> Path:
        return self.folder / f"{method}.state"
