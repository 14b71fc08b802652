"""Initial weights taken from another network."""

from __future__ import annotations

from skdpipe.errors import DataError
from skdpipe.networks import GraphNetwork


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


def initialise_except_classifier(network: GraphNetwork, source: GraphNetwork) -> None:
    """Copy the weights of another network except those of its classifier."""
    own = network.state_dict()
    classifier = {name: value for name, value in own.items() if name.startswith("classify.")}
    network.load_state_dict({**source.state_dict(), **classifier})
