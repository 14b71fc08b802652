"""OpenPifPaf's networks: built by backbone name, loaded from safetensors, published or pickled weights.

A weights file of ours is safetensors; its metadata says which network the tensors belong to, so that
nothing is ever executed by loading it. Published weights are pickled modules: they are downloaded over
https, compared with the checksum in their file name, unpickled once, and kept as safetensors.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from skdpipe.errors import PoseError
from skdpipe.skeleton import COCO_17


def _import_openpifpaf() -> Any:
    """OpenPifPaf, its C++ part told not to print; matplotlib 3.9, if installed, gets a dropped name back."""
    try:
        import matplotlib
        import matplotlib.cm
    except ImportError:
        pass
    else:
        if not hasattr(matplotlib.cm, "get_cmap"):
            matplotlib.cm.get_cmap = matplotlib.colormaps.get_cmap  # type: ignore[attr-defined]
    import openpifpaf
    import openpifpaf.plugins.coco

    torch.ops.openpifpaf.set_quiet(True)
    return openpifpaf


openpifpaf = _import_openpifpaf()

BACKBONES: Final = tuple(
    name
    for name in openpifpaf.BASE_FACTORIES
    if not name.startswith("t") and name not in {"squeezenet", "cifar10net"}
)
FORMAT: Final = "skdpipe-pose-1"
EMBEDDED: Final = ("actors-high", "actors-low")


@dataclass(frozen=True)
class PoseNetwork:
    """A network with what must be known to run it.

    Attributes:
        module: OpenPifPaf's shell of backbone and two heads (17 joints, 19 associations).
        backbone: the backbone's name in OpenPifPaf.
        upsample: how many times finer than the backbone's stride the heads' grid is.
        checksum: sha256 of the tensors, whatever file they came from, or "untrained".
        notes: what the training wrote down about itself.
    """

    module: nn.Module
    backbone: str
    upsample: int = 1
    checksum: str = "untrained"
    notes: Mapping[str, Any] | None = None

    @property
    def head_metas(self) -> list[Any]:
        """OpenPifPaf's description of both heads."""
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
        warnings.filterwarnings("ignore", module="torchvision")  # of how OpenPifPaf asks for no weights
        base_net = openpifpaf.BASE_FACTORIES[backbone]()
    metas = openpifpaf.plugins.coco.CocoKp(upsample_stride=upsample).head_metas[:2]
    heads = [openpifpaf.HEADS[type(meta)](meta, base_net.out_features) for meta in metas]
    module = openpifpaf.network.nets.Shell(base_net, heads)
    openpifpaf.network.nets.model_defaults(module)
    return PoseNetwork(module.eval(), backbone, upsample)


def save_weights(network: PoseNetwork, path: Path, *, notes: Mapping[str, Any], half: bool = False) -> None:
    """Write a network as safetensors, at once or not at all; half precision halves the file."""
    tensors = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in network.module.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "backbone": network.backbone,
        "upsample": str(network.upsample),
        "notes": json.dumps(dict(notes)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}-{os.getpid()}.part")
    part.write_bytes(to_bytes(tensors, metadata))  # save_file would keep it from other users
    part.replace(path)


def load_weights(backbone: str, weights: str) -> PoseNetwork:
    """A trained network.

    Args:
        backbone: which network; it must be the one that the weights were trained for.
        weights: a path to safetensors or to an OpenPifPaf checkpoint (which is unpickled: name only
            files that you trust), the name of an embedded network (``actors-high``, ``actors-low``),
            or the name of a published one.

    Raises:
        PoseError: if the weights cannot be had or belong to another network.
    """
    if weights in EMBEDDED:
        return _load_safetensors(embedded_path(weights), backbone)
    path = Path(weights)
    if path.suffix == ".safetensors":
        return _load_safetensors(path, backbone)
    if path.suffix == ".pkl" or path.is_file():
        return _convert(path, backbone)
    return _load_safetensors(_published(weights, backbone), backbone)


def embedded_path(name: str) -> Path:
    """Where the weights that come with skdpipe are: beside the package, or in the source tree's models/."""
    package = Path(__file__).parents[2]
    candidates = (
        package / "models" / f"pose-{name}.safetensors",
        package.parent / "models" / f"pose-{name}.safetensors",
    )
    return next((path for path in candidates if path.exists()), candidates[-1])


def _load_safetensors(path: Path, backbone: str) -> PoseNetwork:
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
    if metadata.get("format") != FORMAT or "backbone" not in metadata:
        raise PoseError(f"{path} holds no pose weights; expected safetensors written by `skdpipe train-pose`")
    if metadata["backbone"] != backbone:
        raise PoseError(
            f"{path} was trained for {metadata['backbone']}, not for {backbone}; name the right one"
        )
    try:
        network = build(backbone, upsample=int(metadata["upsample"]))
        network.module.load_state_dict({name: _as_float(tensor) for name, tensor in tensors.items()})
        notes = json.loads(metadata["notes"])
    except (KeyError, ValueError, RuntimeError) as error:
        raise PoseError(
            f"{path} does not fit {backbone} ({_brief(error)}); train or fetch it again"
        ) from error
    return PoseNetwork(network.module, backbone, network.upsample, _checksum(tensors), notes)


def _as_float(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _convert(path: Path, backbone: str) -> PoseNetwork:
    """Unpickle an OpenPifPaf checkpoint that the user named and check that ours computes the same."""
    if not path.is_file():
        raise PoseError(f"no pose weights at {path}; expected an OpenPifPaf checkpoint")
    try:
        pickled = torch.load(path, map_location="cpu", weights_only=False)["model"]
        openpifpaf.network.model_migration.model_migration(pickled)
        heads = {head.meta.name: head for head in pickled.head_nets}
    except Exception as error:  # unpickling a module can fail in as many ways as there are modules
        raise PoseError(
            f"{path} is not an OpenPifPaf checkpoint ({type(error).__name__}: {_brief(error)})"
        ) from error
    if not {"cif", "caf"} <= heads.keys() or tuple(heads["cif"].meta.keypoints) != COCO_17.joints:
        raise PoseError(
            f"{path} has the heads {', '.join(heads)}; expected cif and caf for the 17 COCO joints"
        )
    pickled.set_head_nets([heads["cif"], heads["caf"]])
    network = build(backbone, upsample=heads["cif"].meta.upsample_stride)
    picture = torch.rand(1, 3, 97, 129, generator=torch.Generator().manual_seed(0))
    try:
        network.module.load_state_dict(pickled.state_dict())
        with torch.inference_mode():
            pairs = zip(network.module(picture), pickled.eval()(picture), strict=True)
            same = all(torch.allclose(ours, theirs, atol=1e-4) for ours, theirs in pairs)
    except Exception as error:  # the same
        raise PoseError(f"{path} does not fit {backbone} ({_brief(error)}); name the right one") from error
    if not same:
        raise PoseError(f"{path} computes something else than today's {backbone}; its settings differ")
    checksum = _checksum(network.module.state_dict())
    return PoseNetwork(network.module, backbone, network.upsample, checksum, {"source": path.name})


def _published(name: str, backbone: str) -> Path:
    """The converted file of published weights, downloaded and converted when it is not there yet."""
    urls = {
        key: url
        for key, url in openpifpaf.CHECKPOINT_URLS.items()
        if isinstance(url, str) and "/" in url and key in BACKBONES
    }
    if name not in urls:
        raise PoseError(
            f"no weights are published for '{name}' (published: {', '.join(sorted(urls))}) and it is no "
            "file; train them with `skdpipe train-pose`, or give a path"
        )
    folder = Path(torch.hub.get_dir()) / "skdpipe"
    converted = folder / f"{name}.safetensors"
    if converted.is_file():
        return converted
    url = urls[name].replace("http://", "https://")
    checkpoint = folder / url.rsplit("/", 1)[-1]
    digest = checkpoint.stem.rsplit("-", 1)[-1]
    if not checkpoint.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(checkpoint), hash_prefix=digest)
        except (OSError, HTTPException, RuntimeError) as error:
            raise PoseError(
                f"cannot download {name} from {url} ({_brief(error)}); put the file at {checkpoint} by hand, "
                "or use `--config demo` or weights of your own"
            ) from error
    with checkpoint.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if not sha256.startswith(digest):
        raise PoseError(f"{checkpoint} has not the checksum in its name ({digest}); delete it and try again")
    network = _convert(checkpoint, backbone)
    save_weights(network, converted, notes={"source": url, "sha256": sha256})
    return converted


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names and bytes; a file's own would not do, as its header's order is left to chance."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
