"""Catalogue of OpenPifPaf weights: backbone, addresses, size and published accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EMBEDDED: Final = {"actors-high": "resnet18", "actors-low": "shufflenetv2x1"}
"""Backbone of each network that is distributed with skdpipe."""
EMBEDDED_CHECKSUMS: Final = {
    "actors-high": "f2f1bf6953104687fc5f5168975f032ec3b97d60c1c6e23d18c3cc3ca9b154aa",
    "actors-low": "f7024c94235fd4cdddc8c76dc2bb91d953961a9a6bff49f6e5db86921817c1b8",
}
"""sha256 of their tensors, see `digest_of_tensors`."""
LICENSE: Final = "AGPL-3.0"
"""License of skdpipe and of OpenPifPaf, whose weights state no other one (models/README.md)."""

_BUCKET: Final = "https://storage.googleapis.com/openpifpaf-pretrained/v0.8.0/"
_FIRST_RELEASE: Final = "https://github.com/vita-epfl/openpifpaf-torchhub/releases/download/v0.1.0/"
_RELEASE: Final = "https://github.com/openpifpaf/torchhub/releases/download/v0.13/"


@dataclass(frozen=True)
class PublishedWeights:
    """Weights that can be downloaded: a pickled module of OpenPifPaf.

    Attributes:
        name: name in a config's ``weights`` and on the command line.
        backbone: network that the weights belong to.
        addresses: URLs of the file, tried in this order; all end in the file's name.
        megabytes: approximate size of the file.
        ap: published average precision on COCO keypoints in percent; None if none was published.
        license: license of the weights.
    """

    name: str
    backbone: str
    addresses: tuple[str, ...]
    megabytes: float
    ap: float | None
    license: str = LICENSE

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.addresses[0].rsplit("/", 1)[-1]

    @property
    def digest(self) -> str:
        """First digits of the file's sha256, which OpenPifPaf puts at the end of the name."""
        return self.file.removesuffix(".pkl").rsplit("-", 1)[-1]

    @property
    def source(self) -> str:
        """Host and project of the first address."""
        _, _, host, *path = self.addresses[0].split("/")
        return "/".join([host, *path[:2]])


def _weights_2019(backbone: str, file: str, megabytes: float, ap: float) -> PublishedWeights:
    return PublishedWeights(
        f"{backbone}-2019", backbone, (_FIRST_RELEASE + file, _BUCKET + file), megabytes, ap
    )


def _weights_2021(backbone: str, file: str, megabytes: float, ap: float | None) -> PublishedWeights:
    return PublishedWeights(backbone, backbone, (_RELEASE + file,), megabytes, ap)


PUBLISHED: Final = (
    _weights_2019("resnet152", "resnet152block5-pif-paf-edge401-190625-185426-3e2f28ed.pkl", 240, 67.8),
    _weights_2019("shufflenetv2x1", "shufflenetv2x1-pif-paf-edge401-190705-151607-d9a35d7e.pkl", 8.7, 50.2),
    _weights_2021(
        "shufflenetv2k30",
        "shufflenetv2k30-210821-003923-cocokp-slurm726072-edge513-o10s-5fe1c400.pkl",
        115,
        71.8,
    ),
    _weights_2021(
        "shufflenetv2k16",
        "shufflenetv2k16-210820-232500-cocokp-slurm726069-edge513-o10s-7189450a.pkl",
        39,
        68.1,
    ),
    _weights_2021(
        "resnet50", "resnet50-210830-150728-cocokp-slurm728641-edge513-o10s-ecd30da4.pkl", 97, 68.1
    ),
    _weights_2021(
        "mobilenetv3large",
        "mobilenetv3large-210820-184901-cocokp-slurm725985-edge513-o10s-6c76cbfb.pkl",
        15,
        58.4,
    ),
    _weights_2021(
        "mobilenetv3small",
        "mobilenetv3small-210822-213409-cocokp-slurm726252-edge513-o10s-803b24ae.pkl",
        6,
        47.1,
    ),
)
