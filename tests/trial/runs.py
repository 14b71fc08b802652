"""The kind of run folders: one file of a run is mutated, and the run is continued, reported, or compared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from trial.children import Finished, run_valid
from trial.judging import (
    contents,
    judge_json,
    judge_leftovers,
    judge_networks,
    judge_page,
    judge_unchanged,
)
from trial.kind import Case, Kind, Mutate, Problem, copy_files
from trial.tiny_run import prepare_run, prepare_unfinished_run

_CONTINUE: Final = ["distill", "-c", "config.yaml", "--folds", "0", "--device", "cpu"]
_CONTINUE_UNFINISHED: Final = [*_CONTINUE, "--models", "unfinished"]
_COMPARE: Final = ["compare", "config.yaml"]
_REPORT: Final = ["report", "models/tiny", "-c", "config.yaml"]
_EVALUATE: Final = ["evaluate", "models/tiny/student.safetensors", "models/tiny/baseline.safetensors"]


def _prepare(material: Path) -> None:
    prepare_run(material)
    prepare_unfinished_run(material)
    run_valid(_COMPARE, material)


def _lay_out(material: Path, folder: Path, random: Random, mutate: Mutate) -> Case:
    copy_files(material, folder)
    command = random.choice(
        [_CONTINUE, _CONTINUE_UNFINISHED, _CONTINUE_UNFINISHED, _COMPARE, _COMPARE, _REPORT, _EVALUATE]
    )
    place = {id(_CONTINUE_UNFINISHED): "unfinished/tiny", id(_COMPARE): "models/table"}
    run = folder / place.get(id(command), "models/tiny")
    files = [path for path in sorted(run.rglob("*")) if path.is_file()]
    states = [path for path in files if path.suffix == ".state"]
    path = random.choice(states if states and random.random() < 0.6 else files)
    mutation = mutate(path, random, random.choice(files))
    # Tables are written again with every run; a training that is finished now adds to the results.
    before = {
        each: content
        for each, content in contents(run).items()
        if each.suffix == ".safetensors" or each.name.endswith(".predictions.json")
    }

    def judge(done: list[Finished]) -> Iterator[Problem]:
        yield from judge_unchanged(before, path)
        yield from judge_leftovers(folder)
        yield from judge_networks(run, path)
        if done[0].code or done[0].signal:
            return
        if found := re.search(r"(?<![\w.])[-+]?(nan|inf)(?![\w.])", done[0].out):
            yield "absurd", f"{found[0]} printed"
        for results in run.rglob("results.json"):
            yield from judge_json(results)
        if command is _REPORT:
            yield from judge_page(run / "report.html")

    return Case(f"{command[0]}: {path.relative_to(folder)}: {mutation}", [command], judge)


KINDS: Final = (Kind("runs", 200, _prepare, _lay_out),)
