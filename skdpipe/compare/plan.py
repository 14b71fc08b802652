"""The runs of a comparison, derived from its settings."""

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
from skdpipe.distill.methods import BASELINE, STUDENT, TEACHER, method_named
from skdpipe.errors import ConfigError

_PREFIX: Final = "comparison."
# Settings of the experiment that differ between runs, and the settings of the comparison that determine them.
_PER_RUN: Final = {"name": "name", "seed": "seeds", "methods": "methods"}


@dataclass(frozen=True)
class PlannedRun:
    """One or more methods of one experiment, trained in one folder.

    Attributes:
        scenario, student: the row; empty for a teacher that rows share.
        variant: a column beside those of the methods; empty for the comparison's methods.
        experiment: the settings of the run; its name is that of the folder.
        parent: the folder that contains the run's folder, relative to the comparison's.
        teacher: the run that trains the teacher.
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
    def needs_teacher(self) -> bool:
        """Whether any of its methods is distilled."""
        return any(method_named(name).distilled for name in self.experiment.methods)

    @property
    def title(self) -> str:
        """The run in messages."""
        row = [self.scenario, self.student, self.variant] if self.scenario else ["teacher"]
        return ", ".join([*filter(None, row), f"seed {self.experiment.seed}"])


@dataclass(frozen=True)
class Plan:
    """All runs of a comparison; the teachers are trained first."""

    teachers: tuple[PlannedRun, ...]
    rows: tuple[PlannedRun, ...]


def load_comparison(path: Path, overrides: Sequence[str] = ()) -> tuple[Comparison, Plan]:
    """Read a comparison and plan its runs; all settings of all runs are checked.

    Args:
        path: YAML with the sections experiment and comparison.
        overrides: ``key.path=value`` of the experiment, or ``comparison.key=value``.

    Raises:
        ConfigError: if a setting of any run does not exist or is not valid, or two names give the same
            folder.
    """
    of_comparison = [each for each in overrides if each.startswith(_PREFIX)]
    of_experiment = [each for each in overrides if not each.startswith(_PREFIX)]
    for override in of_experiment:
        _require_shared([override.partition("=")[0]], f"setting '{override}'")
    stripped = [each.removeprefix(_PREFIX) for each in of_comparison]
    comparison = load_config(Comparison, path, stripped, section="comparison")
    settings = load_section(path, "experiment", of_experiment)
    return comparison, plan(comparison, settings, str(path))


def plan(comparison: Comparison, settings: Mapping[str, Any], where: str) -> Plan:
    """The runs of a comparison.

    Runs with the same seed, teacher network, recipe and clips share a teacher.

    Args:
        comparison: rows and columns.
        settings: of the experiment, as in YAML.
        where: named in an error.
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
    for seed, scenario, student, (variant, changes) in product(  # the whole table for one seed, then the next
        comparison.seeds, comparison.scenarios, comparison.students, columns.items()
    ):
        changed = _merged(settings, comparison.scenarios[scenario], comparison.students[student], changes)
        methods = comparison.methods if not variant else (STUDENT.name,)
        trained = [method for method in methods if method != TEACHER.name]
        name = f"{_slug(variant)}-seed{seed}" if variant else f"seed{seed}"
        row = ", ".join(filter(None, (scenario, student, variant)))
        changed |= {"name": name, "seed": seed, "methods": trained or [BASELINE.name]}
        experiment = parse_config(Experiment, changed, f"{where}: {row}")
        if variant:  # its forests are those of the methods' run
            experiment = replace(experiment, classical=False)
        experiment = replace(experiment, calibration=0.0)  # the table has no probabilities
        teacher = None
        if TEACHER.name in comparison.methods or any(method_named(name).distilled for name in trained):
            teacher = _teacher_of(experiment)
            teacher = teachers.setdefault(teacher.experiment.name, teacher)
        if trained:
            parent = Path(_slug(scenario)) / _slug(student)
            rows.append(PlannedRun(scenario, student, variant, experiment, parent, teacher))
    return Plan(tuple(teachers.values()), tuple(rows))


def _teacher_of(experiment: Experiment) -> PlannedRun:
    """The run that trains the experiment's teacher, with only the settings that the teacher depends on."""
    alone = replace(
        experiment,
        name="teacher",
        methods=(TEACHER.name,),
        derive_low=Degradation() if experiment.derive_low is not None else None,
        unlabelled=False,
        labels=replace(experiment.labels, low=1.0),
        classical=True,  # the default, so that the digest does not depend on it
        calibration=Experiment.calibration,  # as well
        student=experiment.teacher,
        distillation=Distillation(),
        smoothing_window=1,
    )
    changed = to_plain(alone, only_changed=True)  # new settings of later versions keep the digest
    digest = hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:8]
    name = f"{experiment.teacher.name}-{digest}-seed{experiment.seed}"
    return PlannedRun(
        "", "", "", replace(alone, name=name, classical=False, calibration=0.0), Path("teachers")
    )


def _merged(*changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings merged; later ones override earlier ones."""
    result: dict[str, Any] = {}
    for change in changes:
        for key, value in change.items():
            if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
                result[key] = _merged(result[key], value)
            else:
                result[key] = copy.deepcopy(value)
    return result


def _slug(name: str) -> str:
    """A readable folder name."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.") or "unnamed"


def _require_shared(keys: Iterable[str], where: str) -> None:
    for key in keys:
        if key in _PER_RUN:
            raise ConfigError(
                f"{where}: the {key} differs between runs; change comparison.{_PER_RUN[key]} instead"
            )


def _require_different_folders(names: Mapping[str, object], where: str) -> None:
    if not names and not where.endswith("variants"):
        raise ConfigError(f"{where} is empty; expected at least one name with its changes (no changes: {{}})")
    folders: dict[str, str] = {}
    for name in names:
        other = folders.setdefault(_slug(name), name)
        if other != name:
            raise ConfigError(f"{where}: '{other}' and '{name}' give the same folder; choose other names")
