"""The folder of a run: its settings, a bundle and predictions for each method, and the results."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from skdpipe.atomic_file import remove_leftovers, write_text_atomically
from skdpipe.config import Experiment, MethodName, parse_config, to_plain
from skdpipe.dataset import Manifest
from skdpipe.distill.methods import FORESTS, METHODS, TEACHER, Method
from skdpipe.distill.records import (
    RUN_FORMAT,
    MethodRecord,
    RunConfig,
    RunData,
    read_config_file,
    read_predictions_file,
    read_results_file,
    record_of_bundle,
)
from skdpipe.errors import BundleError, ConfigError, DataError
from skdpipe.file_digest import sha256_of
from skdpipe.inference.metadata import BundleMetadata, read_metadata
from skdpipe.model_card import card_of
from skdpipe.strict_json import to_strict_json
from skdpipe.training_record import Confusions, confusions_of

# More methods may be trained later; weights depend neither on the calibration nor on how clips are loaded.
_MAY_DIFFER: Final = {
    *("experiment.methods", "experiment.classical", "experiment.calibration"),
    *("experiment.recipe.loader_workers", "experiment.recipe.memory_megabytes"),
}


@dataclass(frozen=True)
class RunFolder:
    """The files of a run.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """Settings of the run and a description of its data."""
        return self.path / "config.yaml"

    @property
    def results(self) -> Path:
        """Figures and curves of each trained method."""
        return self.path / "results.json"

    def bundle(self, method: MethodName) -> Path:
        """The trained network of a method."""
        return self.path / f"{method}.safetensors"

    def card(self, method: MethodName) -> Path:
        """The model card of a method's network."""
        return self.path / f"{method}.card.md"

    def predictions(self, method: str) -> Path:
        """Key, label and predicted class of each test clip, of a method or a forest."""
        return self.path / f"{method}.predictions.json"

    def training_state(self, method: MethodName) -> Path:
        """The state of an unfinished training."""
        return self.path / f"{method}.state"

    def calibration_state(self, method: MethodName, fraction: float) -> Path:
        """The state of a method's training for calibration, finished or not; until the run is complete.

        It is that of one fraction of held-out clips, because another fraction holds out others.
        """
        return self.path / f"{method}.calibration-{fraction}.state"

    def training_table(self, method: MethodName) -> Path:
        """The curves of a method's training as CSV, if they are logged."""
        return self.path / f"{method}.training.csv"

    def event_files(self, method: MethodName) -> Path:
        """The folder of a method's training for TensorBoard, if it is logged."""
        return self.path / "tensorboard" / method

    @property
    def calibration_states(self) -> list[Path]:
        """The states of all trainings for calibration."""
        return sorted(self.path.glob("*.calibration-*.state"))

    def remove_calibration_states(self) -> None:
        """Delete what a complete run does not need any more."""
        for state in self.calibration_states:
            state.unlink()

    def has(self, method: MethodName) -> bool:
        """Whether a method is trained."""
        return self.bundle(method).is_file()

    def write_results(self, name: str, record: MethodRecord) -> None:
        """Add a method's or a forest's record to the results; a file that contains it is left as it is.

        Raises:
            DataError: if the results are damaged.
            OSError: if they cannot be written.
        """
        before = self.read_results()
        if before.get(name) == record:
            return
        plain = {each: _given(asdict(found)) for each, found in {**before, name: record}.items()}
        write_text_atomically(self.results, to_strict_json(plain, indent=1))

    def read_results(self) -> dict[str, MethodRecord]:
        """The results by method or forest; empty before the first is finished.

        Raises:
            DataError: if the file is damaged.
        """
        return read_results_file(self.results) if self.results.exists() else {}

    def write_predictions(self, name: str, manifest: Manifest, predicted: Sequence[int]) -> None:
        """Write the predicted class index of each test clip, -1 where nobody was detected."""
        clips = manifest.part(train=False)
        predictions = {
            "clip": [clip.key for clip in clips],
            "label": [manifest.classes.index(clip.label) for clip in clips],
            "predicted": list(predicted),
        }
        write_text_atomically(self.predictions(name), to_strict_json(predictions))

    def read_confusions(self, name: str) -> Confusions:
        """The confusions of the test clips by a method or a forest.

        Raises:
            DataError: if the predictions are damaged.
        """
        found = read_predictions_file(self.predictions(name))
        return confusions_of(found.label, found.predicted)


def write_card(folder: RunFolder, method: MethodName) -> None:
    """Write the model card of a bundle, unless there is one; it may have been edited.

    Raises:
        BundleError, DataError: if the bundle or its predictions are damaged.
    """
    path, bundle = folder.card(method), folder.bundle(method)
    if path.exists():
        return
    metadata, confusions = read_metadata(bundle), folder.read_confusions(method)
    if not confusions.fits(len(metadata.classes)):
        raise DataError(
            f"{folder.predictions(method)} has other classes than {bundle}; delete it, and `skdpipe distill` "
            "tests again"
        )
    try:
        write_text_atomically(path, card_of(metadata, confusions))
    except OSError as error:  # a complete run of an earlier version may be in a read-only place
        warnings.warn(f"{path}: the model card cannot be written ({error.strerror})", stacklevel=2)


def describe_data(manifest: Manifest, teacher: Path | None, initial: Path | None) -> RunData:
    """The data of a run; bundles by the start of their SHA-256."""
    return RunData(
        classes=manifest.classes,
        high=manifest.high,
        low=manifest.low,
        training_clips=len(manifest.part(train=True)),
        test_clips=len(manifest.part(train=False)),
        clips=manifest.digest,
        teacher=_file_digest(teacher),
        initial=_file_digest(initial),
    )


def open_run_folder(folder: RunFolder, config: RunConfig) -> None:
    """Create the folder's config, or check that the folder contains the same run and nothing is damaged.

    Runs of earlier versions can be continued: settings that did not exist then have their default values.

    Args:
        folder: of the run.
        config: its settings and data.

    Raises:
        DataError: if the folder contains another run or one of a newer version, or a file is damaged.
        BundleError: if a bundle is damaged or belongs to another run.
        OSError: if the config cannot be written.
    """
    _require_files(folder)
    remove_leftovers(folder.path)
    existing = read_config_file(folder.config) if folder.config.exists() else None
    trained = existing is not None and any(
        path.suffix in {".safetensors", ".state"} for path in folder.path.iterdir()
    )
    if existing is not None and trained:
        for key, found, expected in _differences(_plain(existing), _plain(config)):
            if key not in _MAY_DIFFER:
                raise DataError(
                    f"{folder.path} contains a run with {key} {found!s:.200}, expected {expected!s:.200}; "
                    "choose another name with --set name=NAME, or delete the folder"
                )
    folder.read_results()
    for each in (*METHODS, *FORESTS):
        if folder.predictions(each.name).exists():
            read_predictions_file(folder.predictions(each.name))
    for method in METHODS:
        if folder.has(method.name):
            path = folder.bundle(method.name)
            require_bundle_of_run(read_metadata(path), path, method, config)
    if not trained:
        text = yaml.safe_dump({"format": RUN_FORMAT, **_plain(config)}, sort_keys=False, allow_unicode=True)
        write_text_atomically(folder.config, text)


def require_bundle_of_run(
    metadata: BundleMetadata, path: Path, method: Method, config: RunConfig
) -> MethodRecord:
    """Check that a bundle was trained in a run, as one of its methods.

    Args:
        metadata: of the bundle.
        path: of the bundle, for the message.
        method: whose bundle it should be.
        config: of the run.

    Returns:
        The results of its training.

    Raises:
        BundleError: if it was trained elsewhere, or does not state its results.
    """
    run, expected = metadata.run, _plain(config)
    found: dict[str, object] = {"method": run.get("method", method.name), "classes": [*metadata.classes]}
    wanted: dict[str, object] = {"method": method.name, "classes": [*config.data.classes]}
    if method == TEACHER and config.data.teacher is not None:  # trained in another run
        found["method"] = method.name
    elif isinstance(run.get("experiment"), dict):  # bundles of early versions do not state it
        found |= {"experiment": _with_defaults(run["experiment"]), "data": run.get("data")}
        wanted |= expected
    for key, is_now, should_be in _differences(found, wanted):
        if key not in _MAY_DIFFER:
            raise BundleError(
                f"{path} belongs to another run, with {key} {is_now!s:.200}; expected {should_be!s:.200}: "
                "move it away to train it again"
            )
    return record_of_bundle(metadata, path)


def _require_files(folder: RunFolder) -> None:
    """Check that nothing stands where the run's folder and files belong."""
    if folder.path.exists() and not folder.path.is_dir():
        raise DataError(f"{folder.path} is not a folder; move it away, or choose another name")
    methods = [each.name for each in METHODS]
    for path in (
        folder.config,
        folder.results,
        *map(folder.bundle, methods),
        *map(folder.training_state, methods),
        *folder.calibration_states,
        *map(folder.predictions, [*methods, *(each.name for each in FORESTS)]),
    ):
        if path.exists() and not path.is_file():
            raise DataError(f"{path} is not a file; move it away, because the run writes a file there")


def _file_digest(path: Path | None) -> str | None:
    return sha256_of(path)[:16] if path else None


def _plain(config: RunConfig) -> dict[str, Any]:
    return {"experiment": to_plain(config.experiment), "data": to_plain(config.data)}


def _with_defaults(experiment: dict[str, Any]) -> dict[str, Any]:
    """Plain settings with the names and defaults of this version; as they are if one was removed since."""
    try:
        return to_plain(parse_config(Experiment, experiment, "experiment"))
    except ConfigError:
        return experiment


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _differences(a: object, b: object, key: str = "") -> Iterator[tuple[str, object, object]]:
    """The keys at which two trees of plain values differ, with both values."""
    if isinstance(a, dict) and isinstance(b, dict):
        for name in {**a, **b}:
            yield from _differences(a.get(name), b.get(name), f"{key}.{name}".lstrip("."))
    elif a != b:
        yield key, a, b
