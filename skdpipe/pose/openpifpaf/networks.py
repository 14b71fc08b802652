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
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from skdpipe.errors import PoseError, in_brief
from skdpipe.pose.openpifpaf.estimator import NetworkDescription
from skdpipe.pose.openpifpaf.heads_2019 import BACKBONES_2019, UPSAMPLE, PifPaf2019
from skdpipe.pose.openpifpaf.letterbox import MEAN, STD
from skdpipe.pose.openpifpaf.weights_file import FORMAT, FORMAT_2019, does_not_match, read_weights_header
from skdpipe.tensor_file import TensorType, write_tensors


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
_FLOATS: Final = {"F16", "BF16", "F32", "F64"}
_INTEGERS: Final = {"I64"}


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
    def description(self) -> NetworkDescription:
        """Which network it is."""
        return NetworkDescription(self.backbone, self.upsample, self.checksum)

    @property
    def head_metas(self) -> list[Any]:
        """OpenPifPaf's descriptions of both heads."""
        return cast(list[Any], self.module.head_metas)


def normalise(images: Tensor) -> Tensor:
    """The network's input ``(image, 3, height, width)`` for uint8 RGB ``(image, height, width, 3)``."""
    mean, std = (torch.from_numpy(each).to(images.device) for each in (MEAN, STD))
    return ((images.float() - mean) / std).permute(0, 3, 1, 2)


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
    """Write a network to safetensors with a checksum, with ``half`` in half precision."""
    tensors = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in network.module.state_dict().items()
    }
    metadata = {
        "format": FORMAT_2019 if isinstance(network.module, PifPaf2019) else FORMAT,
        "backbone": network.backbone,
        "upsample": str(network.upsample),
        "notes": json.dumps(dict(notes)),
    }
    write_tensors(path, {name: tensor.numpy() for name, tensor in tensors.items()}, metadata)


def load_safetensors(path: Path, backbone: str) -> PoseNetwork:
    """Load a network that `save_weights` wrote.

    Raises:
        PoseError: if the file cannot be read, or belongs to another network.
    """
    header = read_weights_header(path, backbone)
    try:
        network = build_2019(backbone) if header.of_2019 else build(backbone, upsample=header.upsample)
        _require_same_tensors(header.tensors, network.module.state_dict())
        tensors = load_file(path)
        network.module.load_state_dict({name: as_float(tensor) for name, tensor in tensors.items()})
        if not all(torch.isfinite(tensor).all() for tensor in network.module.state_dict().values()):
            raise ValueError("weights that are not finite")
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise does_not_match(path, backbone, error) from error
    return PoseNetwork(network.module, backbone, network.upsample, checksum(tensors), header.notes)


def _require_same_tensors(found: Mapping[str, TensorType], expected: Mapping[str, Tensor]) -> None:
    """Compare names, shapes and types before anything is loaded; floats may have any precision."""
    for name in [*expected, *(each for each in found if each not in expected)]:
        if name not in found or name not in expected:
            raise ValueError(f"{'no' if name in expected else 'a'} tensor {name:.100}")
        shape, wanted = found[name].shape, tuple(expected[name].shape)
        if shape != wanted:
            raise ValueError(f"{name} of shape {in_brief(shape, 60)} instead of {wanted}")
        if found[name].dtype not in (_FLOATS if expected[name].is_floating_point() else _INTEGERS):
            raise ValueError(f"{name} of type {found[name].dtype}")


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
