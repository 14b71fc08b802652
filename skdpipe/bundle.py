"""A trained network with everything that prediction needs to know, in one safetensors file."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from skdpipe import networks
from skdpipe.config import ClipFormat, Estimator, NetworkChoice, parse_config, to_plain
from skdpipe.errors import BundleError, SkdpipeError
from skdpipe.networks import GraphNetwork
from skdpipe.skeleton import layout_named
from skdpipe.whole_file import whole_file

FORMAT: Final = "skdpipe-bundle-1"


def build_network(choice: NetworkChoice, clip: ClipFormat, classes: int) -> GraphNetwork:
    """The untrained network of a config, for clips of a format."""
    return networks.build_network(
        choice.name,
        layout_named(clip.layout),
        classes,
        people=clip.people,
        partitioning=choice.partitioning,
        width=choice.width,
        dropout=choice.dropout,
    )


@dataclass(frozen=True)
class Bundle:
    """A trained network and what it was trained for.

    Attributes:
        network: in evaluation mode, on the CPU.
        choice: which network it is.
        classes: class names in order of the logits.
        clip: how a sequence becomes its input.
        fingerprint: of the estimator whose skeletons it was trained on.
        estimator: how to make that estimator, or None where skeletons were imported or derived.
        run: config, data, seed, versions and figures of the training.
    """

    network: GraphNetwork
    choice: NetworkChoice
    classes: tuple[str, ...]
    clip: ClipFormat
    fingerprint: str
    estimator: Estimator | None = None
    run: Mapping[str, Any] = field(default_factory=dict)


def save_bundle(bundle: Bundle, path: Path) -> None:
    """Write a bundle, at once or not at all."""
    description = {
        "choice": to_plain(bundle.choice),
        "classes": list(bundle.classes),
        "clip": to_plain(bundle.clip),
        "fingerprint": bundle.fingerprint,
        "estimator": to_plain(bundle.estimator) if bundle.estimator else None,
        "run": dict(bundle.run),
    }
    tensors = {name: tensor.contiguous().cpu() for name, tensor in bundle.network.state_dict().items()}
    with whole_file(path) as part:
        # Not save_file, whose files only their owner may read.
        part.write_bytes(to_bytes(tensors, {"format": FORMAT, "description": json.dumps(description)}))


def load_bundle(path: Path) -> Bundle:
    """Read a bundle; nothing that the file brings along is executed.

    Raises:
        BundleError: if the file is missing, damaged or not a bundle.
    """
    if not path.is_file():
        raise BundleError(f"no bundle at {path}; expected a file written by `skdpipe distill`")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BundleError(
            f"{path} is not a readable bundle ({_in_one_line(error)}); train it again"
        ) from error
    if metadata.get("format") != FORMAT:
        raise BundleError(f"{path} holds {metadata.get('format', 'other tensors')}; expected {FORMAT}")
    try:
        said = json.loads(metadata["description"])
        choice = parse_config(NetworkChoice, said["choice"], str(path))
        clip = parse_config(ClipFormat, said["clip"], str(path))
        estimator = parse_config(Estimator, said["estimator"], str(path)) if said["estimator"] else None
        network = build_network(choice, clip, len(said["classes"]))
        network.load_state_dict(tensors)
        return Bundle(
            network.eval(), choice, tuple(said["classes"]), clip, said["fingerprint"], estimator, said["run"]
        )
    except (SkdpipeError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise BundleError(
            f"{path} does not fit this version of skdpipe ({_in_one_line(error)}); train it again"
        ) from error


def _in_one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()):.200}"


def versions() -> dict[str, str]:
    """What the figures of a run depend on besides its config."""
    from importlib.metadata import version

    return {
        "skdpipe": version("skdpipe"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs"
        + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""),
    }
