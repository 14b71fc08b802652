"""Weights by name or path: embedded ones, published ones, and files of the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from skdpipe.errors import PoseError
from skdpipe.pose.openpifpaf import catalogue
from skdpipe.pose.openpifpaf.catalogue import EMBEDDED, PublishedWeights
from skdpipe.pose.openpifpaf.convert import convert
from skdpipe.pose.openpifpaf.download import download, sha256_of
from skdpipe.pose.openpifpaf.networks import PoseNetwork, embedded_path, load_safetensors, save_weights
from skdpipe.progress import Progress


def load_weights(backbone: str, weights: str, progress: Progress | None = None) -> PoseNetwork:
    """Load a trained network.

    Args:
        backbone: backbone that the weights were trained for.
        weights: a path to safetensors or to an OpenPifPaf checkpoint, the name of an embedded network
            (``actors-high``, ``actors-low``), or the name of published weights, which are downloaded on
            first use.
        progress: displays the download.

    Raises:
        PoseError: if the weights cannot be loaded or belong to another backbone.
    """
    if weights in EMBEDDED:
        return load_safetensors(embedded_path(weights), backbone)
    path = Path(weights)
    if path.suffix == ".safetensors":
        return load_safetensors(path, backbone)
    if path.suffix == ".pkl" or path.is_file():
        return convert(path, backbone)
    return load_safetensors(fetch(find(weights), progress or Progress()), backbone)


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
    return Path(torch.hub.get_dir()) / "skdpipe" / f"{published.name}.safetensors"


def fetch(published: PublishedWeights, progress: Progress) -> Path:
    """The converted file of published weights; they are downloaded and converted if it does not exist.

    Raises:
        PoseError: if no address provides the file, its checksum is wrong, or it cannot be converted.
    """
    converted = converted_path(published)
    if converted.is_file():
        return converted
    checkpoint = converted.with_name(published.file)
    if not checkpoint.is_file():
        try:
            download(published.addresses, checkpoint, published.digest, progress)
        except PoseError as error:
            raise PoseError(
                f"cannot download {published.name}: tried {error}; run `skdpipe pose-weights fetch "
                f"{published.name}` with network access, or copy the file to {checkpoint}"
            ) from error
    sha256 = sha256_of(checkpoint)
    if not sha256.startswith(published.digest):
        raise PoseError(
            f"the checksum of {checkpoint} is not that in its name ({published.digest}); delete it and "
            "try again"
        )
    network = convert(checkpoint, published.backbone)
    notes = {"source": published.addresses, "sha256": sha256, "license": published.license}
    save_weights(network, converted, notes=notes)
    return converted


def fetch_pose_weights(names: Sequence[str], progress: Progress | None = None) -> list[Path]:
    """Download published weights, verify their checksum and convert them, unless that was done before.

    Args:
        names: as in `list_pose_weights`; all are checked before the first download.
        progress: shows the downloads.

    Returns:
        The paths of the converted files.

    Raises:
        PoseError: if no weights have one of the names, or a download or conversion fails.
    """
    published = [find(name) for name in names]
    return [fetch(each, progress or Progress(quiet=True)) for each in published]
