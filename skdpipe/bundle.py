"""A trained network with everything that prediction needs to know, in one safetensors file."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from skdpipe import networks
from skdpipe.atomic_file import write_bytes_atomically
from skdpipe.config import ClipFormat, NetworkChoice
from skdpipe.errors import BundleError, SkdpipeError, in_one_line
from skdpipe.inference.metadata import BundleMetadata, read_metadata, unfit
from skdpipe.networks import GraphNetwork
from skdpipe.skeleton import layout_named


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
    """Write a bundle atomically."""
    tensors = {name: tensor.contiguous().cpu() for name, tensor in bundle.network.state_dict().items()}
    # save_file would make the file unreadable for other users.
    write_bytes_atomically(path, to_bytes(tensors, bundle.metadata.to_header()))


def load_bundle(path: Path) -> Bundle:
    """Read a bundle; nothing in the file is executed.

    Raises:
        BundleError: if the file is missing, damaged or not a bundle.
    """
    metadata = read_metadata(path)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BundleError(
            f"{path} is not a readable bundle ({in_one_line(error)}); train it again"
        ) from error
    try:
        network = build_network(metadata.choice, metadata.clip, len(metadata.classes))
        network.load_state_dict(tensors)
    except (SkdpipeError, RuntimeError, ValueError) as error:
        raise unfit(path, error) from error
    return Bundle(network.eval(), metadata)


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
