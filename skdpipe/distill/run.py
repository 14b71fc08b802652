"""`skdpipe distill`: teacher, baselines and student of one experiment, one after the other."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
import yaml
from torch import nn

from skdpipe.bundle import Bundle, build_network, load_bundle, save_bundle, versions
from skdpipe.cache import PoseCache, Quality
from skdpipe.config import Estimator, Experiment, NetworkChoice, parse_config, to_plain
from skdpipe.dataset import Augment, Batch, Manifest, PairedClips, augment, build_manifest
from skdpipe.distill.loop import Curve, Objective, train
from skdpipe.distill.objectives import learn_from_high, learn_from_low, learn_from_teacher
from skdpipe.errors import BundleError, DataError
from skdpipe.evaluate import Figures, evaluate
from skdpipe.networks import StGcn, adaptation_layer
from skdpipe.progress import Progress
from skdpipe.skeleton import LAYOUTS

NAMES: Final = {"teacher": "HQS-T", "baseline": "LQS-S", "smoothed": "LQS-SWA-S", "student": "SKD"}


@dataclass(frozen=True)
class DistillationResult:
    """What a run gave.

    Attributes:
        folder: holds a bundle for each method, config.yaml and results.json.
        figures: by method (teacher, baseline, smoothed, student).
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
        teacher, baseline, student = (self.figures[m].top1 for m in ("teacher", "baseline", "student"))
        return (student - baseline) / (teacher - baseline) if teacher > baseline else None


def distill(
    experiment: Experiment,
    cache: PoseCache,
    models: Path,
    *,
    device: torch.device,
    progress: Progress | None = None,
    teacher: Path | None = None,
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

    Raises:
        DataError: if the cache does not give what the experiment needs, or its folder holds another run.
        BundleError: if the given teacher does not fit.
    """
    progress = progress or Progress(quiet=True)
    manifest = build_manifest(cache, experiment)
    folder = models / experiment.name
    _claim(folder, experiment, manifest)
    run = _Run(experiment, cache, manifest, folder, device, progress)
    if teacher is not None:
        run.adopt_teacher(teacher)
    figures: dict[str, Figures] = {method: run.train_or_load(method) for method in experiment.methods}
    return DistillationResult(folder, figures, manifest)


def _claim(folder: Path, experiment: Experiment, manifest: Manifest) -> None:
    """Write the run's config, or make sure that the one there is the same."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yaml"
    data = {
        "classes": list(manifest.classes),
        "high": manifest.high,
        "low": manifest.low,
        "training_clips": len(manifest.part(train=True)),
        "test_clips": len(manifest.part(train=False)),
    }
    text = yaml.safe_dump(
        {"experiment": to_plain(experiment), "data": data}, sort_keys=False, allow_unicode=True
    )
    if config.is_file() and config.read_text(encoding="utf-8") != text:
        raise DataError(
            f"{folder} holds a run with other settings or data; choose another name with --set name=NAME, "
            "or delete the folder"
        )
    config.write_text(text, encoding="utf-8")


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
    ) -> None:
        self._experiment, self._cache, self._manifest = experiment, cache, manifest
        self._folder, self._device, self._progress = folder, device, progress
        self._layout = LAYOUTS[experiment.clip.layout]

    def adopt_teacher(self, path: Path) -> None:
        """Use a trained teacher, if it was trained for the same classes and clips."""
        bundle = load_bundle(path)
        wanted = (self._manifest.classes, self._experiment.clip)
        if (bundle.classes, bundle.clip) != wanted:
            raise BundleError(
                f"{path} was trained for {len(bundle.classes)} classes and {bundle.clip}; "
                f"expected {len(wanted[0])} classes and {wanted[1]}"
            )
        save_bundle(bundle, self._path("teacher"))

    def train_or_load(self, method: str) -> Figures:
        """The figures of a method, trained now unless it was before."""
        experiment = self._experiment
        done = self._path(method)
        quality: Quality = "high" if method == "teacher" else "low"
        test = self._clips(method, train=False)
        if not done.is_file():
            torch.manual_seed(experiment.seed)
            network = self._untrained(experiment.teacher if method == "teacher" else experiment.student)
            modules, objective = self._objective(method, network)
            curves = self._train(method, modules, objective)
            figures, _ = evaluate(
                network, test, quality=quality, batch=experiment.recipe.batch, device=self._device
            )
            self._save(method, network, figures, curves)
        return (
            Figures(**json.loads(json.dumps(load_bundle(done).run["figures"]))) if done.is_file() else figures
        )

    def _untrained(self, choice: NetworkChoice) -> StGcn:
        return build_network(choice, self._layout, len(self._manifest.classes)).to(self._device)

    def _objective(self, method: str, network: StGcn) -> tuple[nn.ModuleDict, Objective]:
        recipe, settings = self._experiment.recipe, self._experiment.distillation
        modules = nn.ModuleDict({"network": network})
        if method == "teacher":
            return modules, learn_from_high(network, recipe)
        if method != "student":
            return modules, learn_from_low(network, recipe)
        teacher = load_bundle(self._path("teacher")).network.to(self._device).eval()
        adaptation: nn.Module = nn.Identity()
        if settings.adaptation or network.feature_channels != teacher.feature_channels:
            adaptation = adaptation_layer(network.feature_channels, teacher.feature_channels).to(self._device)
        modules["adaptation"] = adaptation
        return modules, learn_from_teacher(network, teacher, adaptation, recipe, settings)

    def _train(self, method: str, modules: nn.ModuleDict, objective: Objective) -> list[Curve]:
        recipe = self._experiment.recipe
        mirror = self._layout.mirror

        def look(batch: Batch, rng: np.random.Generator) -> Batch:
            return augment(batch, mirror, rng)

        chosen: Augment | None = look if recipe.augment else None
        state_file = self._folder / f"{method}.state"
        with self._progress.task(f"training {NAMES[method]}", recipe.epochs, unit="epochs") as task:
            return train(
                modules,
                objective,
                self._clips(method, train=True),
                recipe,
                seed=self._experiment.seed,
                device=self._device,
                revision=self._experiment.distillation.revision,
                augment=chosen,
                state_file=state_file,
                task=task,
            )

    def _clips(self, method: str, *, train: bool) -> PairedClips:
        experiment = self._experiment
        low = experiment.clip
        if method == "smoothed":
            low = replace(low, smoothing=experiment.smoothing_window)
        return PairedClips(
            self._cache,
            self._manifest.part(train=train),
            self._manifest.classes,
            experiment.clip,
            low,
            experiment.derive_low,
            experiment.seed,
        )

    def _save(self, method: str, network: StGcn, figures: Figures, curves: list[Curve]) -> None:
        experiment = self._experiment
        quality: Quality = "high" if method == "teacher" or experiment.derive_low else "low"
        settings = self._manifest.high if quality == "high" else self._manifest.low
        clip = experiment.clip
        if method == "smoothed":
            clip = replace(clip, smoothing=experiment.smoothing_window)
        first = next(self._cache.entries(quality, settings))
        bundle = Bundle(
            network.cpu(),
            experiment.teacher if method == "teacher" else experiment.student,
            self._manifest.classes,
            clip,
            first.origin.estimator,
            _estimator(first.path.parent),
            {
                "method": method,
                "experiment": to_plain(experiment),
                "figures": asdict(figures),
                "curves": [asdict(curve) for curve in curves],
                "versions": versions(),
            },
        )
        save_bundle(bundle, self._path(method))
        (self._folder / f"{method}.state").unlink(missing_ok=True)
        self._write_results(method, bundle)

    def _write_results(self, method: str, bundle: Bundle) -> None:
        path = self._folder / "results.json"
        results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        results[method] = {key: bundle.run[key] for key in ("figures", "curves", "versions")}
        part = path.with_suffix(".part")
        part.write_text(json.dumps(results, indent=1), encoding="utf-8")
        part.replace(path)

    def _path(self, method: str) -> Path:
        return self._folder / f"{method}.safetensors"


def _estimator(folder: Path) -> Estimator | None:
    """The estimator's settings that extraction left beside the sequences; None for imported ones."""
    path = folder / "estimator.yaml"
    if not path.is_file():
        return None
    return parse_config(Estimator, yaml.safe_load(path.read_text(encoding="utf-8")), str(path))
