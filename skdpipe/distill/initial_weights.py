"""Initial weights taken from another network."""

from __future__ import annotations

from torch import Size

from skdpipe.errors import DataError
from skdpipe.networks import GraphNetwork


def initialise_from_teacher(student: GraphNetwork, teacher: GraphNetwork, *, same_input: bool = True) -> None:
    """Copy the teacher's weights into the student, which may have fewer blocks.

    Args:
        student: gets the weights.
        teacher: has them.
        same_input: whether the clips of both have the same coordinates. If not, the weights of the first
            layers, whose shapes differ, are not copied.

    Raises:
        DataError: if the student has a weight that the teacher does not have.
    """
    own, weights = student.state_dict(), teacher.state_dict()
    shapes = {name: value.shape for name, value in weights.items()}
    other = [name for name, value in own.items() if shapes.get(name) != value.shape]
    of_input = {
        name for name in other if not same_input and _takes_input(name, own[name].shape, shapes.get(name))
    }
    if missing := [name for name in other if name not in of_input]:
        raise DataError(
            f"the teacher has no weight {missing[0]} of the student's shape; a warm start needs the same "
            "network and width for both, or a smaller student of the ST-GCN family: change them, or start "
            "from random weights with --set distillation.warm_start=false"
        )
    student.load_state_dict({name: own[name] if name in of_input else weights[name] for name in own})


def _takes_input(name: str, shape: Size, of_teacher: Size | None) -> bool:
    """Whether a weight differs from the teacher's in the channels of the input alone."""
    if of_teacher is None or len(shape) != len(of_teacher):
        return False
    is_norm, same = name.startswith("normalise."), [a == b for a, b in zip(shape, of_teacher, strict=True)]
    return is_norm or (len(same) > 1 and all(same[:1] + same[2:]))


def initialise_except_classifier(network: GraphNetwork, source: GraphNetwork) -> None:
    """Copy the weights of another network except those of its classifier."""
    own = network.state_dict()
    classifier = {name: value for name, value in own.items() if name.startswith("classify.")}
    network.load_state_dict({**source.state_dict(), **classifier})
