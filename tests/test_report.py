"""The report: measured quantities, figures, HTML page, and the command."""

from __future__ import annotations

import html
import importlib.util
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from moving_body import ACTIONS, a_sequence, blurred, fill, tiny_experiment

from skdpipe.bundle import load_bundle
from skdpipe.cache import PoseCache
from skdpipe.check import check_data
from skdpipe.cli import main
from skdpipe.config import Degradation, Experiment, Recipe, Report, Robustness
from skdpipe.dataset import PairedClips, build_manifest, load_qualities
from skdpipe.degradation import degrade
from skdpipe.distill import distill_student
from skdpipe.distill.methods import METHODS
from skdpipe.distill.training_state import Curve
from skdpipe.errors import DataError, MissingDependencyError
from skdpipe.inference.prediction import probabilities_of
from skdpipe.printable import printable
from skdpipe.progress import Progress
from skdpipe.report import write_report
from skdpipe.report.figures import (
    CostPoint,
    draw_accuracy_by_class,
    draw_conflicts,
    draw_confusion,
    draw_cost,
    draw_coverage,
    draw_losses,
    draw_map,
    draw_reliability,
)
from skdpipe.report.figures.accuracy import pareto_front
from skdpipe.report.figures.style import as_text, describe, numbered_look, to_svg
from skdpipe.report.measures import (
    accuracy_by_class,
    confusion_matrix,
    evenly_spaced,
    feature_frames_at,
    frequent_confusions,
    map_to_plane,
    rank_by_gain,
    response_magnitude,
)
from skdpipe.report.pose_strips import CELL, draw_strips
from skdpipe.report.predictions import DeployedNetworks, Predictions, predict_clips
from skdpipe.report.reliability import Coverage, coverage, coverage_curve, measure_reliability
from skdpipe.report.response import measure_response, select_example_clips
from skdpipe.report.robustness import (
    DegradationAxis,
    EvaluatedNetwork,
    RobustnessCurve,
    crop,
    degradation_axes,
    drop_frames_evenly,
    evaluated_networks,
    measure_robustness,
    strength_at_fall,
)
from skdpipe.report.robustness_card import conclude_robustness, tabulate_falls
from skdpipe.report.run_results import load_run
from skdpipe.report.test_clips import ClipPair
from skdpipe.report.test_clips import TestClips as ClipsOfRun  # pytest collects names that begin with Test
from skdpipe.report.wrong_clips import count_by_wrong_networks, select_wrong_clips
from skdpipe.skeleton import Layout, PoseSequence
from skdpipe.speed import Timing

CPU = torch.device("cpu")
QUIET = Progress(quiet=True)
BRIEF = Report(
    robustness=Robustness(occlusion=(0.5,), frame_loss=(0.5,), jitter=(0.1,), crop=(0.4,)), moments=3
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    """Twelve clips, and one more test clip without people."""
    cache = fill(PoseCache(tmp_path_factory.mktemp("cache")))
    cache.save(without_people(a_sequence(ACTIONS[0], 99, split="test")), "high", "eyes-1")
    cache.save(without_people(blurred(a_sequence(ACTIONS[0], 99, split="test"))), "low", "squint-1")
    return cache


def without_people(sequence: PoseSequence) -> PoseSequence:
    unseen = np.array([np.nan, np.nan, 0], np.float32)
    return sequence.with_keypoints(np.broadcast_to(unseen, sequence.keypoints.shape).copy())


def train_run(cache: PoseCache, models: Path, **changes: object) -> Path:
    experiment: Experiment = tiny_experiment(**changes)
    return distill_student(experiment, cache, models, device=CPU).folder


@pytest.fixture(scope="module")
def run_folder(cache: PoseCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with all methods."""
    methods = tuple(method.name for method in METHODS)
    return train_run(cache, tmp_path_factory.mktemp("models"), methods=methods)


# Measures


def test_a_confusion_matrix_by_hand() -> None:
    label = np.array([0, 0, 0, 0, 2])
    predicted = np.array([0, 0, 0, 1, 1])
    expected = np.array([[0.75, 0.25, 0], [np.nan] * 3, [0, 1, 0]])
    np.testing.assert_array_equal(confusion_matrix(label, predicted, 3), expected)


def test_clips_without_people_are_missing_in_the_rows_of_a_confusion_matrix() -> None:
    matrix = confusion_matrix(np.array([0, 0, 0, 0, 1]), np.array([0, 0, -1, 1, -1]), 2)
    np.testing.assert_array_equal(matrix, [[0.5, 0.25], [0, 0]])


def test_accuracy_by_class_by_hand() -> None:
    label = np.array([0, 0, 0, 0, 2])
    predicted = np.array([0, 0, 0, 1, 1])
    np.testing.assert_array_equal(accuracy_by_class(label, predicted, 3), [75, np.nan, 0])


def test_frequent_confusions_by_hand() -> None:
    label = np.array([0, 0, 0, 1, 1, 2, 2])
    predicted = np.array([0, 1, 1, 0, 2, -1, 2])
    assert frequent_confusions(label, predicted) == [(0, 1, 2), (1, 0, 1), (1, 2, 1)]
    assert frequent_confusions(label, label) == []


def test_classes_are_ranked_by_gain_with_those_without_clips_last() -> None:
    baseline = np.array([50.0, np.nan, 50.0, 50.0])
    student = np.array([40.0, np.nan, 90.0, 60.0])
    assert rank_by_gain(student, baseline).tolist() == [2, 3, 0, 1]


def test_response_magnitude_is_the_norm_over_channels() -> None:
    features = np.zeros((2, 2, 3))  # two channels, two frames, three joints
    features[:, 0, 1] = 3, -4
    features[:, 1, 2] = 0, 2
    np.testing.assert_array_equal(response_magnitude(features), [[0, 5, 0], [0, 0, 2]])


def test_each_feature_frame_covers_an_equal_share_of_the_clip() -> None:
    feature_frames = np.array([[0], [1]])  # of a clip of eight frames
    values = feature_frames_at(feature_frames, np.array([0, 3, 4, 7]), 8)
    assert values.ravel().tolist() == [0, 0, 1, 1]


@given(count=st.integers(1, 300), most=st.integers(1, 300))
def test_evenly_spaced_indices_include_the_first_and_the_last(count: int, most: int) -> None:
    chosen = evenly_spaced(count, most)
    assert len(chosen) == min(count, most)
    assert chosen[0] == 0
    assert most == 1 or chosen[-1] == count - 1
    assert np.ptp(np.diff(chosen)) <= 1 if len(chosen) > 2 else True


@pytest.mark.parametrize("clips", [1, 2, 3, 5, 40])
def test_few_clips_with_equal_logits_can_be_mapped(clips: int) -> None:
    logits = np.zeros((clips, 2), np.float32)
    positions = map_to_plane(logits, 30, 0)
    assert positions.shape == (clips, 2)
    assert np.isfinite(positions).all()


def test_the_map_separates_clusters_and_depends_only_on_the_seed() -> None:
    rng = np.random.default_rng(0)
    logits = np.repeat(np.eye(3) * 20, 12, axis=0) + rng.normal(size=(36, 3))
    positions = map_to_plane(logits, 30, 1)
    np.testing.assert_array_equal(positions, map_to_plane(logits, 30, 1))
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    nearest = (distance + np.diag([np.inf] * 36)).argmin(axis=1)
    assert (nearest // 12 == np.arange(36) // 12).all()


def test_example_clips_are_first_those_that_only_the_student_classifies_correctly() -> None:
    label = np.array([0, 0, 1, 1, 1])
    predicted = {"baseline": [0, 1, 1, 0, 0], "student": [0, 0, 1, 1, 1]}
    logits = {method: np.eye(2, dtype=np.float32)[classes] for method, classes in predicted.items()}
    visible = np.array([1.0, 0.5, 1.0, 0.7, 0.9])
    seen = dict.fromkeys(predicted, np.ones(5, bool))
    predictions = Predictions(label, logits, seen, np.array([0, 0, 0, 0, 0]), visible)
    # The clip with the most visible joints of each class, then the others.
    assert select_example_clips(predictions, 5) == [4, 1, 3, 0, 2]
    without_shared = replace(predictions, shared_person=np.array([0, 0, 0, 0, -1]))
    assert select_example_clips(without_shared, 2) == [3, 1]


# Wrong clips


def test_wrong_clips_are_shown_by_class_and_the_most_confident_first() -> None:
    label = np.array([1, 1, 1, 0, 0, 1, 0])
    predicted = np.array([0, 0, 0, 1, 0, -1, 1])  # clip 4 is right, in clip 5 nobody was detected
    probability = np.array([0.5, 0.9, 0.7, 0.6, 1.0, 0.99, 0.8])
    assert select_wrong_clips(label, predicted, probability, 5, 50) == [6, 3, 1, 2, 0]
    assert select_wrong_clips(label, predicted, probability, 2, 50) == [6, 3, 1, 2]
    # Each class has one clip before any has two; the more confident of two second clips is clip 2.
    assert select_wrong_clips(label, predicted, probability, 5, 3) == [6, 1, 2]
    assert select_wrong_clips(label, predicted, probability, 5, 1) == [1]
    assert select_wrong_clips(label, predicted, probability, 0, 50) == []
    assert select_wrong_clips(label, label, probability, 5, 50) == []


@given(st.integers(0, 5), st.integers(0, 30), st.integers(0, 1000))
def test_the_numbers_of_shown_clips_are_bounded_and_even(of_class: int, most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    label, predicted, probability = rng.integers(6, size=90), rng.integers(6, size=90), rng.random(90)
    chosen = select_wrong_clips(label, predicted, probability, of_class, most)
    wrong = np.bincount(label[label != predicted], minlength=6)
    shown = np.bincount(label[chosen], minlength=6)
    assert len(chosen) == min(most, int(np.minimum(wrong, of_class).sum()))
    assert (label[chosen] != predicted[chosen]).all()
    assert shown.max() <= of_class
    not_all = shown < np.minimum(wrong, of_class)
    assert not not_all.any() or shown.max() - shown[not_all].min() <= 1


def test_clips_are_counted_by_the_networks_that_are_wrong() -> None:
    label = np.array([0, 0, 1, 1, 1])
    predicted = {"baseline": np.array([0, 1, 0, 0, 1]), "student": np.array([0, 0, 0, -1, 0])}
    counts = {("baseline", "student"): 2, ("baseline",): 1, ("student",): 1}
    assert count_by_wrong_networks(label, predicted) == counts


def polylines(strip: str) -> list[list[tuple[int, int]]]:
    """The points of all polylines of a strip."""
    lines = []
    for x, y, steps in re.findall(r"M(-?\d+) (-?\d+)l([^Mz\"]*)", strip):
        points = [(int(x), int(y))]
        numbers = [int(number) for number in re.findall(r"-?\d+", steps)]
        for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
            points.append((points[-1][0] + dx, points[-1][1] + dy))
        lines.append(points)
    return lines


def bones_of(strip: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    return [bone for line in polylines(strip) for bone in pairwise(line)]


def a_triangle(keypoints: object, **changes: object) -> PoseSequence:
    """A person of three joints, one row for each pose."""
    values: dict[str, object] = {
        "keypoints": np.array(keypoints, np.float32)[:, None], "video_frames": len(keypoints),  # type: ignore[arg-type]
        "frame_index": np.arange(len(keypoints), dtype=np.int32),  # type: ignore[arg-type]
        "layout": TRIANGLE, "fps": 10.0, "size": (40, 40),
    }  # fmt: skip
    return PoseSequence(**{**values, **changes})  # type: ignore[arg-type]


TRIANGLE = Layout(
    "triangle", ("head", "left_foot", "right_foot"),
    (("head", "left_foot"), ("head", "right_foot"), ("left_foot", "right_foot")), "head", (0.1, 0.1, 0.1),
)  # fmt: skip
STANDING = [(20, 0, 1), (40, 40, 1), (0, 40, 1)]


def test_a_strip_shows_every_bone_at_its_place() -> None:
    still = a_triangle([STANDING, STANDING])
    high, low = draw_strips(ClipPair(still, still, {0}), TRIANGLE, 2)
    assert high == low
    # 40 pixels are 84 units in a cell of 100; the second pose is in the second cell.
    head, left, right = (50, 8), (92, 92), (8, 92)
    first = {(head, left), (head, right), (left, right)}
    second = {tuple((x + CELL, y) for x, y in bone) for bone in first}
    assert sorted(bones_of(high)) == sorted(first | second)
    assert re.findall(r'class="(\w+)" d="([^"]*)"', high) == [
        ("middle", "M92 92l-84 0M192 92l-84 0"), ("left", "M50 8l42 84M150 8l42 84"),
        ("right", "M50 8l-42 84M150 8l-42 84"),
    ]  # fmt: skip


def test_both_strips_have_the_same_scale_and_the_same_moments() -> None:
    poses = [[(20 + shift, 0, 1), (40 + shift, 40, 1), (0 + shift, 40, 1)] for shift in (0, 0, 40, 40)]
    high = a_triangle(poses)
    low = a_triangle(poses[::3], frame_index=np.array([0, 3], np.int32), video_frames=4)
    one, other = draw_strips(ClipPair(high, low, {0}), TRIANGLE, 4)
    assert one == other  # the row nearest to each moment


def test_missing_joints_are_not_drawn_and_one_without_neighbours_is_a_dot() -> None:
    lonely = [(20, 0, 1), (np.nan, np.nan, 0), (np.nan, np.nan, 0)]
    high, low = draw_strips(ClipPair(a_triangle([STANDING]), a_triangle([lonely]), {0}), TRIANGLE, 1)
    assert len(bones_of(high)) == 3
    assert {tuple(line) for line in polylines(low)} == {((50, 8), (50, 8))}
    nobody = a_triangle([[(np.nan, np.nan, 0)] * 3])
    assert draw_strips(ClipPair(nobody, nobody, set()), TRIANGLE, 1)[0].count("<path") == 0


def test_outliers_stay_in_their_cell() -> None:
    wild = [STANDING] * 60 + [[(1e7, -1e7, 1), *STANDING[1:]]]
    high, _ = draw_strips(ClipPair(a_triangle(wild), a_triangle(wild), {0}), TRIANGLE, 61)
    cells = [{x // CELL for x, _ in line} for line in polylines(high)]
    assert all(len(cell) == 1 for cell in cells)
    assert all(0 <= y <= CELL for line in polylines(high) for _, y in line)
    assert (50, 8) in polylines(high)[61]  # the others fill theirs


def test_three_coordinates_are_upright_and_have_a_scale_of_their_own() -> None:
    y_up = [(20, 40, 2, 1), (40, 0, 2, 1), (0, 0, 2, 1)]
    in_metres = np.array(y_up) * (0.05, 0.05, 0.05, 1)
    upright = a_triangle([in_metres], size=(0, 0))
    high, low = draw_strips(ClipPair(upright, a_triangle([STANDING]), {0}), TRIANGLE, 1)
    assert high == low


# Reliability


def test_the_coverage_by_hand() -> None:
    logits = np.log(np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]], np.float32))
    measured = measure_reliability("student", logits, np.array([0, 1, 0, 0]), None)
    assert measured.surplus == pytest.approx(0.75 - 0.75, abs=1e-6)
    assert measured.brier == pytest.approx((0.02 + 0.32 + 1.28 + 0.18) / 4, abs=1e-6)
    # A fifth clip is without people.
    none, some, most = coverage(measured, 5, (0.5, 0.75, 0.95))
    assert none == (0.5, 4, 0.8, 0.75)
    assert some == (0.75, 2, 0.4, 0.5)
    assert most[:3] == (0.95, 0, 0)
    assert np.isnan(most.accuracy)
    labelled, accuracy = coverage_curve(measured, 5)
    np.testing.assert_allclose(labelled, [0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(accuracy, [1, 1 / 2, 2 / 3, 3 / 4])


def test_clips_of_equal_probability_are_labelled_together() -> None:
    logits = np.array([[1, 0], [1, 0], [0, 1], [3, 0]], np.float32)
    measured = measure_reliability("student", logits, np.array([0, 1, 1, 0]), None)
    labelled, accuracy = coverage_curve(measured, 4)
    np.testing.assert_allclose(labelled, [0.25, 1])
    np.testing.assert_allclose(accuracy, [1, 0.75])


# Results of a run


def test_networks_predict_as_at_the_end_of_their_training(run_folder: Path, cache: PoseCache) -> None:
    run = load_run(run_folder)
    clips = ClipsOfRun(run, cache)
    predictions = predict_clips(run, clips, DeployedNetworks(run, CPU), QUIET)
    assert len(clips) == 5
    for each in run.methods:
        correct = predictions.predicted[each.name] == predictions.label
        assert 100 * correct.mean() == pytest.approx(each.figures.top1)
    empty = [clip.key for clip in clips.clips].index(a_sequence(ACTIONS[0], 99).origin.key)
    assert np.flatnonzero(predictions.shared_person < 0).tolist() == [empty]


def test_the_joint_response_is_computed_from_the_features_of_one_clip(
    run_folder: Path, cache: PoseCache
) -> None:
    run = load_run(run_folder)
    clips, networks = ClipsOfRun(run, cache), DeployedNetworks(run, CPU)
    response = measure_response(run, clips, networks, 0, 0, 4)
    assert response.moments.tolist() == [1, 3, 5, 7]
    experiment, manifest = run.experiment, build_manifest(cache, run.experiment)
    sample = PairedClips(
        cache, clips.clips, manifest.classes, experiment.clip, experiment.clip, None, experiment.seed
    )[0]
    student = load_bundle(run_folder / "student.safetensors").network
    with torch.inference_mode():
        features = student(sample.low[None], sample.low_mask[None]).features[0, 0]
    norm = features.square().sum(dim=0).sqrt().numpy()  # two feature frames for eight frames
    assert len(norm) == 2
    largest = norm.max()
    assert response.largest["student"] == pytest.approx(largest, rel=1e-4)
    np.testing.assert_allclose(response.magnitude["student"], norm[[0, 0, 1, 1]] / largest, atol=1e-5)
    np.testing.assert_array_equal(response.pose[2], sample.high[0, :2, 5].T.numpy())
    np.testing.assert_array_equal(response.missing[2], sample.low[0, 2, 5].numpy() == 0)


def test_derived_low_quality_has_the_same_people(cache: PoseCache) -> None:
    derive = Degradation(every=2, occlusion=0.5)
    clip = build_manifest(cache, tiny_experiment(derive_low=derive)).clips[0]
    high, low, matched_people = load_qualities(cache, clip, 2, derive, 3)
    assert matched_people == {0, 1}
    np.testing.assert_array_equal(low.keypoints, degrade(high, derive, 3).keypoints)


# Robustness


def remove_people(sequence: PoseSequence, strength: float, _: np.random.Generator) -> PoseSequence:
    return without_people(sequence) if strength == 1 else sequence


def test_top1_under_a_degradation_is_the_accuracy_on_the_degraded_clips(
    run_folder: Path, cache: PoseCache
) -> None:
    run = load_run(run_folder)
    clips, networks = ClipsOfRun(run, cache), DeployedNetworks(run, CPU)
    axis = DegradationAxis("people removed", "share", (0.5, 1.0), remove_people)
    curve = measure_robustness(run, clips, networks, [axis], 1000, 0, QUIET)[0]
    assert curve.strengths == (0, 0.5, 1)
    predictions = predict_clips(run, clips, networks, QUIET)
    trained_top1 = {each.name: each.figures.top1 for each in run.methods}
    empty = int(np.flatnonzero(predictions.shared_person < 0)[0])
    for network, (undegraded, unchanged, removed) in curve.top1.items():
        if not network.smoothed_for_test:
            assert undegraded == pytest.approx(trained_top1[network.method])
        assert unchanged == undegraded
        predicted = predictions.predicted[network.method][empty]  # the prediction for any clip without people
        assert removed == pytest.approx(100 * np.mean(predictions.label == predicted))


def test_networks_are_evaluated_with_and_without_smoothing(run_folder: Path) -> None:
    evaluated = {
        (each.method, each.quality, each.clip.smoothing, each.smoothed_for_test)
        for each in evaluated_networks(load_run(run_folder))
    }
    assert evaluated == {
        ("teacher", "high", 1, False), ("baseline", "low", 1, False), ("baseline", "low", 3, True),
        ("student", "low", 1, False), ("student", "low", 3, True), ("smoothed", "low", 3, False),
        ("student_smoothed", "low", 3, False),
    }  # fmt: skip


@pytest.mark.parametrize(("share", "kept"), [(0.0, 40), (0.5, 20), (0.75, 10), (0.9, 4)])
def test_frames_are_dropped_evenly(share: float, kept: int) -> None:
    sequence = a_sequence(ACTIONS[0], frames=40)
    frames = drop_frames_evenly(sequence, share, np.random.default_rng(0)).frame_index
    assert len(frames) == kept
    assert len(set(np.diff(frames).tolist())) == 1


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5])
def test_cropping_hides_a_share_of_the_extent_at_one_side(share: float) -> None:
    xy = np.stack(np.meshgrid(np.linspace(0, 40, 41), np.linspace(0, 40, 41)), axis=-1).reshape(-1, 1, 1, 2)
    keypoints = np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1).astype(np.float32)
    dot = Layout("dot", ("head",), (), "head", (0.1,))
    rows = np.arange(len(keypoints), dtype=np.int32)
    sequence = PoseSequence(keypoints, rows, len(rows), dot, 10.0, (50, 50))
    sides = set()
    for seed in range(20):
        left = crop(sequence, share, np.random.default_rng(seed)).keypoints
        seen = left[left[..., -1] > 0][:, :2]
        extent = tuple(np.concatenate([seen.min(axis=0), seen.max(axis=0)]).tolist())
        sides.add(extent)
        assert len(seen) == 41 * (41 - round(40 * share))
    cut = 40 * share
    expected = {(cut, 0, 40, 40), (0, cut, 40, 40), (0, 0, 40 - cut, 40), (0, 0, 40, 40 - cut)}
    assert sides == expected


def test_the_strength_of_a_fall_is_between_the_measured_ones() -> None:
    strengths = (0, 0.2, 0.4, 0.8)
    assert strength_at_fall(strengths, (80, 79, 69, 10), 5) == pytest.approx(0.28)
    assert strength_at_fall(strengths, (80, 75, 80, 80), 5) == pytest.approx(0.2)  # the first fall counts
    assert strength_at_fall(strengths, (80, 90, 90, 75.1), 5) is None


def test_the_robustness_card_by_hand() -> None:
    clip = tiny_experiment().clip
    student, baseline = (
        EvaluatedNetwork(name, "low", clip, smoothed_for_test=False) for name in ("student", "baseline")
    )
    smoothed = student._replace(smoothed_for_test=True)
    lost, shaken = (
        DegradationAxis(name, "share", (0.5, 1.0), remove_people) for name in ("joints lost", "joints shaken")
    )
    curves = [
        RobustnessCurve(
            lost, (0, 0.5, 1), {baseline: (70, 60, 50), student: (80, 78, 68), smoothed: (9, 9, 9)}
        ),
        RobustnessCurve(
            shaken, (0, 0.5, 1), {baseline: (70, 69, 68), student: (80, 70, 60), smoothed: (9, 9, 9)}
        ),
    ]
    table = tabulate_falls(curves)
    assert table.header == ("degradation", "strength", "LQS-S", "SKD")
    assert table.rows == [
        ["joints lost", "share", ("0.25", 0.25), ("0.65", 0.65)],
        ["joints shaken", "share", ("above 1", 1.0), ("0.25", 0.25)],
    ]
    assert conclude_robustness(curves) == (
        "SKD loses most with joints shaken: 20 points at 1. Of 4 degraded test sets, it is over a point more "
        "accurate than LQS-S on 2, and over a point less accurate on 1."
    )


@pytest.mark.parametrize("index", range(len(degradation_axes(Robustness()))))
def test_every_degradation_leaves_a_valid_sequence(index: int) -> None:
    axis = degradation_axes(Robustness())[index]
    for sequence in (
        a_sequence(ACTIONS[0]),
        without_people(a_sequence(ACTIONS[0])),
        a_sequence(ACTIONS[0], frames=1),
    ):
        for strength in axis.strengths:
            degraded = axis.degrade(sequence, strength, np.random.default_rng(0))
            assert len(degraded.frame_index) >= 1
            assert degraded.video_frames == sequence.video_frames


# Figures


def svg_of(figure: Figure) -> str:
    return to_svg(figure, "this")


def test_sixty_classes_have_different_looks() -> None:
    assert len({numbered_look(index) for index in range(60)}) == 60


@pytest.mark.parametrize("count", [2, 61])
def test_figures_show_the_exact_class_names(count: int) -> None:
    classes = [f"_class ${index}$ & <co>" for index in range(count)]
    label = np.arange(count)
    matrix = confusion_matrix(label, label[::-1], count)
    accuracy = np.where(label == 1, np.nan, 50.0)
    drawn = [
        svg_of(draw_confusion({"teacher": matrix, "student": matrix}, classes)),
        svg_of(draw_accuracy_by_class({"teacher": accuracy}, classes, [1] * count)),
        svg_of(draw_map({"teacher": np.zeros((count, 2))}, label, classes)),
    ]
    assert all("_class $0$ &amp; &lt;co&gt;" in svg for svg in drawn)


def test_the_gain_is_shown_beside_each_class() -> None:
    accuracy = {"baseline": np.array([20.0, 60.0, np.nan]), "student": np.array([50.0, 40.0, np.nan])}
    svg = svg_of(draw_accuracy_by_class(accuracy, ["a", "b", "c"], [10, 10, 0]))
    assert all(f">{text}<" in svg for text in ("+30", "-20", "no clip"))


def test_curves_are_drawn_unchanged() -> None:
    curves = {
        "teacher": [Curve({"task": 2.0}), Curve({"task": 1.0})],
        "student": [
            Curve({"task": 3.0, "kl": 0.5}, {"kl": -0.25}, {"kl": 0.75}),
            Curve({"task": 1.5, "kl": 0.25}, {"kl": 0.5}, {"kl": 0.0}),
        ],
    }
    task, kl = draw_losses(curves).axes
    assert [list(line.get_ydata()) for line in task.lines] == [[2, 1], [3, 1.5]]
    assert [list(line.get_ydata()) for line in kl.lines] == [[0.5, 0.25]]
    known = [
        Curve({"task": 1.0}, training_top1=top1, test_top1=test) for top1, test in ((40, None), (60, 55))
    ]
    task, accuracy = draw_losses({"teacher": known, "baseline": [Curve({"task": 3.0})] * 2}).axes
    assert len(task.lines) == 2
    assert [list(line.get_ydata()) for line in accuracy.lines[:2]] == [[40, 60], [55]]
    assert list(accuracy.lines[1].get_xdata()) == [2]
    share, cosine = draw_conflicts({"student": curves["student"]}).axes
    assert list(share.lines[0].get_ydata()) == [75, 0]
    assert [-0.25, 0.5] in [list(line.get_ydata()) for line in cosine.lines]


def test_networks_are_drawn_at_their_cost() -> None:
    points = [
        CostPoint("r", "teacher", 90, 10**6, 2.0, Timing((0.008, 0.009, 0.007))),
        CostPoint("q", "student", 80, 10**5, 0.1, Timing((0.003, 0.005, 0.002))),
    ]
    gflops, milliseconds = draw_cost(points).axes
    for axes, expected in ((gflops, [(2, 90), (0.1, 80)]), (milliseconds, [(8, 90), (3, 80)])):
        assert [tuple(each.get_offsets()[0]) for each in axes.collections] == expected  # type: ignore[index]
    front, *others = milliseconds.lines
    assert [list(line.get_xdata()) for line in others if len(line.get_xdata()) == 2] == [[7, 9], [2, 5]]
    assert [tuple(point) for point in front.get_xydata()] == [(3, 80), (8, 90)]


def test_the_pareto_front_is_more_accurate_than_all_that_is_cheaper() -> None:
    cost, top1 = [3, 1, 2, 2, 4, 1], [70, 50, 60, 65, 69, 40]
    assert pareto_front(cost, top1) == [1, 3, 0]


def test_a_figure_is_described_by_its_titles_and_axes() -> None:
    curves = {"student": (np.array([0.5, 1.0]), np.array([1.0, 0.5]))}
    figure = draw_coverage(curves, "student", [Coverage(0.5, 10, 1.0, 0.5)])
    assert describe(figure) == (
        "Accuracy of the labelled clips: of these, correct (%) against test clips that get a label (%)"
    )
    figure.suptitle(as_text("_$x$"))
    assert describe(figure).startswith("_$x$; ")


def test_a_reliability_diagram_shows_accuracy_and_clips_of_each_bin() -> None:
    logits = np.log(np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]], np.float32))
    label = np.array([0, 1, 1])
    figure = draw_reliability([measure_reliability("student", logits, label, each) for each in (None, 1.5)])
    upper, _, lower, _ = figure.axes
    heights = {round(bar.get_x(), 2): bar.get_height() for bar in upper.patches}  # type: ignore[attr-defined]
    assert {x: height for x, height in heights.items() if np.isfinite(height)} == {0.6: 100, 0.87: 50}
    assert [text.get_text().strip() for text in lower.texts] == ["1", "2"]
    assert "temperature 1.50" in svg_of(figure)


# The HTML page


class PageReader(HTMLParser):
    """Collects references, ids and headings of a page; checks that elements are closed in order."""

    _VOID = frozenset({"meta", "input", "br", "hr", "img", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.named: list[tuple[str, str]] = []
        self.headings: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.data: dict[tuple[str, str], list[str]] = defaultdict(list)  # by section and element
        self.section = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag == "section":
            self.section = dict(attrs)["id"] or ""
        self.references += [
            value or "" for name, value in attrs if name in {"href", "src", "xlink:href", "srcset"}
        ]
        self.references += re.findall(r"url\(([^)]*)\)", " ".join(value or "" for _, value in attrs))
        self.named += [
            (value or "", f"{tag} {attrs}") for name, value in attrs if name == "id" and tag != "image"
        ]
        assert tag not in {"script", "link", "iframe", "object"}
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self._VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["h2"]:
            self.headings.append(data)
        if self.open:
            self.data[self.section, self.open[-1]].append(data)


def read_page(path: Path) -> PageReader:
    """Parse a page and check that it is self-contained."""
    text = path.read_text(encoding="utf-8")
    reader = PageReader()
    reader.feed(text)
    assert not reader.open
    assert len(set(reader.named)) == len({name for name, _ in reader.named})  # repeated for equal shapes
    ids = {f"#{name}" for name, _ in reader.named}
    assert all(each in ids or each.startswith("data:image/png;base64,") for each in reader.references)
    assert "@import" not in text
    return reader


def write_and_read(folder: Path, cache: PoseCache, output: Path, **options: object) -> PageReader:
    write_report(folder, cache, output, BRIEF, device=CPU, **options)  # type: ignore[arg-type]
    return read_page(output)


@pytest.fixture(scope="module")
def page_file(run_folder: Path, cache: PoseCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the run with all methods, beside itself."""
    output = tmp_path_factory.mktemp("page") / "made" / "report.html"
    write_and_read(run_folder, cache, output, beside=[run_folder])
    return output


def test_a_complete_run_has_every_figure(run_folder: Path, page_file: Path) -> None:
    page = read_page(page_file)
    assert page.headings == [
        "Summary", "Data check", "Accuracy against cost", "Accuracy by class", "Wrong clips",
        "Confusion matrices", "Calibration", "t-SNE of the logits", "Response by joint", "Robustness",
        "Learning curves", "Gradient conflicts", "Settings",
    ]  # fmt: skip
    text = page_file.read_text(encoding="utf-8")
    run = load_run(run_folder)
    wrong = sum(not each for each in run.results["student"].correct.values()) - run.results["student"].unseen
    assert text.count("<svg") == 7 + 2 + 2 + 2 * wrong
    for each in run.methods:
        assert f"{each.figures.parameters:,}" in text
        assert f">{each.figures.top1:.2f}</td>" in text
    assert len(shown_times(text)) == 2 * len(run.methods)
    assert [path.name for path in page_file.parent.iterdir()] == ["report.html"]


def test_the_page_shows_the_findings_of_the_data_check(
    run_folder: Path, cache: PoseCache, page_file: Path
) -> None:
    source = page_file.read_text(encoding="utf-8")
    assert "<code>skdpipe " in source
    text = html.unescape(source).replace("<code>", "`").replace("</code>", "`")
    report = check_data(cache, load_run(run_folder).experiment)
    assert f"Problems: {report.count('problem')}, warnings: {report.count('warning')}." in text
    for finding in report.findings:
        row = f'<tr class="{finding.level}"><td>{finding.name}</td><td>{finding.level}</td><td>{finding.text}'
        assert row in text
        assert f"<td>{finding.remedy}</td></tr>" in text
    assert "1 of 13 clips are without people" in text
    assert f"<small>{ACTIONS[0]} 99.mp4" in text


def shown_times(page: str) -> list[tuple[float, float, float]]:
    """Median, lowest and highest of each time in the tables of a page."""
    return [
        (float(median), float(low), float(high))
        for median, low, high in re.findall(r">([\d.]+) \[([\d.]+), ([\d.]+)\]</td>", page)
    ]


def test_two_identical_networks_have_times_that_overlap(run_folder: Path, page_file: Path) -> None:
    times = shown_times(page_file.read_text(encoding="utf-8"))
    count = len(load_run(run_folder).methods)
    for (median, low, high), (_, other_low, other_high) in zip(times[:count], times[count:], strict=True):
        assert 0 < low <= median <= high
        assert low <= other_high
        assert other_low <= high


def test_the_page_is_reproducible_except_for_times(
    run_folder: Path, cache: PoseCache, tmp_path: Path
) -> None:
    def without_times(path: Path) -> str:
        write_and_read(run_folder, cache, path)
        text = path.read_text(encoding="utf-8")
        assert shown_times(text)
        text = re.sub(r'<section id="cost">.*?</section>', "", text, flags=re.DOTALL)
        return re.sub(r">[\d.]+ \[[\d.]+, [\d.]+\]</td>", "", text)

    assert without_times(tmp_path / "one.html") == without_times(tmp_path / "two.html")


@pytest.mark.parametrize("method", ["teacher", "baseline"])
def test_one_method_is_enough(cache: PoseCache, tmp_path: Path, method: str) -> None:
    folder = train_run(cache, tmp_path, methods=(method,), recipe=Recipe(epochs=1, batch=4))
    write_and_read(folder, cache, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No gradient was revised" in text


def test_test_clips_without_people(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    for action in ACTIONS:
        for number in range(4):
            sequence = a_sequence(action, number, split="train" if number else "test")
            cache.save(sequence if number else without_people(sequence), "high", "eyes-1")
    folder = train_run(
        cache, tmp_path, methods=("baseline",), derive_low=Degradation(occlusion=0.3), recipe=Recipe(epochs=1)
    )
    write_and_read(folder, cache, tmp_path / "report.html")
    assert "No test clip contains the same person" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_page_shows_the_wrong_clips_of_the_student(
    run_folder: Path, cache: PoseCache, page_file: Path
) -> None:
    page = page_file.read_text(encoding="utf-8")
    section = re.search(r'<section id="wrong">.*?</section>', page, re.DOTALL)
    assert section
    run = load_run(run_folder)
    clips = ClipsOfRun(run, cache)
    predictions = predict_clips(run, clips, DeployedNetworks(run, CPU), QUIET)
    label, predicted = predictions.label, predictions.predicted["student"]
    probability = probabilities_of(predictions.logits["student"], None).max(axis=1)
    shown = sorted(
        np.flatnonzero((predicted != label) & (predicted >= 0)), key=lambda i: (label[i], -probability[i])
    )
    cards = re.findall(r'<figure class="clip">.*?</figure>', section[0], re.DOTALL)
    assert len(cards) == len(shown) > 0
    for index, card in zip(shown, cards, strict=True):
        answers = re.findall(r'<div class="(\w+)"><span class="name">(.*?)</span> (.*?)</div>', card)
        expected = []
        for name, title in (("student", "SKD"), ("teacher", "HQS-T"), ("baseline", "LQS-S")):
            found = predictions.predicted[name][index]
            percent = 100 * probabilities_of(predictions.logits[name][index], None).max()
            correctness = "right" if found == label[index] else "wrong"
            expected.append((correctness, title, f"{run.classes[found]} {percent:.0f}\N{NO-BREAK SPACE}%"))
        assert answers == expected
        assert f"<small>{clips.clips[index].source}</small>" in card
        assert card.count("<svg") == 2
    wrong = int((predicted != label).sum())
    assert f"SKD labels {wrong} of 5 test clips wrongly; {len(shown)} of them are shown" in section[0]
    rows = re.findall(r'<td class="text">([^<]*)</td><td class="text">[^<]*</td><td>(\d+)</td>', section[0])
    in_rows = {names: int(count) for names, count in rows}
    assert len(in_rows) == 7
    assert sum(count for names, count in in_rows.items() if "SKD" in names) == wrong
    assert f"The {int((predicted < 0).sum())} clips in which nobody was detected" in section[0]


HOSTILE = (
    "<script>x()</script>", '"><img onerror=x()>', "{{7*7}}", "\u202egnp.exe",
    "a\x1b[31m\x07b", "]]>", "$x_1$", r"$\frac$ \$y\$", "</style></svg><b>", "--><!-- &lt; &#60;",
    "' onload='alert(1)", "\udc80",
)  # fmt: skip


def test_hostile_names_are_text_everywhere(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    for number, name in enumerate(HOSTILE):
        for split in ("train", "test"):
            where = {"split": split, "label": name, "source": f"{split} {name}", "estimator": name}
            cache.save(
                a_sequence(ACTIONS[number % 2], 2 * number + (split == "test"), **where), "high", "eyes"
            )
    folder = train_run(
        cache, tmp_path, name='<b>&"{{run}}$y$', methods=("teacher", "baseline", "student"),
        derive_low=Degradation(occlusion=0.3), recipe=Recipe(epochs=1, batch=4),
    )  # fmt: skip
    page = write_and_read(folder, cache, tmp_path / "report.html", beside=[folder])
    assert set(page.tags) <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "nav", "ol", "ul", "li", "a",
        "section", "p", "code", "div", "span", "small", "br", "label", "input", "table", "thead", "tbody",
        "tr", "th", "td", "figure", "figcaption", "details", "summary", "pre", "svg", "defs", "g", "path",
        "use", "text", "clippath", "rect", "image",
    }  # fmt: skip
    assert not [name for name in page.attributes if name.startswith("on")]
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not {character for character in text if not character.isprintable()} - set("\n\xa0")
    shown = [printable(name) for name in HOSTILE]
    for section in ("classes", "confusion", "tsne"):
        drawn = "".join(page.data[section, "text"])
        assert not [name for name in shown if name not in drawn]
    sources = [text for text in page.data["wrong", "small"] if text.startswith("test ")]
    assert len(sources) == text.count('<figure class="clip">') > 0
    assert set(sources) <= {f"test {name}" for name in shown}
    assert set(page.data["wrong", "h3"]) <= {*(f"{name} " for name in shown)}
    assert {printable(name) for name in load_run(folder).classes} == set(shown)
    assert page.data["", "title"] == ["Report on the run " + printable(folder.name)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n b\t", r"a\n b\t"),
        ("x" * 31, "x" * 29 + "…"),
        ("_a_", " _a_"),
        ("5$ $x$", r"5\$ \$x\$"),
        ("", ""),
    ],
)
def test_names_in_figures_are_one_short_line(text: str, expected: str) -> None:
    assert as_text(text) == expected


# Imports


def test_importing_the_report_imports_none_of_its_optional_packages() -> None:
    packages = {"torch", "matplotlib", "sklearn", "jinja2"}
    code = f"import sys, skdpipe.report; print(*{packages} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_missing_package_is_an_error_that_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "skdpipe.errors.find_spec", lambda name: None if name in {"matplotlib", "jinja2"} else find_spec(name)
    )
    message = r'matplotlib, jinja2 not found.*pip install "skdpipe\[report\]"'
    with pytest.raises(MissingDependencyError, match=message):
        write_report(tmp_path, PoseCache(tmp_path), tmp_path / "report.html", BRIEF, device=CPU)


# Errors


def test_a_missing_cache_is_an_error(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no pose cache at .*nowhere; .* specify it with --cache"):
        write_and_read(run_folder, PoseCache(tmp_path / "nowhere"), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_another_cache_is_refused(run_folder: Path, tmp_path: Path) -> None:
    other = fill(PoseCache(tmp_path / "cache"), of_each=9)
    with pytest.raises(DataError, match=r"not contain the clips of .*; expected 8 training and 5 test clips"):
        write_and_read(run_folder, other, tmp_path / "report.html")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "no run at"),
        ("experiment: {}", "is not the config of a run"),
        ("- 1", "is not the config of a run"),
        (
            "experiment: {}\ndata: {classes: [a], high: a, low: b, clips: c, training_clips: 1,"
            " test_clips: 1}",
            "no trained method in",
        ),
    ],
)
def test_other_folders_are_refused(tmp_path: Path, config: str | None, message: str) -> None:
    if config is not None:
        (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        load_run(tmp_path)


# The command

RunCommand = Callable[..., tuple[object, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunCommand:
    def run(*arguments: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["skdpipe", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return (end.value.code or 0, *capsys.readouterr())

    return run


def test_the_command_writes_into_the_runs_folder(run_folder: Path, cache: PoseCache, run: RunCommand) -> None:
    settings = (
        "--set",
        "robustness={occlusion: [0.5], frame_loss: [0.5], jitter: []}",
        "--set",
        "response_clips=0",
        "--set",
        "wrong.clips=0",
    )
    code, out, _ = run("report", run_folder, "--cache", cache.root, "--device", "cpu", *settings)
    assert (code, out) == (0, f"{run_folder / 'report.html'}\n")
    read_page(run_folder / "report.html")
    text = (run_folder / "report.html").read_text(encoding="utf-8")
    assert "; 0 of them are shown" in text
    assert '<figure class="clip">' not in text


def test_the_command_reports_a_missing_cache_in_one_line(
    run_folder: Path, run: RunCommand, tmp_path: Path
) -> None:
    code, out, message = run("report", run_folder, "--cache", tmp_path / "gone", "--device", "cpu")
    assert (code, out) == (1, "")
    assert len(message.splitlines()) == 1
