"""OpenPifPaf's networks: built by backbone name, loaded from safetensors, published or pickled weights.

A weights file of ours is safetensors; its metadata says which network the tensors belong to, so that
nothing is ever executed by loading it. Published weights are pickled modules: they are downloaded over
https, compared with the checksum in their file name, unpickled once, and kept as safetensors.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from urllib.error import URLError

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from skdpipe.errors import PoseError


def _import_openpifpaf() -> Any:
    """OpenPifPaf, with the name that matplotlib 3.9 dropped put back where matplotlib is installed."""
    try:
        import matplotlib
        import matplotlib.cm
    except ImportError:
        pass
    else:
        if not hasattr(matplotlib.cm, "get_cmap"):
            matplotlib.cm.get_cmap = matplotlib.colormaps.get_cmap
    import openpifpaf
    import openpifpaf.plugins.coco

    return openpifpaf


openpifpaf = _import_openpifpaf()

BACKBONES: Final = tuple(
    name for name in openpifpaf.BASE_FACTORIES if not name.startswith("t") and name != "squeezenet"
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
        checksum: sha256 of the weights, or "untrained".
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
    base_net = openpifpaf.BASE_FACTORIES[backbone]()
    metas = openpifpaf.plugins.coco.CocoKp(upsample_stride=upsample).head_metas[:2]
    heads = [openpifpaf.HEADS[type(meta)](meta, base_net.out_features) for meta in metas]
    module = openpifpaf.network.nets.Shell(base_net, heads)
    openpifpaf.network.nets.model_defaults(module)
    return PoseNetwork(module.eval(), backbone, upsample)


def save_weights(network: PoseNetwork, path: Path, *, notes: Mapping[str, Any], half: bool = False) -> None:
    """Write a network as safetensors, at once or not at all; half precision halves the file."""
    tensors = {
        name: tensor.half() if half and tensor.is_floating_point() else tensor.contiguous()
        for name, tensor in network.module.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "backbone": network.backbone,
        "upsample": str(network.upsample),
        "notes": json.dumps(dict(notes)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    save_file(tensors, part, metadata)
    Path(part).replace(path)


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
    if path.suffix == ".pkl" or path.exists():
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
    if metadata.get("format") != FORMAT:
        raise PoseError(f"{path} holds {metadata.get('format', 'other tensors')}; expected {FORMAT}")
    if metadata["backbone"] != backbone:
        raise PoseError(
            f"{path} was trained for {metadata['backbone']}, not for {backbone}; name the right one"
        )
    network = build(backbone, upsample=int(metadata["upsample"]))
    network.module.load_state_dict(
        {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    )
    return PoseNetwork(
        network.module, backbone, network.upsample, _sha256(path), json.loads(metadata.get("notes", "{}"))
    )


def _convert(path: Path, backbone: str) -> PoseNetwork:
    """Unpickle an OpenPifPaf checkpoint that the user named and check that ours computes the same."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=False)
        pickled = checkpoint["model"]
    except FileNotFoundError as error:
        raise PoseError(f"no pose weights at {path}; expected an OpenPifPaf checkpoint") from error
    except Exception as error:  # unpickling a module can fail in as many ways as there are modules
        raise PoseError(
            f"{path} is not an OpenPifPaf checkpoint ({type(error).__name__}: {error})"
        ) from error
    openpifpaf.network.model_migration.model_migration(pickled)
    heads = {head.meta.name: head for head in pickled.head_nets}
    if not {"cif", "caf"} <= heads.keys():
        raise PoseError(
            f"{path} has the heads {', '.join(heads)}; expected cif and caf for the 17 COCO joints"
        )
    pickled.set_head_nets([heads["cif"], heads["caf"]])
    network = build(backbone, upsample=heads["cif"].meta.upsample_stride)
    picture = torch.rand(1, 3, 97, 129, generator=torch.Generator().manual_seed(0))
    try:
        network.module.load_state_dict(pickled.state_dict())
        with torch.inference_mode():
            same = all(
                torch.allclose(ours, theirs, atol=1e-4)
                for ours, theirs in zip(network.module(picture), pickled.eval()(picture), strict=True)
            )
    except RuntimeError as error:
        raise PoseError(f"{path} does not fit {backbone} ({str(error).splitlines()[0]})") from error
    if not same:
        raise PoseError(f"{path} computes something else than today's {backbone}; its settings differ")
    return PoseNetwork(network.module, backbone, network.upsample, _sha256(path), {"source": path.name})


def _published(name: str, backbone: str) -> Path:
    """The converted file of published weights, downloaded and converted when it is not there yet."""
    urls = {
        key: url
        for key, url in openpifpaf.CHECKPOINT_URLS.items()
        if isinstance(url, str) and "/" in url and key in BACKBONES
    }
    if name not in urls:
        raise PoseError(
            f"no weights are published for '{name}' (published: {', '.join(sorted(urls))}); train them with "
            f"`skdpipe train-pose --backbone {backbone}`, or give a path"
        )
    folder = Path(torch.hub.get_dir()) / "skdpipe"
    converted = folder / f"{name}.safetensors"
    if converted.is_file():
        return converted
    url = urls[name].replace("http://", "https://")
    checkpoint = folder / url.rsplit("/", 1)[-1]
    if not checkpoint.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        digest = checkpoint.stem.rsplit("-", 1)[-1]
        try:
            torch.hub.download_url_to_file(url, str(checkpoint), hash_prefix=digest)
        except (URLError, OSError, RuntimeError) as error:
            raise PoseError(
                f"cannot download {name} from {url} ({error}); put the file at {checkpoint} by hand, "
                "or use --preset demo or weights of your own"
            ) from error
    digest = checkpoint.stem.rsplit("-", 1)[-1]
    if not _sha256(checkpoint).startswith(digest):
        raise PoseError(f"{checkpoint} has not the checksum in its name ({digest}); delete it and try again")
    network = _convert(checkpoint, backbone)
    save_weights(network, converted, notes={"source": url, "sha256": network.checksum})
    return converted


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
