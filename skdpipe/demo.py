"""The whole film on actors: render, extract both qualities, distil, label unseen clips of unseen people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from skdpipe.cache import PoseCache
from skdpipe.config import Demonstration, Experiment, Extraction, load_config
from skdpipe.distill import DistillationResult, distill_student
from skdpipe.errors import ConfigError
from skdpipe.extraction import ExtractionReport, extract_videos, open_sources
from skdpipe.extraction.video_list import find_videos
from skdpipe.inference import Prediction
from skdpipe.overlay import Panel, draw_sheet, write_image
from skdpipe.predict import load_predictor
from skdpipe.progress import Progress
from skdpipe.skeleton import PoseSequence
from skdpipe.synthetic import ACTIONS, cast, perform
from skdpipe.video import read_frames, write_video

_TEST_SUBJECTS_FROM = 1000  # far from the training's, so that nobody acts in both
_SHOWN_FRAMES = 4


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration did: extraction, distillation, and truth and prediction of unseen clips."""

    extraction: ExtractionReport
    distillation: DistillationResult
    predictions: list[tuple[str, Prediction]]
    picture: Path


def run_demo(
    folder: Path, config: Path, overrides: Sequence[str], *, device: torch.device, progress: Progress
) -> DemoResult:
    """Play the whole film in a folder; called again, it does only what is missing.

    Args:
        folder: gets ``videos/``, ``pose_cache/``, ``models/`` and ``overlay.png``.
        config: has the sections demonstration, extraction and experiment.
        overrides: ``section.key=value``.
        device: where networks run.
        progress: shows what is going on.

    Raises:
        SkdpipeError: as the commands that it plays.
    """

    sections = ("demonstration", "extraction", "experiment")
    stray = [text for text in overrides if text.partition(".")[0] not in sections]
    if stray:
        raise ConfigError(
            f"cannot place the setting '{stray[0]}'; expected {', '.join(sections)} in front of it"
        )

    def settings_of(section: str) -> list[str]:
        return [text.removeprefix(f"{section}.") for text in overrides if text.startswith(f"{section}.")]

    stage = load_config(Demonstration, config, settings_of("demonstration"), section="demonstration")
    extraction = load_config(Extraction, config, settings_of("extraction"), section="extraction")
    experiment = load_config(Experiment, config, settings_of("experiment"), section="experiment")
    videos, cache = folder / "videos", PoseCache(folder / "pose_cache")
    render_videos(stage, videos, progress)
    report = extract_videos(
        find_videos(videos),
        open_sources(extraction, device),
        cache,
        people=extraction.people,
        batch=extraction.batch,
        progress=progress,
    )
    result = distill_student(experiment, cache, folder / "models", device=device, progress=progress)
    predictor = load_predictor(result.folder / "student.safetensors", device=device)
    shown = _spread(sorted((videos / "test").rglob("*.mp4")), stage.shown)
    seen = [(path.parent.name, path, predictor.estimate_poses(path)) for path in shown]
    predictions = [(truth, predictor.predict(sequence)) for truth, _, sequence in seen]
    panels = [
        _panel(path, sequence, truth, prediction.label or "no person found")
        for (truth, path, sequence), (_, prediction) in zip(seen, predictions, strict=True)
    ]
    picture = folder / "overlay.png"
    write_image(picture, draw_sheet(panels, seen[0][2].layout))
    return DemoResult(report, result, predictions, picture)


def render_videos(stage: Demonstration, folder: Path, progress: Progress) -> None:
    """Write ``train|test/<action>/<subject>-<take>.mp4``; what is there already is left alone."""
    jobs = [
        (split, action, first + number, take)
        for split, first, count in (
            ("train", 0, stage.train_subjects),
            ("test", _TEST_SUBJECTS_FROM, stage.test_subjects),
        )
        for action in ACTIONS
        for number in range(count)
        for take in range(stage.takes)
    ]
    with progress.task("rendering actors", len(jobs), unit="clips") as task:
        for done, (split, action, subject, take) in enumerate(jobs, 1):
            path = folder / split / action / f"subject{subject:04d}-take{take}.mp4"
            if not path.is_file():
                scene = cast(
                    action,
                    subject=subject,
                    take=take,
                    seed=stage.seed,
                    size=stage.size,
                    frames=stage.frames,
                    fps=stage.fps,
                )
                part = path.with_suffix(".part.mp4")
                write_video(part, perform(scene).frames, stage.fps)
                part.replace(path)
            task.advance_to(done)


def _spread(paths: Sequence[Path], count: int) -> list[Path]:
    """So many paths, evenly spread: the sorted test clips give each action its share."""
    places = np.linspace(0, len(paths) - 1, min(count, len(paths)))
    return [paths[round(place)] for place in places]


def _panel(path: Path, sequence: PoseSequence, truth: str, prediction: str) -> Panel:
    rows = np.linspace(0, len(sequence.frame_index) - 1, _SHOWN_FRAMES).round().astype(int)
    wanted = {int(sequence.frame_index[row]): row for row in rows}
    frames = {index: frame for index, frame in enumerate(read_frames(path)) if index in wanted}
    people = [sequence.keypoints[row] for row in rows]
    return Panel([frames[int(sequence.frame_index[row])] for row in rows], people, truth, prediction)
