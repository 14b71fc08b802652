"""The state of an unfinished training: one file with everything that the next epoch depends on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import torch
from pydantic import Field, FiniteFloat, NonNegativeInt, TypeAdapter
from torch import nn
from torch.amp.grad_scaler import GradScaler

from skdpipe.errors import DataError
from skdpipe.json_shape import parse_json
from skdpipe.tensor_file import Header, NewerFormatError, write_tensors
from skdpipe.training_tensors import Arrays, read_training, restore_training, training_tensors

_FORMAT: Final = "skdpipe-training-1"

Percent = Annotated[FiniteFloat, Field(ge=0, le=100)]


@dataclass
class Curve:
    """The course of one epoch; curves of earlier versions have no learning rate, clips and accuracies.

    Attributes:
        losses: mean of each loss over the steps.
        cosines: mean cosine between each distillation gradient and the task gradient.
        revised: share of the steps in which each distillation gradient was revised.
        seconds: duration of the steps; not compared.
        learning_rate: of the last step.
        clips: number of clips in all steps.
        training_top1: top-1 accuracy in percent on the labelled clips of the steps: augmented, with dropout,
            by the weights before each step; a clip in which nobody was detected is not correct. It is lower
            than the accuracy of the trained network on the same clips.
        test_top1: top-1 accuracy in percent on the test clips after the epoch, if it was measured. Nothing
            is chosen by it.
    """

    losses: dict[str, FiniteFloat] = field(default_factory=dict)
    cosines: dict[str, FiniteFloat] = field(default_factory=dict)
    revised: dict[str, FiniteFloat] = field(default_factory=dict)
    seconds: FiniteFloat = field(default=0.0, compare=False)
    learning_rate: FiniteFloat | None = None
    clips: NonNegativeInt | None = None
    training_top1: Percent | None = None
    test_top1: Percent | None = None

    @property
    def clips_per_second(self) -> float | None:
        """Number of clips divided by the duration; None if one of them is unknown."""
        return self.clips / self.seconds if self.clips and self.seconds else None


def save_training_state(
    path: Path,
    modules: nn.Module,
    optimiser: torch.optim.Optimizer,
    scaler: GradScaler,
    curves: Sequence[Curve],
) -> None:
    """Write weights, optimiser state, loss scale and the curves so far in one safetensors file."""
    metadata = {"scaler": scaler.state_dict(), "curves": [asdict(curve) for curve in curves]}
    header = {
        "format": _FORMAT,
        **{name: json.dumps(each) for name, each in metadata.items()},
    }
    write_tensors(path, training_tensors(modules, optimiser), header)


def load_training_state(
    path: Path, modules: nn.Module, optimiser: torch.optim.Optimizer, scaler: GradScaler
) -> list[Curve]:
    """Restore what :func:`save_training_state` wrote.

    Returns:
        The curves of the epochs already trained; none if the file does not exist.

    Raises:
        DataError: if the file is damaged, of another training, or in a newer format.
        OSError: if it cannot be read.
    """
    if not path.exists():
        return []
    try:
        header, tensors = read_training(path, _FORMAT)
        curves, scale = _read_curves(header), _read_scale(header, scaler)
        restore_training(modules, optimiser, _with_current_names(tensors))
    except NewerFormatError as error:
        raise DataError(f"{path} has {error}; update skdpipe, or choose another name") from error
    except ValueError as error:  # TensorFileError is one
        raise DataError(
            f"{path} is damaged or of another training ({error}); delete it to train from the start"
        ) from error
    if scale:
        scaler.load_state_dict(scale)
    return curves


def _read_curves(header: Header) -> list[Curve]:
    return parse_json(TypeAdapter(list[Curve]), header.metadata.get("curves", ""))


def _read_scale(header: Header, scaler: GradScaler) -> dict[str, Any]:
    """The state of the scaler; empty if the training had none, or has none now."""
    scale = parse_json(TypeAdapter(dict[str, int | FiniteFloat]), header.metadata.get("scaler", ""))
    if not (scale and scaler.is_enabled()):
        return {}
    if scale.keys() != scaler.state_dict().keys() or not scale["scale"] > 0:
        raise ValueError("another loss scale")
    return scale


def _with_current_names(tensors: Arrays) -> Arrays:
    """The tensors of an earlier version, which named SGD's momentum alone."""
    former = "momentum."
    return {
        f"optimiser.{name.removeprefix(former)}.momentum_buffer" if name.startswith(former) else name: value
        for name, value in tensors.items()
    }
