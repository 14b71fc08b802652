"""OpenPifPaf's pickled checkpoints into networks built here, without running the pickle.

That the network built here computes what the pickled one did is read from the two side by side: the same
modules by the same names in the same order, with the same strides, paddings, groups and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from skdpipe.errors import PoseError
from skdpipe.pose.openpifpaf.heads_2019 import UPSAMPLE, PifPaf2019
from skdpipe.pose.openpifpaf.networks import PoseNetwork, as_float, brief, build, build_2019, checksum
from skdpipe.pose.openpifpaf.unpickle import Checkpoint, Record, modules, read_checkpoint
from skdpipe.skeleton import COCO_17

_LEAST_EPS: Final = 1e-3  # today's OpenPifPaf raises a batch normalisation's eps to this when it loads
_PARTS: Final = {"base_net", "head_nets"}
_UPSAMPLES: Final = (1, 2, 4, 8)
# Of no effect in evaluation.
_TRAINING_ONLY: Final = {"training", "momentum", "inplace", "p", "dump_patches"}
_NO_EFFECT: Final = {"Sequential", "ModuleList", "Identity", "Dropout", "Dropout2d"}
# torchvision wrote the same squeeze-and-excitation first with functions, then with modules.
_SQUEEZE: Final = {"relu", "avgpool", "activation", "scale_activation"}


def convert(path: Path, backbone: str) -> PoseNetwork:
    """A checkpoint of OpenPifPaf, of today or of 2019, as a network of ours.

    Raises:
        PoseError: if the file is none, asks for something that a checkpoint does not need, has other heads,
            or belongs to another backbone.
    """
    if not path.is_file():
        raise PoseError(f"no pose weights at {path}; expected an OpenPifPaf checkpoint")
    checkpoint = read_checkpoint(path)
    content = checkpoint.content
    shell = content.get("model") if isinstance(content, Mapping) else None
    if not isinstance(shell, Record) or not shell.children().keys() >= _PARTS:
        raise PoseError(
            f"{path} is not an OpenPifPaf checkpoint: it holds no network with a backbone and heads"
        )
    try:
        heads = [head for name, head in modules(shell.children()["head_nets"]) if name.isdecimal()]
        of_2019 = all(head.kind == "CompositeField" for head in heads)
        network = (_of_2019 if of_2019 else _of_today)(path, backbone, checkpoint, shell, heads)
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise PoseError(f"{path} does not fit {backbone} ({brief(error)}); name the right one") from error
    return replace(network, checksum=checksum(network.module.state_dict()), notes={"source": path.name})


def _of_2019(
    path: Path, backbone: str, checkpoint: Checkpoint, shell: Record, heads: list[Record]
) -> PoseNetwork:
    names = [str(head.get("shortname")) for head in heads]
    if names not in (["pif", "paf"], ["pif17", "paf19"]):
        raise PoseError(
            f"{path} has the heads {', '.join(names)}; expected pif and paf for the 17 COCO joints"
        )
    network = build_2019(backbone)
    assert isinstance(network.module, PifPaf2019)
    load_2019(network.module, checkpoint.tensors(shell), shell, path)
    return network


def load_2019(module: PifPaf2019, tensors: Mapping[str, Tensor], shell: Record, path: Path) -> None:
    """Put the tensors of a checkpoint of 2019 where they belong.

    Raises:
        PoseError: if the pickled network computed something else.
        RuntimeError: if the tensors do not fit.
    """
    module.load_state_dict({name: as_float(tensor) for name, tensor in tensors.items()})
    difference = _difference(module, shell, lambda eps: None)
    for head in shell.children()["head_nets"].children().values():
        if head.get("_quad", head.get("quad", 0)) != UPSAMPLE // 2 or head.get("dilation", 1) != 1:
            difference = difference or "the heads' grid"
    if difference:
        raise PoseError(f"{path} computes something else than the network of 2019 ({difference})")
    _try(module, path)


def _of_today(
    path: Path, backbone: str, checkpoint: Checkpoint, shell: Record, heads: list[Record]
) -> PoseNetwork:
    metas = {
        str(head.get("meta").get("name")): head.get("meta")
        for head in heads
        if isinstance(head.get("meta"), Record)
    }
    if not {"cif", "caf"} <= metas.keys() or tuple(metas["cif"].get("keypoints", ())) != COCO_17.joints:
        found = ", ".join(metas) or "none that it describes"
        raise PoseError(f"{path} has the heads {found}; expected cif and caf for the 17 COCO joints")
    upsample = metas["cif"].get("upsample_stride", 1)
    if upsample not in _UPSAMPLES:
        raise ValueError(f"a grid that is finer {upsample} times")
    network = build(backbone, upsample=upsample)
    chosen = [next(head for head in heads if head.get("meta") is metas[name]) for name in ("cif", "caf")]
    two = _with_heads(shell, chosen)
    tensors = checkpoint.tensors(two)
    network.module.load_state_dict({name: as_float(tensor) for name, tensor in tensors.items()})
    difference = _difference(network.module, two, lambda eps: max(eps, _LEAST_EPS))
    around = {"process_input": shell.get("process_input"), "process_heads": shell.get("process_heads")}
    around |= shell.children()
    if any(part is not None and name not in _PARTS for name, part in around.items()):
        difference = difference or "what is done before or after the network"
    skeletons = [[tuple(bone) for bone in meta.skeleton] for meta in network.head_metas[1:]]
    if skeletons != [[tuple(bone) for bone in metas["caf"].get("skeleton", ())]]:
        difference = difference or "the associations"
    if difference:
        raise PoseError(
            f"{path} computes something else than today's {backbone} ({difference}); its settings differ"
        )
    _try(network.module, path)
    return network


def _with_heads(shell: Record, heads: list[Record]) -> Record:
    """The network with these heads alone."""
    held = Record()
    held.state = {"_modules": {str(index): head for index, head in enumerate(heads)}}
    two = Record()
    two.state = {"_modules": {"base_net": shell.children()["base_net"], "head_nets": held}}
    return two


def _difference(ours: nn.Module, theirs: Record, eps: Callable[[float], float | None]) -> str:
    """Where a pickled network would compute something else than ours; empty if nowhere.

    Args:
        ours: built here.
        theirs: read from the pickle.
        eps: what becomes of a pickled eps when it is loaded; None if it is overwritten.
    """
    mine = dict(ours.named_modules(remove_duplicate=False))
    others = dict(modules(theirs))
    names: list[str] = [*mine, *(name for name in others if name not in mine)]
    for name in names:
        module, record = mine.get(name), others.get(name)
        if not _same_kind(module, record) and not _is_squeeze(name, mine):
            return name
        if module is not None and record is not None:
            for attribute, value in vars(module).items():
                said = record.get(attribute)
                said = eps(said) if attribute == "eps" and said is not None else said
                if _matters(attribute, value) and said is not None and _plain(said) != _plain(value):
                    return f"{name}.{attribute}"
            order = [child for child, _ in module.named_children() if child in record.children()]
            if isinstance(module, nn.Sequential) and order != [c for c in record.children() if c in order]:
                return name
    return ""


def _same_kind(module: nn.Module | None, record: Record | None) -> bool:
    """Whether both are the same layer; what only holds layers or does nothing may be called anything."""
    layers = set()
    if module is not None and not list(module.children()):
        layers.add(type(module).__name__)
    if record is not None and not any(part is not None for part in record.children().values()):
        layers.add(record.kind)
    layers -= _NO_EFFECT
    return not layers or (len(layers) == 1 and module is not None and record is not None)


def _is_squeeze(name: str, mine: Mapping[str, nn.Module]) -> bool:
    parent, _, child = name.rpartition(".")
    return child in _SQUEEZE and type(mine.get(parent)).__name__ == "SqueezeExcitation"


def _matters(attribute: str, value: Any) -> bool:
    return not attribute.startswith("_") and attribute not in _TRAINING_ONLY and _is_plain(value)


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(part) for part in value)
    return isinstance(value, bool | int | float | str)


def _plain(value: Any) -> Any:
    return tuple(_plain(part) for part in value) if isinstance(value, tuple | list) else value


def _try(module: nn.Module, path: Path) -> None:
    """One picture; weights that are damaged show."""
    picture = torch.rand(1, 3, 97, 129, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        if not all(torch.isfinite(fields).all() for fields in module.eval()(picture)):
            raise PoseError(f"{path} gives fields that are not finite; fetch it again")
