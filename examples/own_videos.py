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

from skdpipe.bundle import load_bundle
from skdpipe.cache import PoseCache
from skdpipe.config import Experiment, Extraction, config_path, load_config
from skdpipe.distill import DistillationResult, distill
from skdpipe.extract import extract, open_sources
from skdpipe.listing import find_videos
from skdpipe.predict import Prediction, Predictor
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
    extract(find_videos(videos), sources, cache, people=settings.people, progress=progress)
    return distill(experiment, cache, models, device=device, progress=progress)


def label(clip: Path, student: Path, config: str) -> Prediction:
    """Label one video with the config's cheap estimator and a student.

    A student that was trained with OpenPifPaf knows its estimator by itself; a plugin has to be named.

    Raises:
        SkdpipeError: if the bundle or the video cannot be read.
    """
    cheap = load_config(Extraction, config_path(config), section="extraction").low
    return Predictor(load_bundle(student), torch.device("cpu"), cheap).predict(clip)


def main(videos: Path, clip: Path, config: str = "published") -> None:
    """Train on a folder and label a clip."""
    result = train_on(videos, config, PoseCache(Path("pose_cache")), Path("models"))
    for method, figures in result.figures.items():
        Console().print(f"{method}: top-1 {figures.top1:.1f}%")
    for name, probability in label(clip, result.folder / "student.safetensors", config).probabilities[:5]:
        Console().print(f"{name} {probability:.3f}")


if __name__ == "__main__":
    typer.run(main)
