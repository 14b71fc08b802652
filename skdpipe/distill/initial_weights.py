"""The weights that a network begins with, where it does not begin with random ones."""

from __future__ import annotations

from skdpipe.errors import DataError
from skdpipe.networks import GraphNetwork


def initialise_from_teacher(student: GraphNetwork, teacher: GraphNetwork) -> None:
    """Give a student the teacher's weights; a smaller relative those of the blocks that it has.

    Raises:
        DataError: if the student has weights that the teacher has not.
    """
    own, known = student.state_dict(), teacher.state_dict()
    if odd := [name for name, value in own.items() if name not in known or known[name].shape != value.shape]:
        raise DataError(
            f"a warm start takes a student all of whose weights the teacher has; it has no such {odd[0]}: "
            "take the same network and width for both, or a smaller one of the ST-GCN family, or begin "
            "anew with --set distillation.warm_start=false"
        )
    student.load_state_dict({name: known[name] for name in own})


def initialise_except_classifier(network: GraphNetwork, known: GraphNetwork) -> None:
    """Give a network the weights of another, but for the classifier's."""
    own = network.state_dict()
    kept = {name: value for name, value in own.items() if name.startswith("classify.")}
    network.load_state_dict({**known.state_dict(), **kept})
