"""From a folder of videos to labels for a new one: `skdpipe extract`, `distill` and `predict` in Python.

    python examples/own_videos.py videos new_clip.mp4 --config movenet

``videos`` contains one folder per class (or train and test folders with class folders in them). Skeletons are
written to ``pose_cache``, networks to ``models``. Another call continues with what is missing.
"""

from __future__ import annotations

from pathlib import Path

import torch
import typer
from rich.console import Console

from skdpipe import (
    DistillationResult,
    Experiment,
    Extraction,
    PoseCache,
    Prediction,
    Progress,
    distill_student,
    extract_videos,
    find_videos,
    load_config,
    load_predictor,
    open_sources,
)


def train_on(videos: Path, config: str, cache: PoseCache, models: Path) -> DistillationResult:
    """Extract both qualities of all videos, then train teacher, baselines and student.

    Raises:
        SkdpipeError: as `extract_videos` and `distill_student`.
    """
    device, progress = torch.device("cuda" if torch.cuda.is_available() else "cpu"), Progress()
    settings = load_config(Extraction, config, section="extraction")
    experiment = load_config(Experiment, config, section="experiment")
    sources = open_sources(settings, device)
    extract_videos(find_videos(videos), sources, cache, people=settings.people, progress=progress)
    return distill_student(experiment, cache, models, device=device, progress=progress)


def label(clip: Path, student: Path, config: str) -> Prediction:
    """Label one video with the config's low-cost estimator and a student.

    A bundle contains the settings of an OpenPifPaf estimator, but a plugin must be given by the caller.

    Raises:
        SkdpipeError: if the bundle or the video cannot be read.
    """
    low_cost = load_config(Extraction, config, section="extraction").low
    return load_predictor(student, estimator=low_cost).predict(clip)


def main(videos: Path, clip: Path, config: str = "published") -> None:
    """Train on a folder and label a clip."""
    result = train_on(videos, config, PoseCache(Path("pose_cache")), Path("models"))
    for method, figures in result.figures.items():
        Console().print(f"{method}: top-1 {figures.top1:.1f}%")
    for name, probability in label(clip, result.folder / "student.safetensors", config).probabilities[:5]:
        Console().print(f"{name} {probability:.3f}")


if __name__ == "__main__":
    typer.run(main)
