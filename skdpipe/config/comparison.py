"""Settings of a comparison: one experiment, repeated with changed settings."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any

from pydantic import AfterValidator, Field, NonNegativeInt
from pydantic.dataclasses import dataclass

from skdpipe.config.experiment import MethodName
from skdpipe.config.values import STRICT, FolderName

Changes = dict[str, Any]


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("a seed should be given once")
    return seeds


@dataclass(frozen=True, config=STRICT)
class Comparison:
    """The rows and columns of a comparison; changes are settings of the experiment, as in its YAML.

    Attributes:
        name: the folder under ``models/`` for all runs and the table.
        seeds: each row is trained once for each seed.
        scenarios: changes by name, usually of the data, such as the derivation of low quality.
        students: changes by name, usually of the student's network.
        methods: columns, trained for every scenario and student.
        variants: further columns: the student with other changes; baselines are not trained again.
    """

    name: FolderName = "comparison"
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1), AfterValidator(_distinct)] = (0, 1, 2)
    scenarios: dict[str, Changes] = field(default_factory=lambda: {"all": {}})
    students: dict[str, Changes] = field(default_factory=lambda: {"student": {}})
    methods: Annotated[
        tuple[MethodName, ...],
        Field(min_length=1),
    ] = ("teacher", "baseline", "smoothed", "student", "student_smoothed")
    variants: dict[str, Changes] = field(default_factory=dict)
