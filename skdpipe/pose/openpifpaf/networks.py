"""OpenPifPaf's networks: built by backbone name, saved to and loaded from safetensors.

The metadata of a weights file contains the backbone. Loading a file executes no code from it.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import numpy as np
import torch
import torchvision
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from skdpipe.atomic_file import write_bytes_atomically
from skdpipe.errors import PoseError, in_one_line
from skdpipe.pose.openpifpaf.heads_2019 import BACKBONES_2019, UPSAMPLE, PifPaf2019


def _import_openpifpaf() -> Any:
    """Import OpenPifPaf 0.13.0 and restore names that its dependencies have removed.

    Its import needs ``ConvBNReLU`` of torchvision and, if matplotlib is installed, ``cm.get_cmap``. Its
    encoders need ``np.int``; only their two modules get it.
    """
    mobilenet: Any = torchvision.models.mobilenetv2
    if not hasattr(mobilenet, "ConvBNReLU"):
        mobilenet.ConvBNReLU = torchvision.ops.Conv2dNormActivation
    try:
        import matplotlib.cm
    except ImportError:
        pass
    else:
        maps: Any = matplotlib.cm
        if not hasattr(maps, "get_cmap"):
            maps.get_cmap = matplotlib.colormaps.get_cmap
    import openpifpaf
    import openpifpaf.plugins.coco

    for encoder in (openpifpaf.encoder.cif, openpifpaf.encoder.caf):
        encoder.np = SimpleNamespace(**{**vars(np), "int": int})
    torch.ops.openpifpaf.set_quiet(True)
    return openpifpaf


openpifpaf = _import_openpifpaf()

BACKBONES: Final = (
    "mobilenetv2",
    "mobilenetv3large",
    "mobilenetv3small",
    "resnet18",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50",
    "resnext101",
    "shufflenetv2x1",
    "shufflenetv2x2",
    "shufflenetv2k16",
    "shufflenetv2k20",
    "shufflenetv2kx5",
    "shufflenetv2k30",
    "shufflenetv2k44",
)
"""OpenPifPaf's convolutional backbones for single images."""
FORMAT: Final = "skdpipe-pose-1"
FORMAT_2019: Final = "skdpipe-pose-2019-1"


@dataclass(frozen=True)
class PoseNetwork:
    """A network and its description.

    Attributes:
        module: backbone and two heads (17 joints, 19 associations): OpenPifPaf's shell, or `PifPaf2019`.
        backbone: the backbone's name in OpenPifPaf.
        upsample: ratio of the backbone's stride to that of the heads.
        checksum: sha256 of the tensors, which does not depend on the file format, or "untrained".
        notes: information about the training, or None.
    """

    module: nn.Module
    backbone: str
    upsample: int = 1
    checksum: str = "untrained"
    notes: Mapping[str, Any] | None = None

    @property
    def head_metas(self) -> list[Any]:
        """OpenPifPaf's descriptions of both heads."""
        return cast(list[Any], self.module.head_metas)


def build(backbone: str, *, upsample: int = 1) -> PoseNetwork:
    """An untrained network for the 17 COCO joints.

    Raises:
        PoseError: if OpenPifPaf has no such backbone.
    """
    if backbone not in BACKBONES:
        raise PoseError(f"no backbone '{backbone}' in OpenPifPaf; expected one of {', '.join(BACKBONES)}")
    for base in openpifpaf.BASE_TYPES:
        if hasattr(base, "pretrained"):
            base.pretrained = False
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torchvision")  # about a deprecated argument
        base_net = openpifpaf.BASE_FACTORIES[backbone]()
    metas = openpifpaf.plugins.coco.CocoKp(upsample_stride=upsample).head_metas[:2]
    heads = [openpifpaf.HEADS[type(meta)](meta, base_net.out_features) for meta in metas]
    module = openpifpaf.network.nets.Shell(base_net, heads)
    openpifpaf.network.nets.model_defaults(module)
    return PoseNetwork(module.eval(), backbone, upsample)


def build_2019(backbone: str) -> PoseNetwork:
    """An untrained network with the heads of 2019.

    Raises:
        PoseError: if OpenPifPaf 0.8.0 had no such backbone.
    """
    if backbone not in BACKBONES_2019:
        raise PoseError(
            f"no network of 2019 has the backbone '{backbone}'; expected {' or '.join(BACKBONES_2019)}"
        )
    blocks, features = BACKBONES_2019[backbone]()
    module = PifPaf2019(blocks, features, metas_2019())
    return PoseNetwork(module.eval(), backbone, UPSAMPLE)


def metas_2019() -> list[Any]:
    """OpenPifPaf's descriptions of the 17 joints and 19 associations at the stride of 2019."""
    metas: list[Any] = openpifpaf.plugins.coco.CocoKp(upsample_stride=UPSAMPLE).head_metas[:2]
    for index, meta in enumerate(metas):
        meta.head_index, meta.base_stride = index, 16
    return metas


def save_weights(network: PoseNetwork, path: Path, *, notes: Mapping[str, Any], half: bool = False) -> None:
    """Write a network to safetensors atomically, with ``half`` in half precision."""
    tensors = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in network.module.state_dict().items()
    }
    metadata = {
        "format": FORMAT_2019 if isinstance(network.module, PifPaf2019) else FORMAT,
        "backbone": network.backbone,
        "upsample": str(network.upsample),
        "notes": json.dumps(dict(notes)),
    }
    # safetensors' save_file would make the file unreadable for other users.
    write_bytes_atomically(path, to_bytes(tensors, metadata))


def embedded_path(name: str) -> Path:
    """Path of an embedded weights file: in the package, or in the source tree's models/."""
    package = Path(__file__).parents[2]
    candidates = (
        package / "models" / f"pose-{name}.safetensors",
        package.parent / "models" / f"pose-{name}.safetensors",
    )
    return next((path for path in candidates if path.exists()), candidates[-1])


def load_safetensors(path: Path, backbone: str) -> PoseNetwork:
    """Load a network that `save_weights` wrote.

    Raises:
        PoseError: if the file cannot be read, or belongs to another network.
    """
    if not path.is_file():
        raise PoseError(f"no pose weights at {path}; expected safetensors written by `skdpipe train-pose`")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise PoseError(
            f"{path} is not a readable safetensors file ({error}); train or fetch it again"
        ) from error
    if metadata.get("format") not in {FORMAT, FORMAT_2019} or "backbone" not in metadata:
        raise PoseError(
            f"{path} contains no pose weights; expected safetensors written by `skdpipe train-pose`"
        )
    if metadata["backbone"] != backbone:
        raise PoseError(
            f"{path} contains weights of {metadata['backbone']}, not of {backbone}; change one of the two"
        )
    try:
        upsample = int(metadata["upsample"])
        of_2019 = metadata["format"] == FORMAT_2019
        network = build_2019(backbone) if of_2019 else build(backbone, upsample=upsample)
        network.module.load_state_dict({name: as_float(tensor) for name, tensor in tensors.items()})
        notes = json.loads(metadata["notes"])
    except (KeyError, ValueError, RuntimeError) as error:
        raise PoseError(
            f"{path} does not match {backbone} ({in_one_line(error)}); train or fetch it again"
        ) from error
    return PoseNetwork(network.module, backbone, network.upsample, checksum(tensors), notes)


def as_float(tensor: Tensor) -> Tensor:
    """Floating-point tensors converted to float32; other tensors unchanged."""
    return tensor.float() if tensor.is_floating_point() else tensor


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """sha256 of names and values; unlike a file's checksum it does not depend on the order in the header."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
