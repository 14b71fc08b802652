"""A trained network with everything that prediction needs to know, in one safetensors file."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from skdpipe import networks
from skdpipe.config import ClipFormat, NetworkChoice
from skdpipe.errors import BundleError, DataError, SkdpipeError
from skdpipe.inference.metadata import BundleMetadata, errors_of, read_metadata, unfit
from skdpipe.networks import GraphNetwork
from skdpipe.skeleton import layout_named
from skdpipe.tensor_file import TensorType, all_finite, read_header, read_tensors, write_tensors


def build_network(choice: NetworkChoice, clip: ClipFormat, classes: int) -> GraphNetwork:
    """The untrained network of a config, for clips of a format."""
    return networks.build_network(
        choice.name,
        layout_named(clip.layout),
        classes,
        people=clip.people,
        coordinates=clip.channels - 1,
        confidence=choice.confidence,
        partitioning=choice.partitioning,
        width=choice.width,
        dropout=choice.dropout,
    )


@dataclass(frozen=True)
class Bundle:
    """A trained network with its metadata.

    Attributes:
        network: in evaluation mode, on the CPU.
        metadata: what it is and what input it expects.
    """

    network: GraphNetwork
    metadata: BundleMetadata


def save_bundle(bundle: Bundle, path: Path) -> None:
    """Write a bundle atomically; equal bundles give equal bytes.

    Raises:
        DataError: if a weight or a statistic is not finite.
        OSError: if the file cannot be written.
    """
    tensors = {name: each.detach().cpu().numpy() for name, each in bundle.network.state_dict().items()}
    if not all_finite(tensors):
        raise DataError(
            f"the network for {path} has weights that are not finite, and is not saved; lower "
            "recipe.learning_rate or lengthen recipe.warmup"
        )
    write_tensors(path, tensors, bundle.metadata.to_header())


def load_bundle(path: Path) -> Bundle:
    """Read a bundle; nothing in the file is executed.

    Raises:
        BundleError: if the file is missing, damaged or not a bundle, if a later version of skdpipe wrote it,
            or a weight is not finite.
    """
    metadata = read_metadata(path)
    with errors_of(path):
        stated = read_header(path).tensors
        try:
            with _AtMost(2 * sum(math.prod(each.shape) for each in stated.values())):
                network = build_network(metadata.choice, metadata.clip, len(metadata.classes))
        except (SkdpipeError, RuntimeError, ValueError, OverflowError) as error:
            raise unfit(path, error) from error
        _require_same(path, stated, network)
        tensors = read_tensors(path)
        network.load_state_dict({name: torch.from_numpy(each) for name, each in tensors.items()})
    if not all_finite(tensors):
        raise BundleError(f"{path} has weights that are not finite; expected numbers: train it again")
    return Bundle(network.eval(), metadata)


class _AtMost(TorchFunctionMode):
    """Stops before weights are allocated that a file cannot contain.

    Args:
        elements: number of elements that may be allocated.
    """

    def __init__(self, elements: int) -> None:
        super().__init__()
        self._left = elements

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if function is torch.empty:  # reserves memory that is not used until it is filled
            self._left -= result.numel()
            if self._left < 0:
                raise ValueError("the file is too small for this network")
        return result


def _require_same(path: Path, stated: Mapping[str, TensorType], network: GraphNetwork) -> None:
    """Check the tensors of a file against those of the network.

    Raises:
        BundleError: if one is missing or not the network's, or differs in shape or type.
    """
    types = {torch.float32: "F32", torch.int64: "I64", torch.bool: "BOOL"}
    expected = {
        name: TensorType(tuple(each.shape), types[each.dtype]) for name, each in network.state_dict().items()
    }
    for name in sorted({*expected, *stated}):
        if stated.get(name) != expected.get(name):
            found, wanted = (_describe(each.get(name)) for each in (stated, expected))
            raise unfit(path, ValueError(f"tensor {name:.60} is {found}, expected {wanted}"))


def _describe(tensor: TensorType | None) -> str:
    return f"{tensor.dtype} {tensor.shape}" if tensor else "missing"


def versions() -> dict[str, str]:
    """Versions and machine, on which the figures of a run depend together with its config."""
    from importlib.metadata import version

    return {
        "skdpipe": version("skdpipe"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs"
        + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""),
    }
