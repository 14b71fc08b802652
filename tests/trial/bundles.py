"""The kind of bundles: a mutated network predicts, is evaluated, teaches, or is finetuned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from trial.children import Finished
from trial.judging import contents, judge_leftovers, judge_networks, judge_predictions, judge_unchanged
from trial.kind import Case, Kind, Mutate, Problem, copy_files
from trial.tiny_run import CLASSES, prepare_run

_PREDICT: Final = ["predict", "good.mp4", "--bundle", "mutated.safetensors", "--estimator", "low.yaml"]
_TRAIN: Final = ["-c", "config.yaml", "--set", "recipe.epochs=1", "--set", "name=again"]


def _lay_out(material: Path, folder: Path, random: Random, mutate: Mutate) -> Case:
    copy_files(material, folder)
    run = folder / "models/tiny"
    command = random.choice(
        [
            [*_PREDICT, "--runtime", "torch", "--json"],
            [*_PREDICT, "--runtime", "torch", "--json"],
            [*_PREDICT, "--runtime", "torch", "--json"],
            [*_PREDICT, "--runtime", "torch"],
            ["evaluate", "mutated.safetensors"],
            ["evaluate", "models/tiny/student.safetensors", "mutated.safetensors"],
            ["distill", "--teacher", "mutated.safetensors", "--folds", "0", *_TRAIN],
            ["finetune", "mutated.safetensors", *_TRAIN],
        ]
    )
    method = "teacher" if command[0] == "distill" else "student"
    path = folder / "mutated.safetensors"
    path.write_bytes((run / f"{method}.safetensors").read_bytes())
    mutation = mutate(path, random, run / "baseline.safetensors")
    before = {**contents(run), **contents(folder / "pose_cache")}

    def judge(done: list[Finished]) -> Iterator[Problem]:
        yield from judge_unchanged(before)
        yield from judge_leftovers(folder)
        yield from judge_networks(folder / "models")
        if "--json" in command:
            yield from judge_predictions(done[0].out, _classes_of(path))

    return Case(f"{command[0]}: {mutation}", [command], judge)


def _classes_of(path: Path) -> int:
    """The number of classes that the mutated file names; that of the original if it names none."""
    content = path.read_bytes()
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return len(json.loads(header["__metadata__"]["description"])["classes"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return CLASSES


KINDS: Final = (Kind("bundles", 200, prepare_run, _lay_out),)
