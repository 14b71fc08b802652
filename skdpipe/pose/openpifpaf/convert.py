"""Conversion of OpenPifPaf's pickled checkpoints to networks built here, without executing the pickle.

The two networks are compared to verify that they compute the same: the same modules with the same names in
the same order, with the same strides, paddings, groups and other attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from skdpipe.errors import PoseError, in_brief, in_one_line
from skdpipe.pose.openpifpaf.checkpoint_reader import Checkpoint, Record, modules, read_checkpoint
from skdpipe.pose.openpifpaf.heads_2019 import UPSAMPLE, PifPaf2019
from skdpipe.pose.openpifpaf.networks import PoseNetwork, as_float, build, build_2019, checksum
from skdpipe.skeleton import COCO_17

_MINIMUM_EPS: Final = 1e-3  # current OpenPifPaf raises the eps of batch normalisations to it when it loads
_PARTS: Final = {"base_net", "head_nets"}
_UPSAMPLES: Final = (1, 2, 4, 8)
# Attributes and layers without effect in evaluation.
_TRAINING_ONLY: Final = {"training", "momentum", "inplace", "p", "dump_patches"}
_NO_EFFECT: Final = {"Sequential", "ModuleList", "Identity", "Dropout", "Dropout2d"}
# torchvision implemented squeeze-and-excitation first with functions, then with modules.
_SQUEEZE_PARTS: Final = {"relu", "avgpool", "activation", "scale_activation"}


def convert(path: Path, backbone: str) -> PoseNetwork:
    """Convert a checkpoint of OpenPifPaf, in the format of 2019 or the current one.

    Raises:
        PoseError: if the file is not a checkpoint, contains names that are not allowed, has other heads, or
            belongs to another backbone.
    """
    if not path.is_file():
        raise PoseError(f"no pose weights at {path}; expected an OpenPifPaf checkpoint")
    checkpoint = read_checkpoint(path)
    content = checkpoint.content
    shell = content.get("model") if isinstance(content, Mapping) else None
    if not isinstance(shell, Record) or not shell.children().keys() >= _PARTS:
        raise PoseError(
            f"{path} is not an OpenPifPaf checkpoint: found no network with a backbone and heads; fetch it "
            "again"
        )
    try:
        heads = [head for name, head in modules(shell.children()["head_nets"]) if name.isdecimal()]
        of_2019 = all(head.kind == "CompositeField" for head in heads)
        network = (_convert_2019 if of_2019 else _convert_current)(path, backbone, checkpoint, shell, heads)
    except (ArithmeticError, ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        raise PoseError(
            f"{path} does not match {backbone} ({in_one_line(error)}); change one of the two"
        ) from error
    return replace(network, checksum=checksum(network.module.state_dict()), notes={"source": path.name})


def _convert_2019(
    path: Path, backbone: str, checkpoint: Checkpoint, shell: Record, heads: list[Record]
) -> PoseNetwork:
    names = [head.get("shortname") for head in heads]
    if names not in (["pif", "paf"], ["pif17", "paf19"]):
        raise PoseError(
            f"{path} has the heads {in_brief(names, 100)}; expected pif and paf for the 17 COCO joints"
        )
    network = build_2019(backbone)
    assert isinstance(network.module, PifPaf2019)
    load_2019(network.module, checkpoint.tensors(shell), shell, path)
    return network


def load_2019(module: PifPaf2019, tensors: Mapping[str, Tensor], shell: Record, path: Path) -> None:
    """Load the tensors of a checkpoint of 2019 into a module.

    Raises:
        PoseError: if the pickled network differs from the module.
        RuntimeError: if the tensors do not match.
    """
    module.load_state_dict({name: as_float(tensor) for name, tensor in tensors.items()})
    difference = _find_difference(module, shell, lambda eps: None)
    for head in shell.children()["head_nets"].children().values():
        if head.get("_quad", head.get("quad", 0)) != UPSAMPLE // 2 or head.get("dilation", 1) != 1:
            difference = difference or "the stride of the heads"
    if difference:
        raise PoseError(
            f"{path} differs from the network of 2019 in {difference:.200}; expected weights of OpenPifPaf "
            "0.8.0"
        )
    _check_output(module, path)


def _convert_current(
    path: Path, backbone: str, checkpoint: Checkpoint, shell: Record, heads: list[Record]
) -> PoseNetwork:
    metas = {
        name: head.get("meta")
        for head in heads
        if isinstance(head.get("meta"), Record) and isinstance(name := head.get("meta").get("name"), str)
    }
    if not {"cif", "caf"} <= metas.keys() or tuple(metas["cif"].get("keypoints", ())) != COCO_17.joints:
        found = f"{', '.join(metas):.100}" if metas else "without descriptions"
        raise PoseError(f"{path} has the heads {found}; expected cif and caf for the 17 COCO joints")
    upsample = metas["cif"].get("upsample_stride", 1)
    if upsample not in _UPSAMPLES:
        raise ValueError(f"unknown upsampling {in_brief(upsample)}")
    network = build(backbone, upsample=upsample)
    chosen = [next(head for head in heads if head.get("meta") is metas[name]) for name in ("cif", "caf")]
    reduced = _with_heads(shell, chosen)
    tensors = checkpoint.tensors(reduced)
    network.module.load_state_dict({name: as_float(tensor) for name, tensor in tensors.items()})
    difference = _find_difference(network.module, reduced, lambda eps: max(eps, _MINIMUM_EPS))
    around = {"process_input": shell.get("process_input"), "process_heads": shell.get("process_heads")}
    around |= shell.children()
    if any(part is not None and name not in _PARTS for name, part in around.items()):
        difference = difference or "the processing before or after the network"
    if not _equals(metas["caf"].get("skeleton"), network.head_metas[1].skeleton):
        difference = difference or "the associations"
    if difference:
        raise PoseError(
            f"{path} differs from OpenPifPaf's {backbone} in {difference:.200}; expected weights of an "
            "unmodified network"
        )
    _check_output(network.module, path)
    return network


def _with_heads(shell: Record, heads: list[Record]) -> Record:
    """The network with only these heads."""
    head_nets = Record()
    head_nets.state = {"_modules": {str(index): head for index, head in enumerate(heads)}}
    reduced = Record()
    reduced.state = {"_modules": {"base_net": shell.children()["base_net"], "head_nets": head_nets}}
    return reduced


def _find_difference(ours: nn.Module, theirs: Record, eps: Callable[[float], float | None]) -> str:
    """The first module or attribute in which a pickled network differs from ours; empty if there is none.

    Args:
        ours: the network built here.
        theirs: the network in the pickle.
        eps: maps a pickled eps to the value after loading, or to None if the pickled value is ignored.
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
                pickled = record.get(attribute)
                pickled = eps(pickled) if attribute == "eps" and pickled is not None else pickled
                if _matters(attribute, value) and pickled is not None and not _equals(pickled, value):
                    return f"{name}.{attribute}"
            order = [child for child, _ in module.named_children() if child in record.children()]
            if isinstance(module, nn.Sequential) and order != [c for c in record.children() if c in order]:
                return name
    return ""


def _same_kind(module: nn.Module | None, record: Record | None) -> bool:
    """Whether both are layers of the same type; containers and layers without effect match everything."""
    layers = set()
    if module is not None and not list(module.children()):
        layers.add(type(module).__name__)
    if record is not None and not any(part is not None for part in record.children().values()):
        layers.add(record.kind)
    layers -= _NO_EFFECT
    return not layers or (len(layers) == 1 and module is not None and record is not None)


def _is_squeeze(name: str, mine: Mapping[str, nn.Module]) -> bool:
    parent, _, child = name.rpartition(".")
    return child in _SQUEEZE_PARTS and type(mine.get(parent)).__name__ == "SqueezeExcitation"


def _matters(attribute: str, value: Any) -> bool:
    return not attribute.startswith("_") and attribute not in _TRAINING_ONLY and _is_plain(value)


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(part) for part in value)
    return isinstance(value, bool | int | float | str)


def _equals(pickled: Any, value: Any) -> bool:
    """Whether a pickled value is a plain one; a tuple and a list of the same values are equal."""
    if isinstance(value, tuple | list):
        is_sequence = isinstance(pickled, tuple | list) and len(pickled) == len(value)
        return is_sequence and all(_equals(*pair) for pair in zip(pickled, value, strict=True))
    return isinstance(pickled, bool | int | float | str) and pickled == value


def _check_output(module: nn.Module, path: Path) -> None:
    """Run the network on a random image; damaged weights give fields that are not finite."""
    image = torch.rand(1, 3, 97, 129, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        if not all(torch.isfinite(fields).all() for fields in module.eval()(image)):
            raise PoseError(f"{path} computes fields that are not finite; fetch it again")
