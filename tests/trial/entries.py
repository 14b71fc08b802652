"""The kind of cache entries: one file of a cache is mutated, and every command that reads the cache runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from moving_body import ACTIONS, write_action_video

from trial.children import Finished, run_valid
from trial.judging import contents, judge_entries, judge_leftovers, judge_networks, judge_unchanged
from trial.kind import Case, Kind, Mutate, Problem, copy_files
from trial.tiny_run import prepare_cache

_EXTRACT: Final = ["extract", "videos", "-c", "config.yaml", "--cache", "videos-cache"]


def _prepare(material: Path) -> None:
    prepare_cache(material)
    for number, action in enumerate(ACTIONS):
        write_action_video(material / f"videos/{action}/{number}.mp4", action)
    run_valid(_EXTRACT, material)


def _lay_out(material: Path, folder: Path, random: Random, mutate: Mutate) -> Case:
    copy_files(material, folder)
    command = random.choice(
        [
            _EXTRACT,
            _EXTRACT,
            ["check", "-c", "config.yaml", "--cache", "pose_cache"],
            [
                "distill",
                "-c",
                "config.yaml",
                "--cache",
                "pose_cache",
                "--folds",
                "0",
                "--set",
                "recipe.epochs=1",
            ],
            ["info", "pose_cache/high/eyes-1", "--format", "cache"],
            ["fit-noise", "noise.yaml", "--cache", "pose_cache"],
        ]
    )
    cache = folder / ("videos-cache" if command is _EXTRACT else "pose_cache")
    files = [path for path in sorted(cache.rglob("*")) if path.is_file()]
    entries = [path for path in files if path.suffix == ".safetensors"]
    path = random.choice(entries if random.random() < 0.9 else files)
    mutation = mutate(path, random, random.choice(entries))
    before = contents(cache, "*.safetensors")

    def judge(done: list[Finished]) -> Iterator[Problem]:
        yield from judge_unchanged(before, path)
        yield from judge_leftovers(folder)
        if (folder / "models").is_dir():
            yield from judge_networks(folder / "models")
        if all(each.code == 0 and not each.signal for each in done) and command[0] != "info":
            # The headers alone show what is left to extract; the rest is checked when it is read.
            yield from judge_entries(cache, path if command is _EXTRACT else None)

    return Case(f"{path.relative_to(folder)}: {mutation}", [command], judge)


KINDS: Final = (Kind("entries", 200, _prepare, _lay_out),)
