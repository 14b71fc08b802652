"""Cross-validation: every labelled pair is tested once, and whole subjects stay on one side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from moving_body import ACTIONS, a_sequence, blurred, fill, tiny_experiment

from skdpipe.cache import PoseCache
from skdpipe.config import Experiment, Fold
from skdpipe.dataset import Manifest, build_manifest
from skdpipe.distill import cross_validate, default_folds
from skdpipe.distill.cross_validation import read_cross_validation
from skdpipe.errors import DataError

CPU = torch.device("cpu")


def manifests(cache: PoseCache, folds: int) -> Iterator[Manifest]:
    for number in range(1, folds + 1):
        yield build_manifest(cache, tiny_experiment(fold=Fold(number, folds)))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    return fill(PoseCache(tmp_path_factory.mktemp("cache")), of_each=7)


@pytest.mark.parametrize("folds", [2, 3, 5, 7])
def test_each_clip_is_tested_once_and_each_part_has_every_class(cache: PoseCache, folds: int) -> None:
    tested = Counter(clip.key for each in manifests(cache, folds) for clip in each.part(train=False))
    assert set(tested.values()) == {1}
    assert len(tested) == 14
    for each in manifests(cache, folds):
        assert {clip.label for clip in each.part(train=False)} == {*ACTIONS}
        assert len(each.part(train=True)) + len(each.part(train=False)) == 14


def with_subjects(folder: Path, subjects: int, of_each: int = 6) -> PoseCache:
    cache = PoseCache(folder)
    for action in ACTIONS:
        for number in range(of_each):
            sequence = a_sequence(action, number, subject=f"P{number % subjects}")
            cache.save(sequence, "high", "eyes-1")
            cache.save(blurred(sequence), "low", "squint-1")
    return cache


def test_whole_subjects_stay_on_one_side(tmp_path: Path) -> None:
    cache = with_subjects(tmp_path, 3)
    subject_of = {entry.origin.key: entry.origin.subject for entry in cache.entries("high", "eyes-1")}
    for each in manifests(cache, 3):
        sides = [{subject_of[clip.key] for clip in each.part(train=side)} for side in (True, False)]
        assert not sides[0] & sides[1]
        assert len(sides[1]) == 1


@given(number=st.integers(1, 9), of=st.integers(0, 9))
def test_a_fold_is_one_of_two_or_more(number: int, of: int) -> None:
    if of >= max(2, number):
        assert Fold(number, of).number == number
        return
    with pytest.raises(ValueError, match=r"fold|greater"):
        Fold(number, of)


def test_the_default_is_for_few_test_clips(cache: PoseCache, tmp_path: Path) -> None:
    assert default_folds(build_manifest(cache, tiny_experiment())) == 5
    few = fill(PoseCache(tmp_path), of_each=3)
    assert default_folds(build_manifest(few, tiny_experiment())) == 3
    single = with_subjects(tmp_path / "one", 2)
    assert default_folds(build_manifest(single, tiny_experiment())) == 2


EXPERIMENT: Experiment = tiny_experiment(
    name="run", methods=("teacher", "baseline", "student"), classical=True
)


def test_the_parts_give_one_result(cache: PoseCache, tmp_path: Path) -> None:
    results = cross_validate(EXPERIMENT, cache, tmp_path, 2, device=CPU)
    assert [*results] == ["teacher", "baseline", "student", "forest_high", "forest_low"]
    keys = {entry.origin.key for entry in cache.entries("high", "eyes-1")}
    assert all({*each.label} == {*each.predicted} == keys for each in results.values())
    assert read_cross_validation(tmp_path / "run") == results
    changed = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert len(changed) == 6
    assert cross_validate(EXPERIMENT, cache, tmp_path, 2, device=CPU) == results
    assert changed == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    (tmp_path / "run/folds/2-of-2/results.json").unlink()
    assert read_cross_validation(tmp_path / "run") == {}


def test_a_part_that_cannot_be_trained_is_found_before_training(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    for number, action in enumerate(ACTIONS):  # each action by a subject of its own
        for clip in range(3):
            sequence = a_sequence(action, clip, subject=f"P{number}", split="test" if clip else "train")
            cache.save(sequence, "high", "eyes-1")
            cache.save(blurred(sequence), "low", "squint-1")
    with pytest.raises(DataError, match="no training clip of"):
        cross_validate(EXPERIMENT, cache, tmp_path / "models", 2, device=CPU)
    assert not (tmp_path / "models").exists()
