"""Facts about training clips: lengths, poses a second, people; and that bundles state them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from distillation_setup import CPU
from moving_body import ACTIONS, a_sequence, fill, tiny_experiment

from skdpipe.cache import PoseCache
from skdpipe.config import ClipFormat, Degradation
from skdpipe.dataset import Manifest, build_manifest
from skdpipe.dataset.training_clips import describe_training_clips
from skdpipe.degradation import sample_frames
from skdpipe.distill import distill_student
from skdpipe.inference import TrainingClips, read_metadata
from skdpipe.skeleton import UNSEEN, PoseSequence

CLIP = ClipFormat(frames=8)


def in_cache(folder: Path, sequences: Sequence[PoseSequence]) -> tuple[PoseCache, Manifest]:
    """A cache of high-quality training clips, with one test clip."""
    cache = PoseCache(folder)
    for each in sequences:
        cache.save(replace(each, origin=replace(each.origin, split="train")), "high", "eyes-1")
    cache.save(a_sequence(ACTIONS[0], 99, split="test"), "high", "eyes-1")
    return cache, build_manifest(cache, tiny_experiment(derive_low=Degradation()))


def described(
    folder: Path,
    sequences: Sequence[PoseSequence],
    clip: ClipFormat = CLIP,
    derive: Degradation | None = None,
) -> TrainingClips:
    cache, manifest = in_cache(folder, sequences)
    quality = "high" if derive is None else "low"
    return describe_training_clips(cache, manifest.part(train=True), quality, clip, derive, 0)


def of_lengths(*frames: int) -> list[PoseSequence]:
    """Clips of one person at 12 frames per second, of both actions in turn."""
    return [a_sequence(ACTIONS[i % 2], i, frames=count) for i, count in enumerate(frames)]


def seen_in(sequence: PoseSequence, *shares: float) -> PoseSequence:
    """The sequence with the same person several times, each seen in the first share of the frames only."""
    frames = len(sequence.frame_index)
    people = [
        np.where(np.arange(frames)[:, None, None] < share * frames, sequence.keypoints[:, 0], UNSEEN)
        for share in shares
    ]
    return sequence.with_keypoints(np.stack(people, axis=1).astype(np.float32))


def test_lengths_in_seconds(tmp_path: Path) -> None:
    found = described(tmp_path, of_lengths(12, 24, 60))
    assert (found.shortest, found.seconds, found.longest) == (1.0, 2.0, 5.0)
    assert found.window == 2.0
    assert found.pose_fps == 12


def test_a_replayed_clip_enters_the_network_as_far_as_it_is_long_enough(tmp_path: Path) -> None:
    found = described(tmp_path, of_lengths(12, 24, 60), ClipFormat(frames=18, fill="replay"))
    assert (found.shortest, found.seconds, found.longest) == (1.0, 2.0, 5.0)
    assert found.window == 1.5
    longer = described(tmp_path, of_lengths(12, 24, 60), ClipFormat(frames=300, fill="replay"))
    assert longer.window == 2.0


def test_the_rate_of_sampled_poses_is_that_of_the_rows(tmp_path: Path) -> None:
    sampled = described(tmp_path / "a", [sample_frames(each, 3) for each in of_lengths(12, 25, 60)])
    assert sampled.pose_fps == 4
    assert (sampled.shortest, sampled.longest) == (1.0, 5.0)
    derived = described(tmp_path / "b", of_lengths(12, 24, 60), derive=Degradation(every=2))
    assert derived.pose_fps == 6


def test_the_rate_of_frames_that_are_not_evenly_spaced_is_that_of_most(tmp_path: Path) -> None:
    first, second = of_lengths(6, 6)
    times = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.9])
    found = described(tmp_path, [replace(each, times=times) for each in (first, second)])
    assert found.pose_fps == pytest.approx(10)


def test_the_rate_of_a_single_pose_is_that_of_the_video(tmp_path: Path) -> None:
    found = described(tmp_path, of_lengths(1, 1))
    assert found.pose_fps == 12
    assert found.window == pytest.approx(1 / 12)


def test_people_and_how_often_the_main_one_is_seen(tmp_path: Path) -> None:
    first, second, third, fourth = of_lengths(20, 20, 20, 20)
    found = described(
        tmp_path,
        [
            seen_in(first, 0.1, 0.9, 0.15),  # a third person is left out of clips of two
            seen_in(second, 1.0),
            seen_in(third, 0.5, 0.2),
            seen_in(fourth, 0.7, 0.7),
        ],
    )
    assert found.people == 2
    assert found.several == 0.5
    assert found.seen == pytest.approx(0.8)
    assert found.least_seen == pytest.approx(0.5 + 0.15 * 0.2)  # numpy's linear quantile


def test_one_person_is_counted_for_a_network_of_one(tmp_path: Path) -> None:
    found = described(
        tmp_path, [seen_in(each, 1.0, 1.0) for each in of_lengths(12, 12)], ClipFormat(people=1)
    )
    assert (found.people, found.several) == (1, 0.0)


def test_nobody_may_be_left_after_a_degradation(tmp_path: Path) -> None:
    found = described(tmp_path, of_lengths(12, 12), derive=Degradation(occlusion=1.0))
    assert (found.people, found.several, found.seen, found.least_seen) == (0, 0.0, 0.0, 0.0)


def test_each_bundle_describes_its_own_quality(tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path / "cache"))
    experiment = tiny_experiment(methods=("teacher", "baseline"))
    result = distill_student(experiment, cache, tmp_path / "models", device=CPU)
    teacher, baseline = (
        read_metadata(result.folder / f"{method}.safetensors").training_clips for method in experiment.methods
    )
    expected = TrainingClips(1.0, 1.0, 1.0, 1.0, 12.0, 1, several=0.0, seen=1.0, least_seen=1.0)
    assert teacher == expected
    assert baseline == replace(expected, pose_fps=6.0)
