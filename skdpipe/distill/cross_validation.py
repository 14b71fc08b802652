"""Cross-validation: each labelled pair of clips is tested once, by networks that were not trained on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import torch

from skdpipe.cache import PoseCache
from skdpipe.config import Experiment, Fold
from skdpipe.dataset import Manifest, build_manifest
from skdpipe.distill.auto import resolve_networks
from skdpipe.distill.experiment import distill_student
from skdpipe.distill.processes import ALONE, Processes
from skdpipe.distill.results import Results, read_test_results
from skdpipe.distill.run_folder import RunFolder
from skdpipe.distill.training_jobs import TrainingJob, train_runs
from skdpipe.engines import LocalEngine
from skdpipe.errors import DataError
from skdpipe.progress import Progress
from skdpipe.runtimes import available_cores

_FOLDS: Final = 5
ENOUGH_TEST_CLIPS: Final = 200


def default_folds(manifest: Manifest) -> int:
    """The number of folds for the clips of an experiment: 0 from 200 test clips on."""
    if len(manifest.part(train=False)) >= ENOUGH_TEST_CLIPS or manifest.most_folds < 2:
        return 0
    return min(_FOLDS, manifest.most_folds)


def cross_validate(
    experiment: Experiment,
    cache: PoseCache,
    models: Path,
    folds: int,
    *,
    device: torch.device,
    progress: Progress | None = None,
    processes: Processes = ALONE,
) -> Results:
    """Train and test the methods of an experiment once for each part of its labelled pairs.

    Whole subjects are in one part, or videos of each class if the clips do not name subjects. The runs are in
    ``models/NAME/folds``; an interrupted cross-validation continues there. On a CPU, as many runs are trained
    at a time as it has cores.

    Args:
        experiment: data, networks and recipe. Automatic networks are those for all its training clips.
        cache: contains the skeletons.
        models: the run's folder is in this folder.
        folds: number of parts.
        device: where to train.
        progress: shows finished parts and time left.
        processes: train one run after the other together, as in :func:`distill_student`.

    Returns:
        The results on all parts together.

    Raises:
        DataError: if a part lacks training clips of a class, or a run fails.
    """
    parts = processes.of_first(lambda: _parts(experiment, cache, folds))
    folder = models / experiment.name / "folds"
    if progress is None or not processes.is_first:
        progress = Progress(quiet=True)
    if processes.count > 1:
        with progress.task(f"{folds}-fold cross-validation", folds, unit="folds") as task:
            for done, part in enumerate(parts, 1):
                distill_student(part, cache, folder, device=device, processes=processes)
                task.advance_to(done)
        return processes.of_first(lambda: read_test_results(_part_folders(models / experiment.name, folds)))
    jobs = [TrainingJob(part, cache.root, folder) for part in parts]
    at_once = 1 if device.type == "cuda" else min(folds, available_cores())
    with progress.task(f"{folds}-fold cross-validation", folds, unit="folds") as task:
        ended = train_runs(jobs, LocalEngine((str(device),) * at_once))
        for done, each in enumerate(ended, 1):
            if each.reason:
                raise DataError(f"{folder / each.job.experiment.name}: {each.reason}")
            task.advance_to(done)
    return read_test_results(_part_folders(models / experiment.name, folds))


def _parts(experiment: Experiment, cache: PoseCache, folds: int) -> list[Experiment]:
    """The experiments of all parts; an impossible part is found before the first is trained."""
    experiment = resolve_networks(experiment, build_manifest(cache, experiment))
    parts = [
        replace(experiment, name=_name(number, folds), fold=Fold(number, folds), calibration=0.0)
        for number in range(1, folds + 1)
    ]
    for part in parts:
        build_manifest(cache, part)
    return parts


def read_cross_validation(run: Path) -> Results:
    """The results of a run's finished cross-validation with the most parts; empty without one.

    Raises:
        DataError: if a file of it is damaged.
    """
    names = {path.name for path in (run / "folds").glob("*-of-*")}
    for folds in range(len(names), 1, -1):
        if _name(folds, folds) in names and (results := read_test_results(_part_folders(run, folds))):
            return results
    return {}


def _part_folders(run: Path, folds: int) -> list[RunFolder]:
    return [RunFolder(run / "folds" / _name(number, folds)) for number in range(1, folds + 1)]


def _name(number: int, folds: int) -> str:
    return f"{number}-of-{folds}"
