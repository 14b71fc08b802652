"""The export of a student: one folder with its network in several formats, each compared with PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

from skdpipe.atomic_file import atomic_folder
from skdpipe.bundle import Bundle, load_bundle
from skdpipe.cache import PoseCache
from skdpipe.config import Estimator, OpenPifPafSettings
from skdpipe.errors import ConfigError, in_brief, require_extra
from skdpipe.export.litert import convert_to_litert, with_litert_metadata
from skdpipe.export.metadata import Fields, student_fields, with_onnx_metadata
from skdpipe.export.openvino_file import write_openvino
from skdpipe.export.parity import (
    BATCH,
    Compared,
    Reference,
    compare,
    parity_of,
    reference_of,
    require_parity,
    worst,
)
from skdpipe.export.pose_network import ExportedPose, export_pose, name_estimator, videos_to_compare
from skdpipe.export.skeletons import skeletons_of
from skdpipe.file_digest import sha256_of
from skdpipe.inference.export_format import LITERT_STUDENT, OPENVINO_STUDENT, POSE, STATIC_STUDENT, STUDENT
from skdpipe.inference.metadata import BundleMetadata
from skdpipe.inference.runtimes import ExportedRuntime
from skdpipe.inference.trained_estimator import estimator_settings
from skdpipe.model_card import card_of
from skdpipe.networks import deployed, to_onnx
from skdpipe.progress import Progress, Task
from skdpipe.runtime import input_shape
from skdpipe.runtimes import available_threads

if TYPE_CHECKING:
    from skdpipe.skeleton import PoseSequence

ExportFormat = Literal["onnx", "openvino", "litert"]

_CARD: Final = "card.md"
_OPENVINO_WEIGHTS: Final = OPENVINO_STUDENT.replace(".xml", ".bin")
_FILES: Final = frozenset(
    {STUDENT, STATIC_STUDENT, POSE, OPENVINO_STUDENT, _OPENVINO_WEIGHTS, LITERT_STUDENT, _CARD}
)
_PACKAGES: Final[Mapping[ExportFormat, tuple[str, ...]]] = {
    "onnx": ("onnx", "onnxruntime"),
    "openvino": ("openvino",),
    "litert": ("litert_torch", "ai_edge_litert"),
}


@dataclass(frozen=True)
class ExportReport:
    """What was exported.

    Attributes:
        folder: where it is.
        sizes: bytes of each file.
        skeletons: the clips on which the networks were compared, in words.
        largest_logit: of the bundle on these clips, absolute.
        bound: largest difference of a logit that is accepted.
        compared: the comparisons.
        pose: the pose network; None if it was not exported.
        notes: what was not exported, and why.
    """

    folder: Path
    sizes: Mapping[str, int]
    skeletons: str
    largest_logit: float
    bound: float
    compared: tuple[Compared, ...]
    pose: ExportedPose | None
    notes: tuple[str, ...]

    def size_of(self, network: str) -> int:
        """Bytes of a network, which in OpenVINO's format are in two files."""
        weights = self.sizes[_OPENVINO_WEIGHTS] if network == OPENVINO_STUDENT else 0
        return self.sizes[network] + weights


def export_student(
    bundle: str | Path,
    output: str | Path | None = None,
    *,
    formats: Sequence[str] = (),
    cache: PoseCache | None = None,
    skeletons: Sequence[PoseSequence] | None = None,
    pose: bool = False,
    estimator: Estimator | None = None,
    video: str | Path | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write a trained network for other machines, after a comparison with PyTorch on real skeletons.

    The folder appears as a whole, in place of an earlier export. The same bundle and clips give the same
    bytes on the same machine.

    Args:
        bundle: path of the bundle.
        output: the folder; by default ``NAME-export`` beside the bundle ``NAME.safetensors``.
        formats: openvino and litert beside ONNX, which is always written; by default those whose packages are
            installed.
        cache: pose cache with the test clips of the bundle, on which the networks are compared; by default
            ``pose_cache``.
        skeletons: other clips for the comparison.
        pose: export the estimator's network as well. A plugin's and rtmlib's are only named in the metadata.
        estimator: settings of the estimator; by default those of the bundle.
        video: with people, for the comparison of the pose network; by default the videos of the clips.
        progress: shows the steps.

    Raises:
        BundleError: if the bundle cannot be read, an exported network differs from it by more than rounding,
            or it names an estimator that would execute code.
        DataError: if there are no skeletons, or no video, to compare with.
        ConfigError: if there is no such format, or the folder has other files than those of an export.
        MissingDependencyError: if the packages of a format are not installed.
        PoseError: if the weights of the pose network are not available.
        SkdpipeError: if the network cannot be converted.
        OSError: if the folder cannot be written.
    """
    path = Path(bundle)
    folder = Path(output) if output is not None else path.with_name(f"{path.stem}-export")
    chosen, notes = _choose(formats)
    _require_replaceable(folder)
    loaded = load_bundle(path)
    settings = _pose_settings(loaded.metadata, estimator, notes) if pose else None
    clips = skeletons_of(loaded, path, cache or PoseCache(Path("pose_cache")), skeletons)
    exported_pose = None
    with (progress or Progress(quiet=True)).task("exporting", len(chosen) + pose + 1, unit="steps") as task:
        reference = reference_of(loaded, clips)
        task.advance_to(1, "comparing")
        if settings is not None:
            videos = videos_to_compare(Path(video) if video else None, clips.sources)
            exported_pose = export_pose(loaded.metadata, settings, videos, available_threads())
        with atomic_folder(folder) as part:
            writer = _Writer(loaded, path, sha256_of(path), reference, part)
            compared = writer.write(chosen, task, 1 + pose)
            if exported_pose is not None:
                (part / POSE).write_bytes(exported_pose.model)
            (part / _CARD).write_text(card_of(loaded.metadata), encoding="utf-8")
            sizes = {name: (part / name).stat().st_size for name in sorted(_FILES) if (part / name).is_file()}
    return ExportReport(
        folder,
        sizes,
        f"{len(clips.x)} {clips.origin}",
        reference.largest,
        reference.bound,
        tuple(compared),
        exported_pose,
        tuple(notes),
    )


@dataclass(frozen=True)
class _Writer:
    """Writes the networks of a bundle into a folder."""

    bundle: Bundle
    path: Path
    digest: str
    reference: Reference
    folder: Path

    def write(self, formats: Sequence[ExportFormat], task: Task, done: int) -> list[Compared]:
        """Write and compare each format.

        Raises:
            BundleError: if a network differs by more than rounding.
        """
        write = {"onnx": self._write_onnx, "openvino": self._write_openvino, "litert": self._write_litert}
        compared: list[Compared] = []
        for number, name in enumerate(formats, done):
            task.advance_to(number, name)
            compared += write[name]()
        task.advance_to(done + len(formats))
        return compared

    def _write_onnx(self) -> list[Compared]:
        return [
            *self._write_model(STUDENT, self._to_onnx(fixed=False), (1, BATCH)),
            *self._write_model(STATIC_STUDENT, self._to_onnx(fixed=True), (1,)),
        ]

    def _to_onnx(self, *, fixed: bool) -> bytes:
        """The network for a batch of one clip, or of any number."""
        return to_onnx(deployed(self.bundle.network), input_shape(self.bundle.metadata.clip), fixed=fixed)

    def _write_model(self, name: str, model: bytes, batches: Sequence[int]) -> list[Compared]:
        runtime = ExportedRuntime(model, "onnx", threads=1)
        compared = [compare(runtime, self.reference, name, "ONNX Runtime", batch) for batch in batches]
        (self.folder / name).write_bytes(with_onnx_metadata(model, self._fields(compared)))
        return compared

    def _write_openvino(self) -> list[Compared]:
        target, model = self.folder / OPENVINO_STUDENT, self._to_onnx(fixed=True)  # of any batch, it is slow
        write_openvino(model, target, {})
        runtime = ExportedRuntime(target, "openvino", threads=1)
        compared = [compare(runtime, self.reference, OPENVINO_STUDENT, "OpenVINO", 1)]
        write_openvino(model, target, self._fields(compared))
        return compared

    def _write_litert(self) -> list[Compared]:
        model, logits = convert_to_litert(self.path, self.reference.clips)
        compared = [Compared(LITERT_STUDENT, "LiteRT", 1, parity_of(logits, self.reference))]
        (self.folder / LITERT_STUDENT).write_bytes(with_litert_metadata(model, self._fields(compared)))
        return compared

    def _fields(self, compared: Sequence[Compared]) -> Fields:
        require_parity(compared, self.reference)
        return student_fields(self.bundle.metadata, self.digest, worst(compared))


def _pose_settings(
    metadata: BundleMetadata, given: Estimator | None, notes: list[str]
) -> OpenPifPafSettings | None:
    """The settings of the pose network; None, with a note, if the estimator is only named."""
    named = given or metadata.estimator
    if named is None or isinstance(named, OpenPifPafSettings):
        settings = estimator_settings(metadata, given)
        assert isinstance(settings, OpenPifPafSettings)
        return settings
    notes.append(f"no {POSE}: {name_estimator(named)} is the estimator, which is named but not exported")
    return None


def _choose(formats: Sequence[str]) -> tuple[list[ExportFormat], list[str]]:
    """The formats to write, and a note for each that is left out because its packages are missing."""
    if unknown := sorted({*formats} - {*get_args(ExportFormat)}):
        raise ConfigError(f"format {in_brief(unknown[0])}; expected {', '.join(get_args(ExportFormat))}")
    require_extra("onnx", *_PACKAGES["onnx"])
    chosen: list[ExportFormat] = ["onnx"]
    notes = []
    others: tuple[ExportFormat, ...] = get_args(ExportFormat)[1:]
    for each in others:
        if each in formats:
            require_extra(each, *_PACKAGES[each])
        missing = [package for package in _PACKAGES[each] if find_spec(package) is None]
        if each in formats or (not formats and not missing):
            chosen.append(each)
        elif not formats:
            notes.append(f'no {each}: `pip install "skdpipe[{each}]"` installs its packages')
    return chosen, notes


def _require_replaceable(folder: Path) -> None:
    """Check that a folder does not exist, is empty, or is an export.

    Raises:
        ConfigError: if it has other files.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder} is a file; expected a folder for the export: name another with --output")
    files = {str(each.relative_to(folder)) for each in folder.rglob("*") if not each.is_dir()}
    if files and (STUDENT not in files or files - _FILES):
        found = min(files - _FILES or files)
        raise ConfigError(
            f"{folder} contains {found} and is no export; such a folder is never overwritten: name another "
            "with --output"
        )
