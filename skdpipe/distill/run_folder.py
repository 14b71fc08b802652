"""The folder of a run: its settings, a bundle and predictions for each method, and the results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from skdpipe.atomic_file import write_text_atomically
from skdpipe.config import Experiment, MethodName, parse_config, to_plain
from skdpipe.config.yaml_text import read_yaml
from skdpipe.dataset import Manifest
from skdpipe.errors import ConfigError, DataError

# More methods may be trained later.
_MAY_DIFFER: Final = {"experiment.methods", "experiment.classical"}


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

    def predictions(self, method: str) -> Path:
        """Key, label and predicted class of each test clip, of a method or a forest."""
        return self.path / f"{method}.predictions.json"

    def training_state(self, method: MethodName) -> Path:
        """The state of an unfinished training."""
        return self.path / f"{method}.state"

    def has(self, method: MethodName) -> bool:
        """Whether a method is trained."""
        return self.bundle(method).is_file()

    def write_results(self, name: str, results: Mapping[str, Any]) -> None:
        """Add a method's or a forest's plain values to the results."""
        all_results = {**self.read_results(), name: dict(results)}
        write_text_atomically(self.results, json.dumps(all_results, indent=1))

    def read_results(self) -> dict[str, dict[str, Any]]:
        """The results by method or forest; empty before the first is finished."""
        if not self.results.is_file():
            return {}
        found: dict[str, dict[str, Any]] = json.loads(self.results.read_text(encoding="utf-8"))
        return found

    def write_predictions(self, name: str, manifest: Manifest, predicted: Sequence[int]) -> None:
        """Write the predicted class index of each test clip, -1 where nobody was detected."""
        clips = manifest.part(train=False)
        predictions = {
            "clip": [clip.key for clip in clips],
            "label": [manifest.classes.index(clip.label) for clip in clips],
            "predicted": list(predicted),
        }
        write_text_atomically(self.predictions(name), json.dumps(predictions))


def data_description(manifest: Manifest, teacher: Path | None, initial: Path | None) -> dict[str, Any]:
    """The data of a run as plain values; bundles by the start of their SHA-256."""
    return {
        "classes": list(manifest.classes),
        "high": manifest.high,
        "low": manifest.low,
        "training_clips": len(manifest.part(train=True)),
        "test_clips": len(manifest.part(train=False)),
        "clips": manifest.digest,
        "teacher": _file_digest(teacher),
        "initial": _file_digest(initial),
    }


def open_run_folder(folder: RunFolder, settings: Mapping[str, Any]) -> None:
    """Create the folder's config, or check that the folder contains the same run.

    Runs of earlier versions can be continued: settings that did not exist then have their default values.

    Args:
        folder: of the run.
        settings: plain values: the experiment and its :func:`data_description`.

    Raises:
        DataError: if the folder contains another run.
    """
    trained = folder.config.is_file() and any(
        path.suffix in {".safetensors", ".state"} for path in folder.path.iterdir()
    )
    if not trained:
        write_text_atomically(folder.config, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
        return
    existing = _with_current_settings(read_yaml(folder.config), folder.config)
    for key, found, expected in _differences(existing, settings):
        if key not in _MAY_DIFFER:
            raise DataError(
                f"{folder.path} contains a run with {key} {found}, expected {expected}; choose another name "
                "with --set name=NAME, or delete the folder"
            )


def _file_digest(path: Path | None) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path else None


def _with_current_settings(content: object, config: Path) -> object:
    """The content of a config file with the names and defaults of this version."""
    if not (isinstance(content, dict) and isinstance(content.get("experiment"), dict)):
        return content
    try:
        experiment = parse_config(Experiment, content["experiment"], str(config))
    except ConfigError:  # a removed setting; it is reported as a difference
        return content
    return {**content, "experiment": to_plain(experiment)}


def _differences(a: object, b: object, key: str = "") -> Iterator[tuple[str, object, object]]:
    """The keys at which two trees of plain values differ, with both values."""
    if isinstance(a, dict) and isinstance(b, dict):
        for name in {**a, **b}:
            yield from _differences(a.get(name), b.get(name), f"{key}.{name}".lstrip("."))
    elif a != b:
        yield key, a, b
