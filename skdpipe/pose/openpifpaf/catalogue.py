"""The weights that exist for estimators: what each is, where it comes from, how good its makers found it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EMBEDDED: Final = {"actors-high": "resnet18", "actors-low": "shufflenetv2x1"}
"""The backbone of each of the weights that come with skdpipe."""
LICENSE: Final = "AGPL-3.0"
"""Ours, and OpenPifPaf's, whose files name no other (models/README.md)."""

_BUCKET: Final = "https://storage.googleapis.com/openpifpaf-pretrained/v0.8.0/"
_FIRST_RELEASE: Final = "https://github.com/vita-epfl/openpifpaf-torchhub/releases/download/v0.1.0/"
_RELEASE: Final = "https://github.com/openpifpaf/torchhub/releases/download/v0.13/"


@dataclass(frozen=True)
class Published:
    """Weights that can be downloaded: a pickled module of OpenPifPaf.

    Attributes:
        name: what a config's ``weights`` and the command line call it.
        backbone: the network they belong to.
        addresses: where the file is or was, the likeliest first; all end in the file's name.
        megabytes: about how large the file is.
        ap: average precision on COCO's keypoints as published, in percent; None if it was not.
        license: under which terms.
    """

    name: str
    backbone: str
    addresses: tuple[str, ...]
    megabytes: float
    ap: float | None
    license: str = LICENSE

    @property
    def file(self) -> str:
        """The file's name."""
        return self.addresses[0].rsplit("/", 1)[-1]

    @property
    def digest(self) -> str:
        """The first digits of the file's sha256: OpenPifPaf ends the name with them."""
        return self.file.removesuffix(".pkl").rsplit("-", 1)[-1]

    @property
    def source(self) -> str:
        """Host and project that the first address names."""
        _, _, host, *path = self.addresses[0].split("/")
        return "/".join([host, *path[:2]])


def _of_2019(backbone: str, file: str, megabytes: float, ap: float) -> Published:
    return Published(f"{backbone}-2019", backbone, (_FIRST_RELEASE + file, _BUCKET + file), megabytes, ap)


def _of_today(backbone: str, file: str, megabytes: float, ap: float | None) -> Published:
    return Published(backbone, backbone, (_RELEASE + file,), megabytes, ap)


PUBLISHED: Final = (
    _of_2019("resnet152", "resnet152block5-pif-paf-edge401-190625-185426-3e2f28ed.pkl", 240, 67.8),
    _of_2019("shufflenetv2x1", "shufflenetv2x1-pif-paf-edge401-190705-151607-d9a35d7e.pkl", 8.7, 50.2),
    _of_today(
        "shufflenetv2k30",
        "shufflenetv2k30-210821-003923-cocokp-slurm726072-edge513-o10s-5fe1c400.pkl",
        115,
        71.8,
    ),
    _of_today(
        "shufflenetv2k16",
        "shufflenetv2k16-210820-232500-cocokp-slurm726069-edge513-o10s-7189450a.pkl",
        39,
        68.1,
    ),
    _of_today("resnet50", "resnet50-210830-150728-cocokp-slurm728641-edge513-o10s-ecd30da4.pkl", 97, 68.1),
    _of_today(
        "mobilenetv3large",
        "mobilenetv3large-210820-184901-cocokp-slurm725985-edge513-o10s-6c76cbfb.pkl",
        15,
        58.4,
    ),
    _of_today(
        "mobilenetv3small",
        "mobilenetv3small-210822-213409-cocokp-slurm726252-edge513-o10s-803b24ae.pkl",
        6,
        47.1,
    ),
)
