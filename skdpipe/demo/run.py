"""The whole pipeline on synthetic people: render, extract both qualities, simulate, distil, classify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from skdpipe.atomic_file import remove_leftovers
from skdpipe.cache import PoseCache
from skdpipe.config import Demonstration, Experiment, Extraction, load_config
from skdpipe.demo.clips import render_videos
from skdpipe.demo.outcome import Outcome, outcome_of
from skdpipe.demo.simulation import Simulation, simulate_clips
from skdpipe.distill import DistillationResult, distill_student
from skdpipe.distill.methods import BASELINE, STUDENT, TEACHER
from skdpipe.errors import ConfigError
from skdpipe.extraction import ExtractionReport, extract_videos, open_sources
from skdpipe.extraction.video_list import find_videos
from skdpipe.inference import Prediction
from skdpipe.overlay import Panel, draw_sheet, write_image
from skdpipe.predict import load_predictor
from skdpipe.progress import Progress
from skdpipe.skeleton import PoseSequence
from skdpipe.video import read_frames

_FRAMES_PER_PANEL = 4


@dataclass(frozen=True)
class DemoResult:
    """Results of the demonstration.

    Attributes:
        extraction: report of the extraction.
        simulation: fitted errors of the estimators, and number of simulated clips.
        distillation: networks and figures of the first run.
        outcome: test results of all runs.
        predictions: true label and prediction of rendered test clips, by the student of the first run.
        overlay: path of the image with the skeletons and labels of these clips.
    """

    extraction: ExtractionReport
    simulation: Simulation
    distillation: DistillationResult
    outcome: Outcome
    predictions: list[tuple[str, Prediction]]
    overlay: Path


def run_demo(
    folder: Path, config: Path, overrides: Sequence[str], *, device: torch.device, progress: Progress
) -> DemoResult:
    """Run the whole pipeline on synthetic people; another call continues with what is missing.

    A few clips are rendered and extracted. More skeletons are simulated: exact poses with the errors of the
    estimators, fitted on the rendered training clips. The networks are trained and tested on both.

    Args:
        folder: output folder for ``videos/``, ``pose_cache/``, ``models/``, ``noise-high.yaml``,
            ``noise-low.yaml`` and ``overlay.png``.
        config: YAML file with the sections demonstration, extraction and experiment.
        overrides: settings as ``section.key=value``.
        device: device of the networks.
        progress: displays the progress.

    Raises:
        SkdpipeError: if a setting is invalid or a step fails.
    """
    settings, extraction, experiment = _load_settings(config, overrides)
    videos, cache = folder / "videos", PoseCache(folder / "pose_cache")
    remove_leftovers(folder)
    render_videos(settings, videos, progress)
    sources = open_sources(extraction, device)
    report = extract_videos(
        find_videos(videos),
        sources,
        cache,
        people=extraction.people,
        batch=extraction.batch,
        progress=progress,
    )
    simulation = simulate_clips(settings, videos, sources, cache, folder, progress)
    results = [
        distill_student(each, cache, folder / "models", device=device, progress=progress)
        for each in _with_seeds(experiment, settings.runs)
    ]
    result = results[0]
    outcome = outcome_of(results)
    shown = _spaced(sorted((videos / "test").rglob("*.mp4")), settings.shown)
    overlay = folder / "overlay.png"
    student = result.folder / "student.safetensors"
    labelled = _label_clips(student, shown, overlay, device=device, progress=progress)
    return DemoResult(report, simulation, result, outcome, labelled, overlay)


def _label_clips(
    student: Path, paths: Sequence[Path], overlay: Path, *, device: torch.device, progress: Progress
) -> list[tuple[str, Prediction]]:
    """True label and prediction of videos; their skeletons and labels are drawn in an image."""
    predictor = load_predictor(student, device=device)
    labelled: list[tuple[str, Prediction]] = []
    panels: list[Panel] = []
    with progress.task("labelling test clips", len(paths), unit="clips") as task:
        for done, path in enumerate(paths, 1):
            sequence, truth = predictor.estimate_poses(path), path.parent.name
            prediction = predictor.predict(sequence)
            labelled.append((truth, prediction))
            panels.append(_panel(path, sequence, truth, prediction.label or "no person found"))
            task.advance_to(done)
    write_image(overlay, draw_sheet(panels, sequence.layout))
    return labelled


def _load_settings(config: Path, overrides: Sequence[str]) -> tuple[Demonstration, Extraction, Experiment]:
    sections = ("demonstration", "extraction", "experiment")
    stray = [text for text in overrides if text.partition(".")[0] not in sections]
    if stray:
        raise ConfigError(
            f"cannot use the setting '{stray[0]}'; expected {', '.join(sections)} in front of it"
        )

    def of(section: str) -> list[str]:
        return [text.removeprefix(f"{section}.") for text in overrides if text.startswith(f"{section}.")]

    experiment = load_config(Experiment, config, of("experiment"), section="experiment")
    compared = (TEACHER.name, BASELINE.name, STUDENT.name)
    if missing := [name for name in compared if name not in experiment.methods]:
        raise ConfigError(
            f"experiment.methods lacks {', '.join(missing)}; add them, because the demonstration compares "
            f"{', '.join(compared)}"
        )
    return (
        load_config(Demonstration, config, of("demonstration"), section="demonstration"),
        load_config(Extraction, config, of("extraction"), section="extraction"),
        experiment,
    )


def _with_seeds(experiment: Experiment, runs: int) -> list[Experiment]:
    """The experiment, and its repetitions with the next seeds in folders with the seed in their name.

    The repetitions are only compared, so that their probabilities are not calibrated.
    """
    seeds = [experiment.seed + number for number in range(1, runs)]
    return [
        experiment,
        *(
            replace(experiment, seed=seed, name=f"{experiment.name}-seed{seed}", calibration=0.0)
            for seed in seeds
        ),
    ]


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
