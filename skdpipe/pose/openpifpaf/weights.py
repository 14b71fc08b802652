"""Weights by name or path: embedded ones, published ones, and files of the user."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from skdpipe.errors import PoseError
from skdpipe.file_digest import sha256_of
from skdpipe.pose.openpifpaf.catalogue import PublishedWeights
from skdpipe.pose.openpifpaf.convert import convert
from skdpipe.pose.openpifpaf.download import download
from skdpipe.pose.openpifpaf.networks import PoseNetwork, load_safetensors, save_weights
from skdpipe.pose.openpifpaf.weights_file import converted_path, find, weights_file
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
    if (file := weights_file(weights)) is not None:
        return load_safetensors(file, backbone)
    path = Path(weights)
    if path.suffix == ".pkl" or path.is_file():
        return convert(path, backbone)
    return load_safetensors(fetch(find(weights), progress or Progress()), backbone)


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
