"""The whole pipeline on synthetic videos: render, extract both qualities, distil, classify test clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from skdpipe.atomic_file import write_bytes_atomically
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
from skdpipe.synthetic import ACTIONS, Scene, make_scene, render_clip
from skdpipe.video import read_frames, write_video

_FIRST_TEST_SUBJECT = 1000  # above every training subject
_FRAMES_PER_PANEL = 4


@dataclass(frozen=True)
class DemoResult:
    """Results of the demonstration.

    Attributes:
        extraction: report of the extraction.
        distillation: networks and figures.
        predictions: true label and prediction of test clips.
        overlay: path of the image with the skeletons and labels of these clips.
    """

    extraction: ExtractionReport
    distillation: DistillationResult
    predictions: list[tuple[str, Prediction]]
    overlay: Path


def run_demo(
    folder: Path, config: Path, overrides: Sequence[str], *, device: torch.device, progress: Progress
) -> DemoResult:
    """Run the whole pipeline on synthetic videos; another call continues with what is missing.

    Args:
        folder: output folder for ``videos/``, ``pose_cache/``, ``models/`` and ``overlay.png``.
        config: YAML file with the sections demonstration, extraction and experiment.
        overrides: settings as ``section.key=value``.
        device: device of the networks.
        progress: displays the progress.

    Raises:
        SkdpipeError: if a setting is invalid or a step fails.
    """
    settings, extraction, experiment = _load_settings(config, overrides)
    videos, cache = folder / "videos", PoseCache(folder / "pose_cache")
    render_videos(settings, videos, progress)
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
    shown = _spaced(sorted((videos / "test").rglob("*.mp4")), settings.shown)
    sequences = [predictor.estimate_poses(path) for path in shown]
    predictions = [predictor.predict(sequence) for sequence in sequences]
    labelled = [(path.parent.name, prediction) for path, prediction in zip(shown, predictions, strict=True)]
    panels = [
        _panel(path, sequence, truth, prediction.label or "no person found")
        for path, sequence, (truth, prediction) in zip(shown, sequences, labelled, strict=True)
    ]
    overlay = folder / "overlay.png"
    write_image(overlay, draw_sheet(panels, sequences[0].layout))
    return DemoResult(report, result, labelled, overlay)


def _load_settings(config: Path, overrides: Sequence[str]) -> tuple[Demonstration, Extraction, Experiment]:
    sections = ("demonstration", "extraction", "experiment")
    stray = [text for text in overrides if text.partition(".")[0] not in sections]
    if stray:
        raise ConfigError(
            f"cannot use the setting '{stray[0]}'; expected {', '.join(sections)} in front of it"
        )

    def of(section: str) -> list[str]:
        return [text.removeprefix(f"{section}.") for text in overrides if text.startswith(f"{section}.")]

    return (
        load_config(Demonstration, config, of("demonstration"), section="demonstration"),
        load_config(Extraction, config, of("extraction"), section="extraction"),
        load_config(Experiment, config, of("experiment"), section="experiment"),
    )


def render_videos(settings: Demonstration, folder: Path, progress: Progress) -> None:
    """Write the missing videos ``train|test/<action>/<subject>-<take>.mp4``."""
    jobs = [
        (split, action, first + number, take)
        for split, first, count in (
            ("train", 0, settings.train_subjects),
            ("test", _FIRST_TEST_SUBJECT, settings.test_subjects),
        )
        for action in ACTIONS
        for number in range(count)
        for take in range(settings.takes)
    ]
    with progress.task("rendering actors", len(jobs), unit="clips") as task:
        for done, (split, action, subject, take) in enumerate(jobs, 1):
            path = folder / split / action / f"subject{subject:04d}-take{take}.mp4"
            if not path.is_file():
                scene = make_scene(
                    action,
                    subject=subject,
                    take=take,
                    seed=settings.seed,
                    size=settings.size,
                    frames=settings.frames,
                    fps=settings.fps,
                )
                _write_clip(path, scene)
            task.advance_to(done)


def _write_clip(path: Path, scene: Scene) -> None:
    with TemporaryDirectory() as temporary:
        video = Path(temporary) / path.name  # `write_video` chooses the format by the suffix
        write_video(video, render_clip(scene).frames, scene.fps)
        write_bytes_atomically(path, video.read_bytes())


def _spaced(paths: Sequence[Path], count: int) -> list[Path]:
    """``count`` evenly spaced paths; of sorted test clips, each action gets its share."""
    indices = np.linspace(0, len(paths) - 1, min(count, len(paths)))
    return [paths[round(index)] for index in indices]


def _panel(path: Path, sequence: PoseSequence, truth: str, prediction: str) -> Panel:
    rows = np.linspace(0, len(sequence.frame_index) - 1, _FRAMES_PER_PANEL).round().astype(int)
    row_of_frame = {int(sequence.frame_index[row]): row for row in rows}
    frames = {index: frame for index, frame in enumerate(read_frames(path)) if index in row_of_frame}
    people = [sequence.keypoints[row] for row in rows]
    return Panel([frames[int(sequence.frame_index[row])] for row in rows], people, truth, prediction)
