"""The kind of settings: mutated YAML files, lists of videos and class names. None of the commands trains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import yaml
from foreign_clips import make_clip
from moving_body import ACTIONS, write_action_video

from skdpipe.formats.pyskl import write_pyskl
from skdpipe.skeleton import COCO_17, describe_layout
from trial.children import Finished
from trial.judging import contents, judge_entries, judge_leftovers, judge_unchanged
from trial.kind import Case, Kind, Mutate, Problem, copy_files
from trial.tiny_run import SETTINGS, prepare_cache
from trial.videos import EXTRACTION

_NOISE: Final = {"jitter": {"nose": 0.1}, "outliers": 0.1, "outlier_size": 0.5, "confidence": 0.8}


def _commands() -> dict[str, list[list[str]]]:
    """The commands that read each file."""
    extract = ["--cache", "new"]
    pyskl = ["import", "pyskl", "set.pkl", "--cache", "new"]
    return {
        "config.yaml": [
            ["extract", "videos", "-c", "config.yaml", *extract],
            ["extract", "videos", "-c", "config.yaml", *extract],
            ["check", "-c", "config.yaml"],
            ["check", "-c", "config.yaml", "--json"],
            ["config", "show", "config.yaml"],
        ],
        "layout.yaml": [
            [*pyskl, "--layout", "layout.yaml"],
            ["convert", "pyskl", "set.pkl", "coco", "new.json", "--target-layout", "layout.yaml"],
        ],
        "noise.yaml": [["check", "-c", "with-noise.yaml"]],
        "named.yaml": [["config", "show", "with-name.yaml"]],
        "videos.csv": [["extract", "videos.csv", "-c", "config.yaml", *extract]],
        "names.txt": [[*pyskl, "--labels", "names.txt"], [*pyskl, "--skip", "names.txt"]],
    }


def _prepare(material: Path) -> None:
    prepare_cache(material)
    for number, action in enumerate(ACTIONS):
        write_action_video(material / f"videos/{action}/{number}.mp4", action)
    write_pyskl([make_clip("one", "sit"), make_clip("two", "run")], material / "set.pkl")
    (material / "names.txt").write_text("sit\nrun\none\n")
    rows = [f"videos/{action}/{number}.mp4,{action},train,s{number}" for number, action in enumerate(ACTIONS)]
    (material / "videos.csv").write_text("\n".join(["path,label,split,subject", *rows]) + "\n")
    layout = describe_layout(COCO_17)
    _write(material / "layout.yaml", {
        "name": "mine",
        "joints": list(layout.joints),
        "bones": [list(bone) for bone in layout.bones],
        "root": layout.root,
    })  # fmt: skip
    _write(material / "noise.yaml", _NOISE)
    noisy = {**SETTINGS["experiment"], "derive_low": {"noise": "noise.yaml"}}
    _write(material / "with-noise.yaml", {**SETTINGS, "experiment": noisy})
    _write(material / "named.yaml", {"extraction": EXTRACTION})
    _write(material / "with-name.yaml", {"extraction": "named.yaml"})


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _lay_out(material: Path, folder: Path, random: Random, mutate: Mutate) -> Case:
    copy_files(material, folder)
    commands = _commands()
    name = random.choice([*commands, "config.yaml", "config.yaml"])
    mutation = mutate(folder / name, random, folder / "with-noise.yaml")
    before = contents(folder / "pose_cache")

    def judge(done: list[Finished]) -> Iterator[Problem]:
        yield from judge_unchanged(before)
        yield from judge_leftovers(folder)
        if (folder / "new").is_dir():
            yield from judge_entries(folder / "new")

    return Case(mutation, [random.choice(commands[name])], judge)


KINDS: Final = (Kind("configs", 200, _prepare, _lay_out),)
