"""Initial weights taken from another network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from skdpipe.config import ClipFormat, Experiment, NetworkChoice
from skdpipe.embedded import embedded_path
from skdpipe.errors import BundleError, ConfigError, DataError, in_one_line
from skdpipe.networks import GraphNetwork

PRETRAINED_NETWORK: Final = NetworkChoice("dd_net", width=16, dropout=0.1)
"""The network that `skdpipe.pretraining` trains; the weights do not depend on the dropout."""


def initialise_from_teacher(student: GraphNetwork, teacher: GraphNetwork) -> None:
    """Copy the teacher's weights into the student, which may have fewer blocks.

    Raises:
        DataError: if the student has a weight that the teacher does not have.
    """
    own, weights = student.state_dict(), teacher.state_dict()
    shapes = {name: value.shape for name, value in weights.items()}
    if missing := [name for name, value in own.items() if shapes.get(name) != value.shape]:
        raise DataError(
            f"the teacher has no weight {missing[0]} of the student's shape; a warm start needs the same "
            "network and width for both, or a smaller student of the ST-GCN family: change them, or start "
            "from random weights with --set distillation.warm_start=false"
        )
    student.load_state_dict({name: weights[name] for name in own})


def initialise_except_classifier(network: GraphNetwork, weights: Mapping[str, Tensor]) -> None:
    """Copy the weights of another network except those of its classifier.

    Raises:
        DataError: if they are not those of the same network.
    """
    classifier = {name: value for name, value in network.state_dict().items() if is_classifier(name)}
    try:
        network.load_state_dict({**weights, **classifier})
    except RuntimeError as error:
        raise DataError(f"initial weights of another network ({in_one_line(error)})") from error


def is_classifier(name: str) -> bool:
    """Whether a weight is one of the classifier's."""
    return name.startswith("classify.")


def pretrained_path(choice: NetworkChoice, clip: ClipFormat) -> Path | None:
    """The embedded weights for a network and its input, None if there are none."""
    if (choice.name, choice.width) != (PRETRAINED_NETWORK.name, PRETRAINED_NETWORK.width):
        return None
    if (clip.stream, clip.scale) != ("joint", "body"):
        return None
    path = embedded_path(f"pretrained-{choice.name}-{choice.width}-{clip.layout}")
    return path if path.is_file() else None


def is_pretrained(experiment: Experiment, choice: NetworkChoice) -> bool:
    """Whether a network of the experiment starts with the embedded weights.

    Raises:
        ConfigError: if it should, and there are none.
    """
    found = pretrained_path(choice, experiment.clip)
    if experiment.init == "pretrained" and found is None:
        raise ConfigError(
            f"no pretrained weights for {choice.name} of width {choice.width} with {experiment.clip.stream} "
            f"input of {experiment.clip.layout}, scaled by the {experiment.clip.scale}; expected "
            f"{PRETRAINED_NETWORK.name} of width {PRETRAINED_NETWORK.width} with joint input, scaled by the "
            "body, in one of the layouts in models/: set init=random"
        )
    return experiment.init != "random" and found is not None


def pretrained_weights(choice: NetworkChoice, clip: ClipFormat) -> dict[str, Tensor]:
    """The embedded weights for a network and its input, which exist (`pretrained_path`).

    Raises:
        BundleError: if the file is damaged.
    """
    path = pretrained_path(choice, clip)
    assert path is not None
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise BundleError(f"{path} is not readable ({in_one_line(error)}); install skdpipe again") from error
