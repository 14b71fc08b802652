"""The results in a run folder: settings, trained networks, their figures and learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch

from skdpipe.bundle import Bundle, load_bundle
from skdpipe.config import Experiment
from skdpipe.distill.cross_validation import read_cross_validation
from skdpipe.distill.methods import BASELINE, METHODS, STUDENT, TEACHER, Method
from skdpipe.distill.records import RunConfig, RunData, read_config_file
from skdpipe.distill.results import Results, read_test_results
from skdpipe.distill.run_folder import RunFolder, require_bundle_of_run
from skdpipe.distill.training_state import Curve
from skdpipe.errors import DataError
from skdpipe.evaluate import Figures, time_networks
from skdpipe.speed import Timing

NetworkTimes = Mapping[str, Timing]
"""Time of one clip by method."""

_COMPARED: Final = (TEACHER, BASELINE, STUDENT)


@dataclass(frozen=True)
class TrainedMethod:
    """One trained method of a run.

    Attributes:
        method: teacher, baseline, ...
        bundle: its network and metadata.
        figures: measured at the end of its training.
        curves: one per epoch.
    """

    method: Method
    bundle: Bundle
    figures: Figures
    curves: tuple[Curve, ...]

    @property
    def name(self) -> str:
        """The method's name in settings and file names."""
        return self.method.name


@dataclass(frozen=True)
class LoadedRun:
    """The contents of a run folder.

    Attributes:
        folder: its path.
        experiment: its settings, with the cache settings folders that were used.
        data: numbers of clips, their digest, settings folders.
        methods: the trained methods, in the order of the results table.
        results: test results of methods and forests on the run's test clips.
        validated: those of a cross-validation, empty without one.
    """

    folder: Path
    experiment: Experiment
    data: RunData
    methods: tuple[TrainedMethod, ...]
    results: Results
    validated: Results

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return self.methods[0].bundle.metadata.classes

    @property
    def compared(self) -> tuple[TrainedMethod, ...]:
        """Teacher, baseline and student as far as they are trained; without any of them, all methods."""
        return tuple(each for each in self.methods if each.method in _COMPARED) or self.methods

    def find_method(self, method: Method) -> TrainedMethod | None:
        """The results of a method, None if it is not trained."""
        return next((each for each in self.methods if each.method == method), None)


def load_run(folder: Path) -> LoadedRun:
    """Read a run folder.

    Raises:
        DataError: if it is not a run folder, no method is trained, or a file is damaged.
        BundleError: if a bundle is damaged or belongs to another run.
    """
    files = RunFolder(folder)
    if not files.config.is_file():
        raise DataError(f"no run at {folder}; expected a folder with config.yaml, made by `skdpipe distill`")
    config = read_config_file(files.config)
    methods = tuple(
        _load_method(method, files.bundle(method.name), config)
        for method in METHODS
        if files.has(method.name)
    )
    if not methods:
        raise DataError(
            f"no trained method in {folder}; expected at least one bundle: run `skdpipe distill` until a "
            "method is finished"
        )
    return LoadedRun(
        folder,
        replace(config.experiment, high=config.data.high, low=config.data.low),
        config.data,
        methods,
        read_test_results([files]),
        read_cross_validation(folder),
    )


def time_runs(runs: Sequence[LoadedRun], device: torch.device) -> list[NetworkTimes]:
    """Time all networks of all runs in turn; returns the times of each run."""
    bundles = {(number, each.name): each.bundle for number, run in enumerate(runs) for each in run.methods}
    times = time_networks(bundles, device)
    return [{each.name: times[number, each.name] for each in run.methods} for number, run in enumerate(runs)]


def _load_method(method: Method, path: Path, config: RunConfig) -> TrainedMethod:
    bundle = load_bundle(path)
    record = require_bundle_of_run(bundle.metadata, path, method, config)
    assert record.figures is not None
    return TrainedMethod(method, bundle, record.figures, record.curves)
