"""The state of an unfinished training: one file with everything that the next epoch depends on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from skdpipe.atomic_file import write_bytes_atomically
from skdpipe.errors import DataError


@dataclass
class Curve:
    """The course of one epoch.

    Attributes:
        losses: mean of each loss over the steps.
        cosines: mean cosine between each distillation gradient and the task gradient.
        revised: share of the steps in which each distillation gradient was revised.
        seconds: duration; not compared.
    """

    losses: dict[str, float] = field(default_factory=dict)
    cosines: dict[str, float] = field(default_factory=dict)
    revised: dict[str, float] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)


def save_training_state(
    path: Path,
    modules: nn.Module,
    optimiser: torch.optim.Optimizer,
    scaler: GradScaler,
    curves: Sequence[Curve],
) -> None:
    """Write weights, optimiser state, loss scale and the curves so far in one safetensors file."""
    tensors = {f"module.{name}": value.contiguous() for name, value in modules.state_dict().items()}
    moments = {
        f"optimiser.{index}.{name}": value.contiguous()
        for index, values in optimiser.state_dict()["state"].items()
        for name, value in values.items()
        if value is not None
    }
    metadata = {"scaler": scaler.state_dict(), "curves": [asdict(curve) for curve in curves]}
    header = {name: json.dumps(value) for name, value in metadata.items()}
    write_bytes_atomically(path, save({**tensors, **moments}, header))


def load_training_state(
    path: Path, modules: nn.Module, optimiser: torch.optim.Optimizer, scaler: GradScaler
) -> list[Curve]:
    """Restore what :func:`save_training_state` wrote.

    Returns:
        The curves of the epochs already trained; none if the file does not exist.

    Raises:
        DataError: if the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        with safe_open(path, framework="pt") as file:
            metadata = {name: json.loads(text) for name, text in file.metadata().items()}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} is damaged ({error}); delete it to train from the start") from error
    modules.load_state_dict(_with_prefix("module.", tensors))
    state = optimiser.state_dict()
    state["state"] = _optimiser_state(tensors)
    optimiser.load_state_dict(state)
    if metadata["scaler"]:
        scaler.load_state_dict(metadata["scaler"])
    return [Curve(**curve) for curve in metadata["curves"]]


def _optimiser_state(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The optimiser's tensors by weight index and name; earlier versions stored only SGD's momentum."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in _with_prefix("optimiser.", tensors).items():
        index, name = key.split(".")
        state.setdefault(int(index), {})[name] = value
    for index, value in _with_prefix("momentum.", tensors).items():
        state[int(index)] = {"momentum_buffer": value}
    return state


def _with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with a prefix, by the rest of the name."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
