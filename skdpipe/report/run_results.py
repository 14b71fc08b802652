"""The results in a run folder: settings, trained networks, their figures and learning curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from skdpipe.bundle import Bundle, load_bundle
from skdpipe.config import Experiment, parse_config
from skdpipe.config.yaml_text import read_yaml
from skdpipe.distill.cross_validation import read_cross_validation
from skdpipe.distill.methods import BASELINE, METHODS, STUDENT, TEACHER, Method
from skdpipe.distill.results import Results, read_test_results
from skdpipe.distill.run_folder import RunFolder
from skdpipe.distill.training_state import Curve
from skdpipe.errors import DataError
from skdpipe.evaluate import Figures

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
        data: the section ``data`` of config.yaml: numbers of clips, their digest, settings folders.
        methods: the trained methods, in the order of the results table.
        results: test results of methods and forests on the run's test clips.
        validated: those of a cross-validation, empty without one.
    """

    folder: Path
    experiment: Experiment
    data: Mapping[str, Any]
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
        DataError: if it is not a run folder, or no method is trained.
        BundleError: if a bundle is damaged.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise DataError(f"no run at {folder}; expected a folder with config.yaml, made by `skdpipe distill`")
    config = read_yaml(path)
    if not isinstance(config, dict) or not {"experiment", "data"} <= config.keys():
        raise DataError(
            f"{path} is not the config of a run; expected the sections experiment and data, as written by "
            "`skdpipe distill`"
        )
    experiment, data = parse_config(Experiment, config["experiment"], str(path)), config["data"]
    methods = tuple(
        _load_method(method, bundle_path)
        for method in METHODS
        if (bundle_path := folder / f"{method.name}.safetensors").is_file()
    )
    if not methods:
        raise DataError(
            f"no trained method in {folder}; expected at least one bundle: run `skdpipe distill` until a "
            "method is finished"
        )
    return LoadedRun(
        folder,
        replace(experiment, high=data["high"], low=data["low"]),
        data,
        methods,
        read_test_results([RunFolder(folder)]),
        read_cross_validation(folder),
    )


def _load_method(method: Method, path: Path) -> TrainedMethod:
    bundle = load_bundle(path)
    run = bundle.metadata.run
    curves = tuple(Curve(**curve) for curve in run["curves"])
    return TrainedMethod(method, bundle, Figures(**run["figures"]), curves)
