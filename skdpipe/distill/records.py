"""The contents of a run's files, and the readers that check them.

Every file is bounded in size and checked as a whole where it is read, so that what follows gets complete,
finite values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeVar

from pydantic import FailFast, Field, TypeAdapter

from skdpipe.config import Experiment, parse_config
from skdpipe.config.yaml_text import read_yaml
from skdpipe.distill.calibration import Calibration
from skdpipe.distill.training_state import Curve
from skdpipe.errors import BundleError, ConfigError, DataError, in_brief
from skdpipe.evaluate import NOBODY, Figures
from skdpipe.file_format import is_newer
from skdpipe.inference.metadata import BundleMetadata
from skdpipe.json_shape import LARGEST_JSON, parse_json
from skdpipe.regular_file import read_regular
from skdpipe.training_record import RunData as RunData

RUN_FORMAT: Final = "skdpipe-run-1"
"""Version of the files of a run folder, in its config.yaml; earlier versions did not state one."""

_SECTIONS: Final = ("experiment", "data")
_STORED: Final = ("figures", "curves", "versions", "calibration")

T = TypeVar("T")

ClassIndex = Annotated[int, Field(ge=0, lt=1_000_000)]
Prediction = Annotated[int, Field(ge=NOBODY, lt=1_000_000)]


@dataclass(frozen=True)
class RunConfig:
    """The content of config.yaml: the experiment with its resolved networks, and its data."""

    experiment: Experiment
    data: RunData


@dataclass(frozen=True)
class MethodRecord:
    """The results of a method; of a forest there are only predictions.

    Attributes:
        figures: at the end of the training.
        curves: one per epoch.
        versions: of the packages, and the machine.
        calibration: of its probabilities; None if there was none.
    """

    figures: Figures | None = None
    curves: tuple[Curve, ...] = ()
    versions: Mapping[str, str] | None = None
    calibration: Calibration | None = None


@dataclass(frozen=True)
class ClipPredictions:
    """Key, label and predicted class of each test clip.

    Attributes:
        clip: distinct keys.
        label: class indices.
        predicted: class indices, `NOBODY` where nobody was detected.
    """

    clip: Annotated[tuple[str, ...], FailFast()]
    label: Annotated[tuple[ClassIndex, ...], FailFast()]
    predicted: Annotated[tuple[Prediction, ...], FailFast()]


def read_results_file(path: Path) -> dict[str, MethodRecord]:
    """The results of a run by method or forest.

    Raises:
        DataError: if the file is damaged.
    """
    remedy = "delete it, and `skdpipe distill` writes it again from the bundles"
    return _read_json(TypeAdapter(dict[str, MethodRecord]), path, remedy)


def read_predictions_file(path: Path) -> ClipPredictions:
    """The predictions of a method or a forest for the test clips.

    Raises:
        DataError: if the file is damaged.
    """
    remedy = "delete it, and `skdpipe distill` tests again"
    found = _read_json(TypeAdapter(ClipPredictions), path, remedy)
    keys, labels, predictions = len(set(found.clip)), len(found.label), len(found.predicted)
    if not len(found.clip) == keys == labels == predictions > 0:
        raise DataError(
            f"{path} is damaged ({len(found.clip)} clips with {keys} keys, {labels} labels and {predictions} "
            f"predictions; expected as many of each); {remedy}"
        )
    return found


def read_config_file(path: Path) -> RunConfig:
    """The settings and the data of a run.

    Raises:
        DataError: if the file is damaged, not the config of a run, or in a newer format.
    """
    remedy = "restore it, or train under another name with --set name=NAME"
    try:
        content = read_yaml(path)
    except ConfigError as error:
        raise DataError(f"{error}; {remedy}") from error
    if not isinstance(content, dict):
        content = {}
    require_format(content.get("format", RUN_FORMAT), RUN_FORMAT, path)
    missing = [name for name in _SECTIONS if not isinstance(content.get(name), dict)]
    if missing:
        raise DataError(
            f"{path} is not the config of a run (no section {' and '.join(missing)}); expected the sections "
            f"{' and '.join(_SECTIONS)}, as written by `skdpipe distill`: {remedy}"
        )
    try:
        return RunConfig(
            parse_config(Experiment, content["experiment"], f"{path}: experiment"),
            parse_config(RunData, content["data"], f"{path}: data"),
        )
    except ConfigError as error:
        raise DataError(f"{error}; {remedy}") from error


def record_of_bundle(metadata: BundleMetadata, path: Path) -> MethodRecord:
    """The results that a bundle's training has stored in it.

    Raises:
        BundleError: if they are missing or not valid.
    """
    found = {name: metadata.run.get(name) for name in _STORED}
    try:
        record = parse_json(TypeAdapter(MethodRecord), json.dumps(found))
        if record.figures is None:
            raise ValueError("no figures")
        return record
    except (ValueError, TypeError, RecursionError) as error:
        raise BundleError(
            f"{path} does not state the results of its training ({error!s:.200}); train it again"
        ) from error


def require_format(found: object, expected: str, path: Path) -> None:
    """Check the version that a file states.

    Args:
        found: what the file states.
        expected: the version of this package, ``NAME-NUMBER``.
        path: of the file, for the message.

    Raises:
        DataError: if it is another one.
    """
    if is_newer(found, expected):
        raise DataError(
            f"{path} is in the format {found}, newer than {expected}; update skdpipe, or choose another name"
        )
    if found != expected:
        raise DataError(
            f"{path} is in the format {in_brief(found)}; expected {expected}: choose another name"
        )


def _read_json(kind: TypeAdapter[T], path: Path, remedy: str) -> T:
    try:
        return parse_json(kind, read_regular(path, LARGEST_JSON))
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}); {remedy}") from error
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); {remedy}") from error
