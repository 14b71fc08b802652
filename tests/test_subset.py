"""A random subset of classes and clips: the right numbers, and nested for the same seed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moving_body import fill, tiny_experiment

from skdpipe.cache import PoseCache
from skdpipe.config import Experiment, Subset, parse_config
from skdpipe.dataset import PairedClip, build_manifest
from skdpipe.dataset.subset import draw_subset
from skdpipe.errors import ConfigError, DataError

CLIPS = [
    PairedClip(f"{label}{number}", "", label, number % 3 > 0, None, None)
    for label in "abcd"
    for number in range(12)
] + [PairedClip("unlabelled", "", "", True, None, None)]


@given(st.sampled_from([0, 2, 3, 4]), st.integers(0, 9), st.integers(0, 5), st.integers(0, 99))
def test_the_numbers_are_as_set(classes: int, train: int, test: int, seed: int) -> None:
    drawn = draw_subset(CLIPS, Subset(classes, train, test), seed)
    assert drawn == [clip for clip in CLIPS if clip in drawn]
    assert drawn[-1].key == "unlabelled"
    counts = Counter((clip.label, clip.train) for clip in drawn[:-1])
    assert len({label for label, _ in counts}) == (classes or 4)
    assert {count for (_, side), count in counts.items() if side} == {min(train or 8, 8)}
    assert {count for (_, side), count in counts.items() if not side} == {min(test or 4, 4)}


@given(st.integers(0, 99))
def test_a_larger_subset_of_the_same_seed_contains_a_smaller_one(seed: int) -> None:
    small, large = draw_subset(CLIPS, Subset(2, 2, 1), seed), draw_subset(CLIPS, Subset(3, 5, 3), seed)
    assert {clip.key for clip in small} < {clip.key for clip in large}


def test_the_seed_changes_the_draw() -> None:
    draws = {tuple(clip.key for clip in draw_subset(CLIPS, Subset(2, 3, 1), seed)) for seed in range(5)}
    assert len(draws) == 5


def test_all_clips_without_a_subset() -> None:
    assert draw_subset(CLIPS, Subset(), 0) == CLIPS


def test_the_clips_outside_the_subset_are_counted(tmp_path: Path) -> None:
    manifest = build_manifest(fill(PoseCache(tmp_path)), tiny_experiment(subset=Subset(train=2, test=1)))
    assert len(manifest.clips) == 6
    assert manifest.left_out == {"a class or number outside the subset": 6}


def test_impossible_numbers_of_classes_are_refused() -> None:
    with pytest.raises(DataError, match=r"subset\.classes 5, but the clips have 4 classes"):
        draw_subset(CLIPS, Subset(classes=5), 0)
    with pytest.raises(ConfigError, match="two or more classes"):
        parse_config(Experiment, {"subset": {"classes": 1}}, "test")
