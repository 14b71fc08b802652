"""Settings of a comparison: one experiment, many times, each time with a few settings changed."""

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
        raise ValueError("a seed should be named once")
    return seeds


@dataclass(frozen=True, config=STRICT)
class Comparison:
    """Which rows and columns a table has; changes are settings of the experiment, as in its YAML.

    Attributes:
        name: the folder under ``models/`` for all runs and the table.
        seeds: each row is trained so many times.
        scenarios: changes by name, mostly of the data: how low quality comes about.
        students: changes by name, mostly of the student's network.
        methods: columns, each trained for every scenario and student.
        variants: more columns: the student with other changes; the baselines are not trained again.
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
