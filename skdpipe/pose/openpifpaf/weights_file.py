"""Files of weights, without torch and OpenPifPaf: where they are, and which network they belong to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from skdpipe.errors import PoseError, in_brief, in_one_line
from skdpipe.pose.openpifpaf import catalogue
from skdpipe.pose.openpifpaf.catalogue import EMBEDDED, PublishedWeights
from skdpipe.pose.openpifpaf.estimator import NetworkDescription
from skdpipe.runtimes import user_cache
from skdpipe.tensor_file import TensorFileError, TensorType, digest_of_tensors, read_header

FORMAT: Final = "skdpipe-pose-1"
FORMAT_2019: Final = "skdpipe-pose-2019-1"

_LARGEST_HEADER: Final = 5_000_000  # bytes; that of resnet152 has 100,000
_LONGEST_NOTES: Final = 1_000_000  # characters
_UPSAMPLES: Final = {"1", "2", "4", "8"}


@dataclass(frozen=True)
class WeightsHeader:
    """The header of a file of weights.

    Attributes:
        of_2019: whether the network has the heads of 2019.
        upsample: ratio of the backbone's stride to that of the heads.
        notes: information about the training.
        tensors: shapes and types.
    """

    of_2019: bool
    upsample: int
    notes: Any
    tensors: Mapping[str, TensorType]


def read_weights_header(path: Path, backbone: str) -> WeightsHeader:
    """Read the header of a file that `save_weights` wrote.

    Raises:
        PoseError: if it cannot be read, or belongs to another backbone.
    """
    if not path.is_file():
        raise PoseError(f"no pose weights at {path}; expected safetensors written by `skdpipe train-pose`")
    try:
        _require_small_header(path)
        header = read_header(path)
    except (OSError, TensorFileError) as error:
        found = str(error) if isinstance(error, TensorFileError) else in_one_line(error)
        raise PoseError(
            f"{path} is not a readable safetensors file ({found}); train or fetch it again"
        ) from error
    metadata = header.metadata
    if metadata.get("format") not in {FORMAT, FORMAT_2019} or "backbone" not in metadata:
        raise PoseError(
            f"{path} contains no pose weights; expected safetensors written by `skdpipe train-pose`"
        )
    if metadata["backbone"] != backbone:
        raise PoseError(
            f"{path} contains weights of {metadata['backbone']:.40}, not of {backbone}; change one of the two"
        )
    try:
        notes = _read_notes(metadata["notes"])
        if metadata["upsample"] not in _UPSAMPLES:
            raise ValueError(f"upsample {in_brief(metadata['upsample'])}")
    except (KeyError, ValueError, RecursionError) as error:
        raise does_not_match(path, backbone, error) from error
    return WeightsHeader(metadata["format"] == FORMAT_2019, int(metadata["upsample"]), notes, header.tensors)


def does_not_match(path: Path, backbone: str, error: Exception) -> PoseError:
    """What is wrong with a file of weights of the right backbone."""
    return PoseError(f"{path} does not match {backbone} ({in_one_line(error)}); train or fetch it again")


def describe_weights(path: Path, backbone: str) -> NetworkDescription:
    """Which network a file of weights contains.

    Raises:
        PoseError: as `read_weights_header`.
    """
    upsample = read_weights_header(path, backbone).upsample
    try:
        return NetworkDescription(backbone, upsample, digest_of_tensors(path))
    except (OSError, TensorFileError) as error:
        raise does_not_match(path, backbone, error) from error


def weights_file(weights: str) -> Path | None:
    """The safetensors of weights by name or path; None if they must be downloaded or converted first.

    Raises:
        PoseError: if there are no such weights.
    """
    if weights in EMBEDDED:
        return embedded_path(weights)
    path = Path(weights)
    if path.suffix == ".safetensors":
        return path
    if path.suffix == ".pkl" or path.is_file():
        return None
    converted = converted_path(find(weights))
    return converted if converted.is_file() else None


def _require_small_header(path: Path) -> None:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > _LARGEST_HEADER:
        raise TensorFileError(f"a header of {length} bytes")


def _read_notes(text: str) -> Any:
    if len(text) > _LONGEST_NOTES:
        raise ValueError(f"notes of {len(text)} characters")
    return json.loads(text)


def embedded_path(name: str) -> Path:
    """Path of an embedded weights file: in the package, or in the source tree's models/."""
    package = Path(__file__).parents[2]
    candidates = (
        package / "models" / f"pose-{name}.safetensors",
        package.parent / "models" / f"pose-{name}.safetensors",
    )
    return next((path for path in candidates if path.exists()), candidates[-1])


@dataclass(frozen=True)
class AvailableWeights:
    """Embedded or published weights.

    Attributes:
        name, backbone: values for a config.
        ap: published average precision on COCO keypoints in percent, or None.
        megabytes: size of the embedded file, or approximate size of the download.
        source, license: origin and license.
        path: path of the local file; it exists if the weights are present.
    """

    name: str
    backbone: str
    ap: float | None
    megabytes: float
    source: str
    license: str
    path: Path


def list_pose_weights() -> list[AvailableWeights]:
    """All weights that can be used by name, the embedded ones first."""
    embedded = [(name, backbone, embedded_path(name)) for name, backbone in catalogue.EMBEDDED.items()]
    return [
        AvailableWeights(
            name, backbone, None, _megabytes(path), "comes with skdpipe", catalogue.LICENSE, path
        )
        for name, backbone, path in embedded
    ] + [
        AvailableWeights(p.name, p.backbone, p.ap, p.megabytes, p.source, p.license, converted_path(p))
        for p in catalogue.PUBLISHED
    ]


def _megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6 if path.is_file() else 0.0


def find(name: str) -> PublishedWeights:
    """The published weights of that name.

    Raises:
        PoseError: if there are none.
    """
    for published in catalogue.PUBLISHED:
        if published.name == name:
            return published
    names = ", ".join(sorted(published.name for published in catalogue.PUBLISHED))
    raise PoseError(
        f"no weights are published as '{name}' (published: {names}), and there is no such file; train them "
        "with `skdpipe train-pose`, or specify a path"
    )


def converted_path(published: PublishedWeights) -> Path:
    """Path of the converted file of published weights."""
    return user_cache() / f"{published.name}.safetensors"
