"""States of unfinished trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from skdpipe.info.description import Description, Fact, listed, size_of
from skdpipe.info.tensors import check_tensors
from skdpipe.json_shape import parse_json
from skdpipe.tensor_file import read_header
from skdpipe.training_record import Epoch

FORMATS: Final = {
    "skdpipe-training": "a network of a run",
    "skdpipe-pose-training": "a pose network",
}
"""Formats of states without their version, and what is trained."""


def describe_training_state(path: Path, what: str) -> Description:
    """Describe the state of a training.

    Raises:
        TensorFileError: if it is damaged.
    """
    header = read_header(path)
    intact, problem = check_tensors(path, "delete it to train from the start")
    facts = [Fact("tensors", len(header.tensors))]
    problems = [problem] if problem else []
    if (text := header.metadata.get("curves")) is not None:
        try:
            curves = parse_json(TypeAdapter(list[Epoch]), text)
        except ValueError as error:
            problems.append(f"{path}: its curves cannot be read ({error}); delete it to train from the start")
        else:
            last = dict(curves[-1].losses) if curves else {}
            seconds = sum(each.seconds for each in curves)
            facts += [
                Fact("epochs", len(curves)),
                Fact("losses of the last epoch", last, listed(last)),
                Fact("seconds", seconds, f"{seconds:,.0f}"),
            ]
    facts += [size_of([path]), intact]
    command = "skdpipe train-pose" if "pose" in what else "skdpipe distill"
    title = f"the state of an unfinished training of {what}; the same `{command}` continues it"
    return Description(path, "training state", title, tuple(facts), tuple(problems))
