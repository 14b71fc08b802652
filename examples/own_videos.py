"""From a folder of videos to labels for a new one; `skdpipe extract`, `distill` and `predict` in Python.

    python examples/own_videos.py videos new_clip.mp4 --config movenet

``videos`` holds a folder for each class (or train and test folders with classes in them). Skeletons are kept
in ``pose_cache``, networks in ``models``; a second run does only what is missing.
"""

from __future__ import annotations

from pathlib import Path

import torch
import typer
from rich.console import Console

from skdpipe.cache import PoseCache
from skdpipe.config import Experiment, Extraction, config_path, load_config
from skdpipe.distill import DistillationResult, distill_student
from skdpipe.extraction import extract_videos, open_sources
from skdpipe.extraction.video_list import find_videos
from skdpipe.inference import Prediction
from skdpipe.predict import load_predictor
from skdpipe.progress import Progress


def train_on(videos: Path, config: str, cache: PoseCache, models: Path) -> DistillationResult:
    """Extract both qualities of all videos, then train teacher, baselines and student.

    Raises:
        SkdpipeError: as `extract` and `distill`.
    """
    device, progress = torch.device("cuda" if torch.cuda.is_available() else "cpu"), Progress()
    settings = load_config(Extraction, config_path(config), section="extraction")
    experiment = load_config(Experiment, config_path(config), section="experiment")
    sources = open_sources(settings, device)
    extract_videos(find_videos(videos), sources, cache, people=settings.people, progress=progress)
    return distill_student(experiment, cache, models, device=device, progress=progress)


def label(clip: Path, student: Path, config: str) -> Prediction:
    """Label one video with the config's low-cost estimator and a student.

    A bundle names its OpenPifPaf estimator; a plugin must be named by the caller.

    Raises:
        SkdpipeError: if the bundle or the video cannot be read.
    """
    low_cost = load_config(Extraction, config_path(config), section="extraction").low
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
