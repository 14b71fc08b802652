"""Calibrated probabilities: the fit of the temperature, and its place in a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from distillation_setup import CPU, InterruptionError, interrupt_at
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_body import fill, tiny_experiment
from recording_progress import RecordingProgress

from skdpipe.bundle import load_bundle
from skdpipe.cache import PoseCache
from skdpipe.compare.plan import plan
from skdpipe.config import Comparison, Recipe
from skdpipe.dataset import build_manifest
from skdpipe.distill import DistillationResult, distill_student
from skdpipe.distill.calibration import (
    Calibration,
    brier_score,
    calibrate,
    calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability_bins,
)
from skdpipe.inference import read_metadata
from skdpipe.inference.prediction import rank_classes

EXPERIMENT = tiny_experiment(
    methods=("teacher", "baseline", "student"), calibration=0.5, recipe=Recipe(epochs=1, batch=16)
)


def drawn(temperature: float, clips: int = 20_000, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels with the probabilities softmax(logits / temperature)."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (clips, classes))
    label = (logits / temperature + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return logits.astype(np.float32), label


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_known_probabilities_is_found(temperature: float) -> None:
    found = fit_temperature(*drawn(temperature))
    assert found.temperature == pytest.approx(temperature, rel=0.04)
    assert found.error_after < 0.012
    if temperature != 1:
        assert found.error_before > 0.05


@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(2, 5), st.floats(0.01, 100))
@settings(max_examples=50, deadline=None)
def test_the_likelihood_never_falls(seed: int, clips: int, classes: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, scale, (clips, classes)).astype(np.float32)
    found = fit_temperature(logits, rng.integers(classes, size=clips))
    assert found.loss_after <= found.loss_before
    assert 0.05 <= found.temperature <= 20


def test_clips_that_say_nothing_about_probabilities_give_no_temperature() -> None:
    logits, label = drawn(2.0)
    assert calibrate(logits, label).fit is not None
    assert calibrate(logits[:29], label[:29]).reason == "somebody is seen in 29 held-out training clips"
    right = calibrate(logits[:40], logits[:40].argmax(axis=1))
    assert (right.fit, right.reason) == (None, "all 40 held-out training clips are labelled correctly")


def test_hand_derived_errors() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [1.0, 0.0]])
    label = np.array([0, 1, 1, 0])
    # bins: 0.9 twice, half of them right; 0.7 right; 1.0 right
    assert calibration_error(probabilities, label) == pytest.approx((2 * 0.4 + 0.3) / 4)
    bins = reliability_bins(probabilities, label)
    assert np.flatnonzero(bins.clips).tolist() == [10, 13, 14]
    assert bins.clips[[10, 13, 14]].tolist() == [1, 2, 1]
    np.testing.assert_allclose(bins.accuracy[[10, 13, 14]], [1, 0.5, 1])
    np.testing.assert_allclose(bins.confidence[[10, 13, 14]], [0.7, 0.9, 1])
    assert np.isnan(bins.accuracy[0])
    assert brier_score(probabilities, label) == pytest.approx((0.02 + 1.62 + 0.18 + 0) / 4)
    logits = np.log(np.array([[0.9, 0.1], [0.2, 0.8]], np.float32))
    expected = -(np.log(0.9) + np.log(0.2)) / 2
    assert negative_log_likelihood(logits, np.array([0, 0]), 1.0) == pytest.approx(expected, rel=1e-5)


def test_a_temperature_changes_probabilities_and_not_their_order() -> None:
    logits = np.array([0.0, 2 * np.log(4), np.log(4)], np.float32)
    assert [name for name, _ in rank_classes(logits, "abc")] == ["b", "c", "a"]
    warm = rank_classes(logits, "abc", 2.0)
    assert [name for name, _ in warm] == ["b", "c", "a"]
    assert [probability for _, probability in warm] == pytest.approx([4 / 7, 2 / 7, 1 / 7], rel=1e-6)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    """60 training and 30 test clips."""
    return fill(PoseCache(tmp_path_factory.mktemp("cache")), of_each=45)


def trainings(progress: RecordingProgress) -> list[str]:
    return [
        task.name.removeprefix("training ") for task in progress.tasks if task.name.startswith("training ")
    ]


@pytest.fixture(scope="module")
def calibrated(cache: PoseCache, tmp_path_factory: pytest.TempPathFactory) -> DistillationResult:
    progress = RecordingProgress()
    folder = tmp_path_factory.mktemp("models")
    result = distill_student(EXPERIMENT, cache, folder, device=CPU, progress=progress)
    assert trainings(progress) == ["HQS-T", "LQS-S", "SKD for calibration", "SKD"]
    return result


def test_the_student_alone_has_a_temperature(calibrated: DistillationResult) -> None:
    teacher, baseline, student = (
        read_metadata(calibrated.folder / f"{method}.safetensors") for method in EXPERIMENT.methods
    )
    assert (teacher.temperature, baseline.temperature) == (None, None)
    (found,) = calibrated.calibrations.values()
    assert found.clips == 30
    assert found.fit is not None
    assert found.fit.temperature == student.temperature
    assert found.fit.loss_after <= found.fit.loss_before
    assert not list(calibrated.folder.glob("*.state"))


def test_a_complete_run_is_neither_trained_nor_calibrated_again(
    calibrated: DistillationResult, cache: PoseCache
) -> None:
    for other in (EXPERIMENT, replace(EXPERIMENT, calibration=0.0), replace(EXPERIMENT, calibration=0.2)):
        progress = RecordingProgress()
        again = distill_student(other, cache, calibrated.folder.parent, device=CPU, progress=progress)
        assert trainings(progress) == []
        assert again.calibrations == calibrated.calibrations


def test_the_weights_are_those_of_a_run_without_calibration(
    calibrated: DistillationResult, cache: PoseCache, tmp_path: Path
) -> None:
    plain = distill_student(replace(EXPERIMENT, calibration=0.0), cache, tmp_path, device=CPU)
    assert plain.calibrations == {}
    assert read_metadata(plain.folder / "student.safetensors").temperature is None
    for method in EXPERIMENT.methods:
        one, other = (
            load_bundle(each.folder / f"{method}.safetensors").network.state_dict()
            for each in (calibrated, plain)
        )
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("title", ["SKD for calibration", "SKD"])
def test_an_interrupted_run_calibrates_once(
    calibrated: DistillationResult, cache: PoseCache, tmp_path: Path, title: str
) -> None:
    with pytest.raises(InterruptionError):
        distill_student(
            EXPERIMENT,
            cache,
            tmp_path,
            device=CPU,
            progress=RecordingProgress(interrupt_at(0.5, f"training {title}")),
        )
    progress = RecordingProgress()
    result = distill_student(EXPERIMENT, cache, tmp_path, device=CPU, progress=progress)
    assert result.calibrations == calibrated.calibrations
    steps = {task.name.removeprefix("training "): len(task.updates) for task in progress.tasks}
    assert steps["SKD"] > 0
    assert (steps["SKD for calibration"] == 0) == (title == "SKD")


def test_another_fraction_does_not_continue_a_training_that_has_seen_its_held_out_clips(
    calibrated: DistillationResult, cache: PoseCache, tmp_path: Path
) -> None:
    at_the_end = RecordingProgress(interrupt_at(0.5, "training SKD"))
    with pytest.raises(InterruptionError):
        distill_student(
            replace(EXPERIMENT, calibration=0.6), cache, tmp_path, device=CPU, progress=at_the_end
        )
    result = distill_student(EXPERIMENT, cache, tmp_path, device=CPU)
    assert result.calibrations == calibrated.calibrations
    assert not list(result.folder.glob("*.state"))


def test_with_a_warm_start_no_initial_weight_has_seen_the_held_out_clips(
    cache: PoseCache, tmp_path: Path
) -> None:
    experiment = replace(
        EXPERIMENT,
        methods=("teacher", "student"),
        distillation=replace(EXPERIMENT.distillation, warm_start=True),
    )
    progress = RecordingProgress()
    distill_student(experiment, cache, tmp_path, device=CPU, progress=progress)
    assert trainings(progress) == ["HQS-T", "HQS-T for calibration", "SKD for calibration", "SKD"]


def test_few_clips_give_no_temperature_but_the_reason(cache: PoseCache, tmp_path: Path) -> None:
    experiment = replace(EXPERIMENT, methods=("teacher", "student"), calibration=0.2)
    result = distill_student(experiment, cache, tmp_path, device=CPU)
    assert result.calibrations == {
        "student": Calibration(12, reason="12 held-out training clips, fewer than 30")
    }
    assert read_metadata(result.folder / "student.safetensors").temperature is None


def test_comparisons_do_not_calibrate() -> None:
    comparison = Comparison(name="c", scenarios={"all": {}}, students={"same": {}})
    planned = plan(comparison, {}, "here")
    assert {run.experiment.calibration for run in (*planned.teachers, *planned.rows)} == {0.0}


def test_clips_without_their_label_are_not_held_out(cache: PoseCache) -> None:
    labels = replace(EXPERIMENT.labels, low=0.5)
    manifest = build_manifest(cache, replace(EXPERIMENT, labels=labels))
    part, held_out = manifest.hold_out("low", 0.5, 0)
    assert len(held_out) == 16  # of 15 labelled clips of each class, 8
    assert all("low" in clip.labelled for clip in held_out)
    assert len(part.part(train=True)) == 60 - 16
    assert part.part(train=False) == manifest.part(train=False)
