"""Fitting recovers the parameters of simulated errors: shares, sizes and lengths of each joint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from sequences import make_sequence

from skdpipe.cache import PoseCache
from skdpipe.config import Degradation, EstimatorNoise, parse_config
from skdpipe.degradation import (
    fit_noise,
    fit_noise_of_cache,
    occlude,
    sample_frames,
    save_noise,
    simulate_pose_errors,
)
from skdpipe.errors import DataError
from skdpipe.skeleton import COCO_17, PENN_13, Origin, PoseSequence

NOISE = EstimatorNoise(
    jitter={joint: 0.01 if joint != "left_wrist" else 0.03 for joint in PENN_13.joints},
    jitter_frames=3.0,
    outliers=0.02,
    outlier_size=0.3,
    outlier_frames=2.0,
    swaps=0.1,
    swap_frames=5.0,
    misses={joint: 0.05 if joint != "right_ankle" else 0.3 for joint in PENN_13.joints},
    miss_frames=4.0,
    lost=0.08,
    lost_frames=6.0,
    confidence=0.8,
    confidence_wrong=0.4,
    confidence_spread=0.1,
)


def walker(number: int, frames: int = 300) -> PoseSequence:
    """A person 260 pixels tall who walks through the image; left is 60 pixels from right."""
    rng = np.random.default_rng(number)
    pose = np.zeros((13, 2))
    for joint, name in enumerate(PENN_13.joints):
        height = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle").index(name.split("_")[-1])
        pose[joint] = (30 if "left" in name else -30 if "right" in name else 0, 40 * height)
    keypoints = np.ones((frames, 1, 13, 3), np.float32)
    walk = np.linspace(0, 300, frames)[:, None, None]
    keypoints[:, 0, :, :2] = pose + np.concatenate([walk, 0 * walk], axis=2) + rng.uniform(100, 200)
    origin = Origin(source=f"{number}", key=f"{number:04x}", estimator="walk")
    return make_sequence(keypoints, PENN_13, fps=30.0, size=(900, 600), origin=origin)


@pytest.fixture(scope="module")
def pairs() -> list[tuple[PoseSequence, PoseSequence]]:
    walkers = [walker(number) for number in range(30)]
    return [
        (each, simulate_pose_errors(each, NOISE, np.random.default_rng(i))) for i, each in enumerate(walkers)
    ]


def test_fitting_recovers_the_simulated_noise(pairs: list[tuple[PoseSequence, PoseSequence]]) -> None:
    found = fit_noise(pairs, PENN_13)
    for joint in PENN_13.joints:
        assert found.jitter[joint] == pytest.approx(NOISE.jitter[joint], rel=0.15)
        assert found.misses[joint] == pytest.approx(NOISE.misses[joint], abs=0.025)
    for name, within in {
        "jitter_frames": 0.2, "outliers": 0.3, "outlier_size": 0.1, "outlier_frames": 0.2, "swaps": 0.25,
        "swap_frames": 0.25, "miss_frames": 0.15, "lost": 0.3, "lost_frames": 0.3, "confidence": 0.03,
        "confidence_wrong": 0.1, "confidence_spread": 0.3,
    }.items():  # fmt: skip
        assert getattr(found, name) == pytest.approx(getattr(NOISE, name), rel=within), name


def test_lengths_are_in_video_frames_if_low_quality_is_sampled(
    pairs: list[tuple[PoseSequence, PoseSequence]],
) -> None:
    found = fit_noise([(high, sample_frames(low, 2)) for high, low in pairs], PENN_13)
    assert found.lost_frames == pytest.approx(NOISE.lost_frames, rel=0.4)
    assert found.swap_frames == pytest.approx(NOISE.swap_frames, rel=0.4)


def test_a_perfect_estimator_has_no_noise() -> None:
    found = fit_noise([(walker(0), walker(0))], PENN_13)
    assert found == EstimatorNoise(
        jitter=dict.fromkeys(PENN_13.joints, 0.0), misses=dict.fromkeys(PENN_13.joints, 0.0)
    )


def test_pairs_without_a_common_person_are_refused() -> None:
    unseen = occlude(walker(0), 1.0, np.random.default_rng(0))
    with pytest.raises(DataError, match="no person is seen in both qualities"):
        fit_noise([(walker(0), unseen)], PENN_13)
    with pytest.raises(DataError, match="layout penn-13 has no nose"):
        fit_noise([(walker(0), walker(0))], COCO_17)


def test_from_the_cache_to_a_config(pairs: list[tuple[PoseSequence, PoseSequence]], tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    for high, low in pairs[:4]:
        cache.save(high, "high", "accurate")
        cache.save(replace(low, origin=replace(high.origin, estimator="fast")), "low", "fast")
    cache.save(walker(99), "high", "accurate")  # has no low quality
    found = fit_noise_of_cache(cache, "", "fast", "penn-13")
    assert found == fit_noise(pairs[:4], PENN_13)
    file = tmp_path / "folder" / "noise.yaml"
    save_noise(found, file)
    assert parse_config(Degradation, {"noise": str(file)}, "here").noise == found
    assert parse_config(Degradation, {"noise": yaml.safe_load(file.read_text())}, "here").noise == found
