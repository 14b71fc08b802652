"""Predictors from exported networks; neither PyTorch nor OpenPifPaf is needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import numpy as np
from pydantic import Field, PositiveInt

from skdpipe.config import (
    OpenPifPafSettings,
    RtmlibSettings,
    RuntimeChoice,
    parse_config,
)
from skdpipe.errors import BundleError, MissingDependencyError, SkdpipeError, in_one_line
from skdpipe.file_format import is_newer
from skdpipe.inference.export_format import (
    OPENVINO_STUDENT,
    POSE,
    POSE_FORMAT,
    STATIC_STUDENT,
    STUDENT,
    STUDENT_FORMAT,
)
from skdpipe.inference.metadata import BundleMetadata, metadata_in, unfit
from skdpipe.inference.model_input import clip_shape
from skdpipe.inference.predictor import Predictor
from skdpipe.inference.runtimes import ExportedRuntime
from skdpipe.inference.trained_estimator import estimator_settings, require_trained_estimator
from skdpipe.runtimes import ExportRuntime, Session, available_threads, choose_runtime_of_export, open_session

if TYPE_CHECKING:
    from skdpipe.pose.decoding import SampledEstimator

_FASTEST: Final[tuple[ExportRuntime, ...]] = ("onnx", "openvino")  # for graph networks: configs/RESULTS.md
_FASTEST_FOR_POSES: Final[tuple[ExportRuntime, ...]] = ("openvino", "onnx")
_KINDS: Final = {STUDENT_FORMAT: "an exported student", POSE_FORMAT: "an exported pose network"}
_REMEDY: Final = "run `skdpipe export` again"

T = TypeVar("T")


def is_export(path: Path) -> bool:
    """Whether a path is that of an exported network, not of a bundle: a folder, or a file with its ending."""
    return path.is_dir() or path.suffix in {".onnx", ".xml"}


def load_export(
    path: str | Path,
    *,
    runtime: RuntimeChoice = "auto",
    estimator: SampledEstimator | None = None,
    poses_only: bool = False,
    device: str = "cpu",
) -> Predictor:
    """Load an exported student and, if it is there, the exported pose network.

    An export never executes code: an estimator that is a plugin must come from the caller. If the export has
    no estimator, the predictor labels pose sequences only; a video is an error that says what to do.

    Args:
        path: the folder that ``skdpipe export`` wrote, or one of the student's files in it.
        runtime: what runs the networks: onnx (ONNX Runtime) or openvino; auto takes the fastest of those that
            are installed.
        estimator: detects people in videos. By default the exported pose network, or the estimator of rtmlib
            that the export names.
        poses_only: label pose sequences only, without an estimator.
        device: where an estimator of rtmlib runs.

    Raises:
        BundleError: if there is no exported student, a file is damaged or does not fit this version, or the
            pose network is not the one that the student was trained with.
        ConfigError: if the runtime cannot run the file.
        MissingDependencyError: if the runtime or the estimator's package is not installed.
        PoseError: if the weights of an estimator of rtmlib are not available.
    """
    folder, file, chosen = _find_student(Path(path), runtime)
    student = _open(file, lambda: ExportedRuntime(file, chosen, threads=available_threads()))
    metadata = _metadata_of(file, student.session)
    _require_fits(file, student, metadata)
    if estimator is not None or poses_only:
        return Predictor(metadata, student, estimator)
    try:
        return Predictor(metadata, student, _open_estimator(folder, metadata, runtime, device))
    except _NoEstimatorError as error:
        return Predictor(metadata, student, without=str(error))


class _NoEstimatorError(Exception):
    """Why an export has no estimator, and what to do."""


def _find_student(path: Path, choice: RuntimeChoice) -> tuple[Path, Path, ExportRuntime]:
    """The folder of an export, the file of the student, and what runs it."""
    if path.is_dir():
        files = (path / STUDENT, path / STATIC_STUDENT, path / OPENVINO_STUDENT)
        found = [each for each in files if each.is_file()]
        if not found:
            raise BundleError(
                f"no {STUDENT} in {path}; expected a folder that `skdpipe export` wrote, or a bundle's file"
            )
        chosen = choose_runtime_of_export(choice, "float32", fastest=_able_to_read(found[0]))
        return path, found[-1] if chosen == "openvino" else found[0], chosen  # OpenVINO: best for one clip
    if not path.is_file():
        raise BundleError(f"no export at {path}; expected a folder or a file that `skdpipe export` wrote")
    if path.suffix not in {".onnx", ".xml"}:
        raise BundleError(
            f"{path} is no file that ONNX Runtime or OpenVINO runs; expected the folder of an export, "
            f"{STUDENT}, {STATIC_STUDENT} or {OPENVINO_STUDENT}"
        )
    folder = path.parent
    if path.suffix == ".xml" and folder.name == Path(OPENVINO_STUDENT).parent.name:
        folder = folder.parent
    return folder, path, choose_runtime_of_export(choice, "float32", fastest=_able_to_read(path))


def _able_to_read(file: Path) -> tuple[ExportRuntime, ...]:
    return ("openvino",) if file.suffix == ".xml" else _FASTEST


def _open(file: Path, open_file: Callable[[], T]) -> T:
    """What opens or runs a file of a network, with a `BundleError` that names it if that fails."""
    try:
        return open_file()
    except SkdpipeError:
        raise
    except Exception as error:  # of a runtime; they have no common class
        raise BundleError(
            f"{file} is no network that can be run ({in_one_line(error)}); {_REMEDY}"
        ) from error


def _require_format(file: Path, session: Session, expected: str) -> None:
    found = session.metadata.get("format", "")
    if is_newer(found, expected):
        raise BundleError(f"{file} was written by a later version of skdpipe ({found}); update skdpipe")
    if {found, expected} == {STUDENT_FORMAT, POSE_FORMAT}:
        raise BundleError(f"{file} is {_KINDS[found]}; expected {_KINDS[expected]}: name the folder instead")
    if found != expected:
        stated = f"states the format '{found:.40}'" if found else "states no format"
        raise BundleError(
            f"{file} {stated}; expected '{expected}', a network with the metadata of `skdpipe export`"
        )


def _metadata_of(file: Path, session: Session) -> BundleMetadata:
    _require_format(file, session, STUDENT_FORMAT)
    return metadata_in(session.metadata, file, _REMEDY)


def _require_fits(file: Path, student: ExportedRuntime, metadata: BundleMetadata) -> None:
    """Check a network against its metadata: the shape of its input and, in one run, that of its output."""
    clip = metadata.clip
    shape = clip_shape(clip)
    inputs = dict(student.session.inputs)
    if {name: lengths[1:] for name, lengths in inputs.items()} != {"x": shape, "mask": shape[:1]}:
        raise unfit(file, ValueError(f"inputs {inputs} for clips {shape}"), _REMEDY)
    x, mask = np.zeros((1, *shape), np.float32), np.ones((1, clip.people), bool)
    logits = _open(file, lambda: student(x, mask))
    if logits.shape != (1, len(metadata.classes)):
        raise unfit(file, ValueError(f"{logits.shape} logits of {len(metadata.classes)} classes"), _REMEDY)


def _open_estimator(
    folder: Path, metadata: BundleMetadata, runtime: RuntimeChoice, device: str
) -> SampledEstimator:
    """The estimator of an export.

    Raises:
        _NoEstimatorError: if it has none that can be used here.
    """
    if (folder / POSE).is_file() and metadata.clip.coordinates != 3:
        return _open_pose_network(folder / POSE, metadata, runtime)
    try:
        settings = estimator_settings(metadata)
    except BundleError as error:
        raise _NoEstimatorError(str(error)) from error
    if not isinstance(settings, RtmlibSettings):
        raise _NoEstimatorError(
            f"no {POSE} in {folder}, so pose sequences can be labelled, but no videos; run `skdpipe export` "
            "again with --pose, or name an estimator with --estimator FILE"
        )
    from skdpipe.pose.decoding import SampledEstimator
    from skdpipe.pose.rtmlib import Rtmlib

    try:
        estimator = Rtmlib(settings, device)
    except MissingDependencyError as error:
        raise _NoEstimatorError(str(error)) from error
    require_trained_estimator(metadata, settings, estimator.fingerprint)
    return SampledEstimator(estimator, settings.every)


@dataclass(frozen=True)
class _PoseDescription:
    """The description of an exported pose network, see `POSE_FORMAT`."""

    settings: OpenPifPafSettings
    fingerprint: str
    backbone: str
    checksum: str
    upsample: Annotated[PositiveInt, Field(le=16)]


def _open_pose_network(file: Path, metadata: BundleMetadata, choice: RuntimeChoice) -> SampledEstimator:
    """The exported pose network as an estimator.

    Raises:
        BundleError: if it is damaged, or not the one that the student was trained with.
    """
    from skdpipe.pose.decoding import SampledEstimator
    from skdpipe.pose.openpifpaf.estimator import NetworkDescription, OpenPifPaf  # with OpenCV
    from skdpipe.pose.openpifpaf.exported_fields import ExportedFields

    trained = metadata.estimator
    precision = trained.precision if isinstance(trained, OpenPifPafSettings) else "float32"
    runtime = choose_runtime_of_export(choice, precision, fastest=_FASTEST_FOR_POSES)
    threads = available_threads()
    session = _open(file, lambda: open_session(file, runtime, calls=threads, precision=precision))
    _require_format(file, session, POSE_FORMAT)
    try:
        stated = parse_config(_PoseDescription, json.loads(session.metadata["description"]), "description")
    except (SkdpipeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise unfit(file, error, _REMEDY) from error
    if (inputs := dict(session.inputs)) != {"images": (None, None, None, 3)}:
        raise unfit(file, ValueError(f"inputs {inputs} for images"), _REMEDY)
    network = NetworkDescription(stated.backbone, stated.upsample, stated.checksum)
    fields = ExportedFields(session, network, calls=threads, precision=precision)
    settings = stated.settings
    estimator = OpenPifPaf(fields, long_edge=settings.long_edge, thresholds=settings.thresholds)
    if estimator.fingerprint != stated.fingerprint:
        raise BundleError(
            f"{file} states the fingerprint '{stated.fingerprint:.200}', but its settings and network have "
            f"'{estimator.fingerprint:.200}'; {_REMEDY}"
        )
    if trained is not None and estimator.fingerprint != metadata.fingerprint:
        raise BundleError(
            f"the student was trained with '{metadata.fingerprint:.200}', but {file} is "
            f"'{estimator.fingerprint:.200}'; {_REMEDY}"
        )
    return SampledEstimator(estimator, settings.every)
