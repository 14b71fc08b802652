"""Folders of trained networks: runs, cross-validations, comparisons."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any, Final

from pydantic import Field, FiniteFloat, NonNegativeInt, TypeAdapter

from skdpipe.config.yaml_text import read_yaml
from skdpipe.errors import DataError, SkdpipeError
from skdpipe.inference.metadata import read_metadata
from skdpipe.info.bundle import method_title
from skdpipe.info.description import Description, Fact, commands_for, size_of
from skdpipe.info.tensors import check_tensors
from skdpipe.json_shape import LARGEST_JSON, parse_json
from skdpipe.regular_file import is_regular, read_regular
from skdpipe.significance import accuracy_interval
from skdpipe.training_record import METHODS, Confusions, Predicted, TrainingRecord, confusions_of, read_record
from skdpipe.training_summary import summarise_training

COMPARISON: Final = "comparison.json"
_FORESTS: Final = {"forest_high": "forest, high", "forest_low": "forest, low"}
_PART: Final = re.compile(r"[0-9]+-of-[0-9]+")
_SHARED: Final = ("clips", "split", "seed", "recipe", "high quality", "low quality")


@dataclass(frozen=True)
class _Predictions:
    label: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    predicted: tuple[Predicted, ...]


@dataclass(frozen=True)
class _Row:
    scenario: str
    student: str
    top1: Mapping[str, tuple[FiniteFloat, ...]]
    clips: int
    recovered: Mapping[str, FiniteFloat | None] = field(default_factory=dict)


@dataclass(frozen=True)
class _Comparison:
    format: str = ""
    rows: tuple[_Row, ...] = ()
    failed: tuple[str, ...] = ()


def is_run(folder: Path) -> bool:
    """Whether a folder has the config of a run; a damaged config counts beside the bundle of a method."""
    path = folder / "config.yaml"
    if not is_regular(path):
        return False
    try:
        content = read_yaml(path)
    except SkdpipeError:
        return any(is_regular(folder / f"{method}.safetensors") for method in METHODS)
    return isinstance(content, dict) and {"experiment", "data"} <= content.keys()


def describe_run(folder: Path) -> Description:
    """Describe a run: what is trained, with which results, and whether its files are whole."""
    problems = list[str]()
    records = dict(_records_in(folder, problems))
    facts = list[Fact]()
    wanted = _wanted_methods(folder, problems)
    unfinished = sorted(path.name for path in folder.glob("*.state"))
    missing = [method for method in wanted if method not in records]
    for method, record in records.items():
        facts.append(_result(method, method_title(method), record.confusions, record))
    for forest, title in _FORESTS.items():
        if (path := folder / f"{forest}.predictions.json").is_file():
            facts.append(_result(forest, title, _read_confusions(path, problems), None))
    if missing:
        facts.append(Fact("not trained", missing, ", ".join(missing)))
    if unfinished:
        facts.append(Fact("unfinished", unfinished, ", ".join(unfinished)))
    facts += _shared_facts(folder, records)
    if is_cross_validation(folder / "folds"):
        validated = describe_cross_validation(folder / "folds")
        facts += validated.facts
        problems += validated.problems
    facts += [_files(folder), size_of(path for path in folder.rglob("*") if path.is_file())]
    commands = ["skdpipe report {}"] * bool(records)
    commands += ["skdpipe predict VIDEO --bundle {}/student.safetensors"] * ("student" in records)
    facts.append(commands_for(folder, *commands))
    state = "unfinished" if missing or unfinished else "complete"
    title = f"a run, {state}: {len(records)} trained networks"
    return Description(folder, "run", title, tuple(facts), tuple(problems))


def _records_in(folder: Path, problems: list[str]) -> Iterator[tuple[str, TrainingRecord]]:
    """The records of the bundles by method; what is damaged becomes a problem."""
    for method in METHODS:
        path = folder / f"{method}.safetensors"
        if not is_regular(path):
            continue
        try:
            record = read_record(read_metadata(path))
            _, problem = check_tensors(path, "move it away to train it again")
        except SkdpipeError as error:
            problems.append(str(error))
            continue
        problems += [problem] if problem else []
        if record.confusions is None:  # a bundle of an earlier version
            predictions = folder / f"{method}.predictions.json"
            found = _read_confusions(predictions, problems) if predictions.is_file() else None
            record = replace(record, confusions=found)
        yield method, record


def _read_confusions(path: Path, problems: list[str]) -> Confusions | None:
    try:
        found = parse_json(TypeAdapter(_Predictions), read_regular(path, LARGEST_JSON))
        return confusions_of(found.label, found.predicted)
    except (OSError, ValueError) as error:
        problems.append(f"{path} is damaged ({error}); delete it, and `skdpipe distill` tests again")
        return None


def _wanted_methods(folder: Path, problems: list[str]) -> list[str]:
    try:
        content = read_yaml(folder / "config.yaml")
        return [str(method) for method in content["experiment"]["methods"]]
    except SkdpipeError as error:
        problems.append(str(error))
    except (KeyError, TypeError):
        problems.append(f"{folder / 'config.yaml'} is not the config of a run; restore it")
    return []


def _result(name: str, title: str, confusions: Confusions | None, record: TrainingRecord | None) -> Fact:
    top1 = confusions.top1 if confusions is not None else record.top1 if record is not None else None
    clips = confusions.clips if confusions is not None else record.test_clips if record is not None else None
    value: dict[str, Any] = {"title": title, "top1": top1.estimate if top1 is not None else None}
    text = f"{title}: no figures"
    if top1 is not None:
        value |= {"low": top1.low, "high": top1.high, "test_clips": clips}
        text = f"{title}: top-1 {top1.in_words('%')} on {clips:,} test clips"
    if record is not None and record.figures is not None:
        value |= {"parameters": record.figures.parameters, "gflops": record.figures.gflops}
        text += f"; {record.figures.parameters:,} parameters, {record.figures.gflops:.3g} GFLOPs"
    return Fact(name, value, text)


def _shared_facts(folder: Path, records: Mapping[str, TrainingRecord]) -> list[Fact]:
    """What the networks of a run share, as one of them records it."""
    for method, record in records.items():
        summary = summarise_training(read_metadata(folder / f"{method}.safetensors"), record)
        return [Fact(name, summary[name]) for name in _SHARED if name in summary]
    return []


def _files(folder: Path) -> Fact:
    names = sorted(path.name for path in folder.iterdir())
    return Fact("files", names, ", ".join(names))


def is_cross_validation(folder: Path) -> bool:
    """Whether a folder holds the parts of a cross-validation."""
    return bool(_parts_of(folder))


def _parts_of(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    parts = [each for each in folder.iterdir() if _PART.fullmatch(each.name) and is_run(each)]
    return sorted(parts, key=lambda each: [int(number) for number in each.name.split("-of-")])


def describe_cross_validation(folder: Path) -> Description:
    """Describe a cross-validation: the results on all its parts together."""
    problems = list[str]()
    parts = _parts_of(folder)
    records = {part.name: dict(_records_in(part, problems)) for part in parts}
    facts = [Fact("parts", [part.name for part in parts], ", ".join(part.name for part in parts))]
    for method in METHODS:
        tested = [each[method].confusions for each in records.values() if method in each]
        found = [each for each in tested if each is not None]
        if not found:
            continue
        clips = sum(each.clips for each in found)
        top1 = accuracy_interval(sum(sum(each.correct_by_label.values()) for each in found), clips)
        facts.append(
            Fact(
                f"{method} in cross-validation",
                {
                    "top1": top1.estimate,
                    "low": top1.low,
                    "high": top1.high,
                    "clips": clips,
                    "parts": len(found),
                },
                f"{method_title(method)}: top-1 {top1.in_words('%')} on {clips:,} clips, {len(found)} of "
                f"{len(parts)} parts",
            )
        )
    title = f"a cross-validation: {len(parts)} parts"
    return Description(folder, "cross-validation", title, tuple(facts), tuple(problems))


def describe_comparison(folder: Path) -> Description:
    """Describe a comparison by its table.

    Raises:
        DataError: if the table is damaged.
    """
    path = folder / COMPARISON
    try:
        table = parse_json(TypeAdapter(_Comparison), read_regular(path, LARGEST_JSON))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); `skdpipe compare` writes it again") from error
    seeds = max((len(each) for row in table.rows for each in row.top1.values()), default=0)
    facts = [Fact("rows", list(map(_plain, table.rows)), tuple(map(_in_words, table.rows)))]
    facts.append(size_of(each for each in folder.rglob("*") if each.is_file()))
    facts.append(Fact("table", str(folder / "comparison.md")))
    title = f"a comparison: {len(table.rows)} rows of top-1 in percent, {seeds} seeds"
    return Description(folder, "comparison", title, tuple(facts), tuple(table.failed))


def _plain(row: _Row) -> dict[str, Any]:
    return {**asdict(row), "top1": {name: list(each) for name, each in row.top1.items()}}


def _in_words(row: _Row) -> str:
    cells = ", ".join(f"{name} {_mean(each)}" for name, each in row.top1.items())
    return f"{row.scenario}, {row.student}: {cells}"


def _mean(top1: Sequence[float]) -> str:
    if len(top1) < 2:
        return f"{top1[0]:.1f}" if top1 else "none"
    return f"{fmean(top1):.1f} ± {stdev(top1):.1f}"
