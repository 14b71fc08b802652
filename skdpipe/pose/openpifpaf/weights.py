"""Weights by name or path: embedded, published, or a user's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from skdpipe.errors import PoseError
from skdpipe.pose.openpifpaf import catalogue
from skdpipe.pose.openpifpaf.catalogue import EMBEDDED, Published
from skdpipe.pose.openpifpaf.convert import convert
from skdpipe.pose.openpifpaf.download import download, sha256_of
from skdpipe.pose.openpifpaf.networks import PoseNetwork, embedded_path, load_safetensors, save_weights
from skdpipe.progress import Progress


def load_weights(backbone: str, weights: str, progress: Progress | None = None) -> PoseNetwork:
    """A trained network.

    Args:
        backbone: which network; it must be the one that the weights were trained for.
        weights: a path to safetensors or to an OpenPifPaf checkpoint, the name of an embedded network
            (``actors-high``, ``actors-low``), or the name of a published one, which is fetched if it is not
            there yet.
        progress: where a download is shown.

    Raises:
        PoseError: if the weights cannot be had or belong to another network.
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
class Available:
    """Weights that exist, wherever they are.

    Attributes:
        name, backbone: what a config names.
        ap: on COCO's keypoints in percent, as published.
        megabytes: of the file that there is, or about what the download has.
        source, license: where they come from, under which terms.
        path: where they are kept once they are present.
    """

    name: str
    backbone: str
    ap: float | None
    megabytes: float
    source: str
    license: str
    path: Path


def list_pose_weights() -> list[Available]:
    """All weights that a config can name, the embedded ones first."""
    embedded = [(name, backbone, embedded_path(name)) for name, backbone in catalogue.EMBEDDED.items()]
    return [
        Available(name, backbone, None, _megabytes(path), "comes with skdpipe", catalogue.LICENSE, path)
        for name, backbone, path in embedded
    ] + [
        Available(p.name, p.backbone, p.ap, p.megabytes, p.source, p.license, converted_path(p))
        for p in catalogue.PUBLISHED
    ]


def _megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6 if path.is_file() else 0.0


def find(name: str) -> Published:
    """The published weights of this name.

    Raises:
        PoseError: if there are none.
    """
    for published in catalogue.PUBLISHED:
        if published.name == name:
            return published
    names = ", ".join(sorted(published.name for published in catalogue.PUBLISHED))
    raise PoseError(
        f"no weights are published for '{name}' (published: {names}) and it is no file; train them with "
        "`skdpipe train-pose`, or give a path"
    )


def converted_path(published: Published) -> Path:
    """Where published weights are kept once they are fetched and converted."""
    return Path(torch.hub.get_dir()) / "skdpipe" / f"{published.name}.safetensors"


def fetch(published: Published, progress: Progress) -> Path:
    """The converted file of published weights, downloaded and converted if it is not there yet.

    Raises:
        PoseError: if it cannot be had from any address, has another checksum, or cannot be converted.
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
                f"{published.name}` where there is a network, or put the file at {checkpoint} by hand"
            ) from error
    sha256 = sha256_of(checkpoint)
    if not sha256.startswith(published.digest):
        raise PoseError(
            f"{checkpoint} has not the checksum in its name ({published.digest}); delete it and try again"
        )
    network = convert(checkpoint, published.backbone)
    notes = {"source": published.addresses, "sha256": sha256, "license": published.license}
    save_weights(network, converted, notes=notes)
    return converted


def fetch_pose_weights(name: str, progress: Progress | None = None) -> Path:
    """Download published weights, verify their checksum and convert them, unless that was done before.

    Args:
        name: one of `list_pose_weights`.
        progress: shows the download.

    Returns:
        The path of the converted file.

    Raises:
        PoseError: if no weights have that name, or `fetch` fails.
    """
    return fetch(find(name), progress or Progress(quiet=True))
