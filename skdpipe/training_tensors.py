"""The file of an unfinished training: the weights of its modules and the moments of its optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from skdpipe.tensor_file import Header, read_header, read_tensors

_WEIGHT: Final = "module."
_MOMENT: Final = "optimiser."
_NOT_NEGATIVE: Final = ("running_var", "num_batches_tracked", "exp_avg_sq", "step")

Arrays = Mapping[str, NDArray[Any]]


def read_training(path: Path, expected: str) -> tuple[Header, dict[str, NDArray[Any]]]:
    """The header and the tensors of a file; those of earlier versions do not state the expected format.

    Raises:
        NewerFormatError: if it is in a later version of the format.
        TensorFileError: if it is damaged, or of another format.
        OSError: if it cannot be read.
    """
    header = read_header(path)
    if "format" in header.metadata:
        header.require_format(expected)
    return header, read_tensors(path)


def training_tensors(modules: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, NDArray[Any]]:
    """Weights as ``module.NAME`` and moments as ``optimiser.INDEX.NAME``, from which training continues."""
    weights = {f"{_WEIGHT}{name}": value for name, value in modules.state_dict().items()}
    moments = {
        f"{_MOMENT}{index}.{name}": value
        for index, values in optimiser.state_dict()["state"].items()
        for name, value in values.items()
        if value is not None
    }
    return {name: value.detach().cpu().contiguous().numpy() for name, value in (weights | moments).items()}


def restore_training(modules: nn.Module, optimiser: torch.optim.Optimizer, tensors: Arrays) -> None:
    """Set the weights and moments that `training_tensors` returned.

    Raises:
        ValueError: if a tensor is missing, unknown, of another shape or type, not finite, or negative where
            that is not possible. Nothing is set then.
    """
    weights = {f"{_WEIGHT}{name}": value for name, value in modules.state_dict().items()}
    moments = _moments(optimiser)
    # A weight without a gradient has no moments.
    without = {name for each in moments.values() for name in each if not each.keys() & tensors.keys()}
    expected = weights | {name: value for each in moments.values() for name, value in each.items()}
    if missing := expected.keys() - without - tensors.keys():
        raise ValueError(f"no tensor {min(missing)}")
    if unknown := tensors.keys() - expected.keys():
        raise ValueError(f"an unknown tensor {min(unknown):.80}")
    for name, value in tensors.items():
        _require_valid(name, value, expected[name])
    loaded = {name: torch.from_numpy(value) for name, value in tensors.items()}
    modules.load_state_dict({name.removeprefix(_WEIGHT): loaded[name] for name in weights})
    state = optimiser.state_dict()
    state["state"] = {
        index: {name.rpartition(".")[2]: loaded[name] for name in each}
        for index, each in moments.items()
        if each.keys() <= loaded.keys() and each
    }
    optimiser.load_state_dict(state)


def _moments(optimiser: torch.optim.Optimizer) -> dict[int, dict[str, Tensor]]:
    """For each weight by its index, the names of its moments, and tensors of their shape and type."""
    if isinstance(optimiser, torch.optim.SGD):
        names = ["momentum_buffer"] if any(group["momentum"] for group in optimiser.param_groups) else []
    else:
        assert isinstance(optimiser, torch.optim.AdamW)
        names = ["step", "exp_avg", "exp_avg_sq"]
    parameters = [each for group in optimiser.param_groups for each in group["params"]]
    return {
        index: {f"{_MOMENT}{index}.{name}": torch.zeros(()) if name == "step" else each for name in names}
        for index, each in enumerate(parameters)
    }


def _require_valid(name: str, found: NDArray[Any], expected: Tensor) -> None:
    wanted = torch.empty(0, dtype=expected.dtype).numpy().dtype
    if found.shape != tuple(expected.shape) or found.dtype != wanted:
        raise ValueError(
            f"{name} of {found.dtype} {list(found.shape)} instead of {wanted} {list(expected.shape)}"
        )
    if not np.isfinite(found).all():
        raise ValueError(f"{name} is not finite")
    if name.rpartition(".")[2] in _NOT_NEGATIVE and (found < 0).any():
        raise ValueError(f"{name} is negative")
