"""Settings of a comparison: one experiment with several variations of its settings."""

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
        raise ValueError("a seed should appear only once")
    return seeds


@dataclass(frozen=True, config=STRICT)
class Comparison:
    """Rows and columns of a comparison table.

    Each variation is a mapping of experiment settings, written as in the experiment's YAML.

    Attributes:
        name: name of the folder under ``models/`` for all runs and the table.
        seeds: random seeds; every row is trained once per seed.
        scenarios: variations by name, mostly of the data: how low quality is obtained.
        students: variations by name, mostly of the student's network.
        methods: columns of the table; each is trained for every scenario and student.
        variants: further columns: variations of the student by name; the baselines are not trained again.
    """

    name: FolderName = "comparison"
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1), AfterValidator(_distinct)] = (0, 1, 2)
    scenarios: dict[str, Changes] = field(default_factory=lambda: {"all": {}})
    students: dict[str, Changes] = field(default_factory=lambda: {"student": {}})
    methods: Annotated[tuple[MethodName, ...], Field(min_length=1)] = (
        "teacher",
        "baseline",
        "smoothed",
        "student",
        "student_smoothed",
    )
    variants: dict[str, Changes] = field(default_factory=dict)
