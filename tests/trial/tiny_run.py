"""A cache, a config and trained networks that are as small as they can be, for the kinds that need them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import torch
import yaml
from distillation_setup import InterruptionError, interrupt_at
from moving_body import ACTIONS, fill, write_action_video
from recording_progress import RecordingProgress

from skdpipe.cache import PoseCache
from skdpipe.config import Experiment, load_config
from skdpipe.distill import distill_student
from skdpipe.distill.methods import STUDENT
from trial.children import run_valid
from trial.videos import EXTRACTION

CLASSES: Final = len(ACTIONS)
_NETWORK: Final = {"name": "st_2sgcn", "width": 4}
SETTINGS: Final[dict[str, Any]] = {
    "extraction": EXTRACTION,
    "experiment": {
        "name": "tiny",
        "clip": {"frames": 8},
        "teacher": _NETWORK,
        "student": _NETWORK,
        "recipe": {"epochs": 2, "batch": 4},
        "methods": ["teacher", "baseline", "student"],
        "classical": False,
    },
    "comparison": {
        "name": "table",
        "seeds": [0],
        "scenarios": {"all": {}, "loss": {"derive_low": {"every": 3}}},
        "methods": ["teacher", "baseline", "student"],
    },
    "report": {
        "moments": 2,
        "response_clips": 1,
        "robustness": {"occlusion": [0.5], "frame_loss": [0.5], "jitter": []},
    },
}


def write_settings(path: Path, **experiment: object) -> None:
    """The settings, with changes of the experiment."""
    settings = {**SETTINGS, "experiment": {**SETTINGS["experiment"], **experiment}}
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")


def prepare_cache(material: Path) -> None:
    """The config and a cache with 12 clips in both qualities."""
    write_settings(material / "config.yaml")
    (material / "low.yaml").write_text(yaml.safe_dump(EXTRACTION["low"]), encoding="utf-8")
    fill(PoseCache(material / "pose_cache"))


def prepare_run(material: Path) -> None:
    """The cache, a video, and a finished run of the config in ``models/tiny``."""
    prepare_cache(material)
    write_action_video(material / "good.mp4", ACTIONS[0], 7)
    run_valid(["distill", "-c", "config.yaml", "--folds", "0", "--device", "cpu"], material)


def prepare_unfinished_run(material: Path) -> None:
    """A run in ``unfinished/tiny`` whose student is half trained."""
    experiment = load_config(Experiment, material / "config.yaml", section="experiment")
    progress = RecordingProgress(interrupt_at(1.5, f"training {STUDENT.title}"))
    cache = PoseCache(material / "pose_cache")
    try:
        distill_student(
            experiment, cache, material / "unfinished", device=torch.device("cpu"), progress=progress
        )
    except InterruptionError:
        return
    raise AssertionError("the training was not interrupted")


def without_times(value: Any) -> Any:
    """Results without durations, and without digests of the teacher's bundle, which contains durations."""
    if isinstance(value, dict):
        return {key: without_times(each) for key, each in value.items() if not _is_time(key, each)}
    if isinstance(value, list):
        return [without_times(each) for each in value]
    if isinstance(value, str) and value.startswith("{"):
        return without_times(json.loads(value))
    return value


def _is_time(key: str, value: Any) -> bool:
    is_digest = key == "teacher" and isinstance(value, str)
    return is_digest or key in {"minutes", "seconds", "milliseconds"}
