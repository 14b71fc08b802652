"""From the settings of a comparison to the runs it takes."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Final

from skdpipe.config import (
    Comparison,
    Degradation,
    Distillation,
    Experiment,
    load_config,
    load_section,
    parse_config,
    to_plain,
)
from skdpipe.distill import DISTILLED
from skdpipe.errors import ConfigError

_OF_TABLE: Final = "comparison."
_OWN: Final = {"name": "name", "seed": "seeds", "methods": "methods"}  # what a comparison sets, and by what


@dataclass(frozen=True)
class PlannedRun:
    """One training or more of one experiment, in a folder of its own.

    Attributes:
        scenario, student: the row; empty for a teacher that rows share.
        variant: a further column; empty for the comparison's methods.
        experiment: what is trained; its name is the folder's.
        parent: the folder that the run's lies in, relative to the comparison's.
        teacher: the run whose teacher it uses, if that is another's.
    """

    scenario: str
    student: str
    variant: str
    experiment: Experiment
    parent: Path
    teacher: PlannedRun | None = None

    @property
    def folder(self) -> Path:
        """The run's folder, relative to the comparison's."""
        return self.parent / self.experiment.name

    @property
    def title(self) -> str:
        """What to call it."""
        row = [self.scenario, self.student, self.variant] if self.scenario else ["teacher"]
        return ", ".join([*filter(None, row), f"seed {self.experiment.seed}"])


@dataclass(frozen=True)
class Plan:
    """All runs of a comparison: first the teachers, which the others need."""

    teachers: tuple[PlannedRun, ...]
    rows: tuple[PlannedRun, ...]


def load_comparison(path: Path, overrides: Sequence[str] = ()) -> tuple[Comparison, Plan]:
    """Read a comparison and lay out its runs; every setting of every run is checked.

    Args:
        path: YAML with the sections experiment and comparison.
        overrides: ``key.path=value`` of the experiment, or ``comparison.key=value``.

    Raises:
        ConfigError: if a setting does not exist or fit, in whatever run, or two names give one folder.
    """
    of_table = [each for each in overrides if each.startswith(_OF_TABLE)]
    of_experiment = [each for each in overrides if not each.startswith(_OF_TABLE)]
    for override in of_experiment:
        _require_shared([override.partition("=")[0]], f"setting '{override}'")
    stripped = [each.removeprefix(_OF_TABLE) for each in of_table]
    comparison = load_config(Comparison, path, stripped, section="comparison")
    settings = load_section(path, "experiment", of_experiment)
    return comparison, plan(comparison, settings, str(path))


def plan(comparison: Comparison, settings: Mapping[str, Any], where: str) -> Plan:
    """The runs of a comparison.

    A teacher is shared by all runs that would train the same one: same seed, network, recipe and clips.

    Args:
        comparison: rows and columns.
        settings: of the experiment, as in YAML.
        where: what an error names.
    """
    for what, names in (
        ("scenarios", comparison.scenarios),
        ("students", comparison.students),
        ("variants", comparison.variants),
    ):
        _require_different_folders(names, f"{where}: comparison.{what}")
        for name, changes in names.items():
            _require_shared(changes, f"{where}: comparison.{what}: {name}")
    teachers: dict[str, PlannedRun] = {}
    rows = []
    columns = {"": {}, **comparison.variants}
    for seed, scenario, student, (variant, changes) in product(  # the whole table, then once more
        comparison.seeds, comparison.scenarios, comparison.students, columns.items()
    ):
        changed = _merged(settings, comparison.scenarios[scenario], comparison.students[student], changes)
        methods = comparison.methods if not variant else ("student",)
        trained = [method for method in methods if method != "teacher"]
        name = f"{_slug(variant)}-seed{seed}" if variant else f"seed{seed}"
        row = ", ".join(filter(None, (scenario, student, variant)))
        changed |= {"name": name, "seed": seed, "methods": trained or ["baseline"]}
        experiment = parse_config(Experiment, changed, f"{where}: {row}")
        teacher = None
        if "teacher" in comparison.methods or DISTILLED & set(trained):
            teacher = _teacher_of(experiment)
            teacher = teachers.setdefault(teacher.experiment.name, teacher)
        if trained:
            parent = Path(_slug(scenario)) / _slug(student)
            rows.append(PlannedRun(scenario, student, variant, experiment, parent, teacher))
    return Plan(tuple(teachers.values()), tuple(rows))


def _teacher_of(experiment: Experiment) -> PlannedRun:
    """The run that trains the experiment's teacher, and nothing that the teacher does not depend on."""
    alone = replace(
        experiment,
        name="teacher",
        methods=("teacher",),
        derive_low=Degradation() if experiment.derive_low is not None else None,
        unlabelled=False,
        labels=replace(experiment.labels, low=1.0),
        student=experiment.teacher,
        distillation=Distillation(),
        smoothing_window=1,
    )
    changed = to_plain(alone, only_changed=True)  # a setting that is added later makes no other teacher
    digest = hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:8]
    name = f"{experiment.teacher.name}-{digest}-seed{experiment.seed}"
    return PlannedRun("", "", "", replace(alone, name=name), Path("teachers"))


def _merged(*changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings laid over one another; the later wins."""
    result: dict[str, Any] = {}
    for change in changes:
        for key, value in change.items():
            if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
                result[key] = _merged(result[key], value)
            else:
                result[key] = copy.deepcopy(value)
    return result


def _slug(name: str) -> str:
    """A folder's name that can be read."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.") or "unnamed"


def _require_shared(keys: Iterable[str], where: str) -> None:
    for key in keys:
        if key in _OWN:
            raise ConfigError(
                f"{where}: each run has a {key} of its own; change comparison.{_OWN[key]} instead"
            )


def _require_different_folders(names: Mapping[str, object], where: str) -> None:
    if not names and not where.endswith("variants"):
        raise ConfigError(f"{where} is empty; expected one name with its changes (or none: {{}}) at least")
    folders: dict[str, str] = {}
    for name in names:
        other = folders.setdefault(_slug(name), name)
        if other != name:
            raise ConfigError(f"{where}: '{other}' and '{name}' give the same folder; choose other names")
