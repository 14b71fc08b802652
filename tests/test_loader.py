"""Batches of an epoch: their number, their order, and classes with the same number of clips."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from distillation_setup import training_clips
from hypothesis import given
from hypothesis import strategies as st
from moving_body import fill, tiny_experiment

from skdpipe.cache import PoseCache
from skdpipe.config import Augmentation, ClipFormat
from skdpipe.dataset import Batch, BatchPart, PairedClips, batches, build_manifest
from skdpipe.dataset.loader import balanced_order, clips_per_epoch, steps_per_epoch

Labels = st.lists(st.integers(-1, 4), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    return fill(PoseCache(tmp_path_factory.mktemp("cache")))


def uneven(cache: PoseCache) -> PairedClips:
    """Four clips of one class and one of the other."""
    manifest = build_manifest(cache, tiny_experiment())
    first, second = manifest.classes
    training = manifest.part(train=True)
    chosen = [clip for clip in training if clip.label == first][:4]
    chosen += [clip for clip in training if clip.label == second][:1]
    clip = ClipFormat(frames=8)
    return PairedClips(cache, chosen, manifest.classes, clip, clip, None, 0)


@given(Labels, st.integers(0, 2**32))
def test_every_class_has_the_same_number_of_clips(labels: list[int], seed: int) -> None:
    order = balanced_order(labels, np.random.default_rng(seed))
    counts = Counter(labels[index] for index in order)
    labelled = [label for label in labels if label >= 0]
    classes = set(labelled)
    share = math.ceil(len(labelled) / len(classes)) if classes else 0
    assert counts == Counter({**dict.fromkeys(classes, share), -1: labels.count(-1)})
    assert len(order) == clips_per_epoch(labels, balanced=True)
    assert clips_per_epoch(labels, balanced=False) == len(labels)


@given(Labels, st.integers(0, 2**32))
def test_every_clip_of_a_class_is_used_before_one_is_repeated(labels: list[int], seed: int) -> None:
    used = Counter(balanced_order(labels, np.random.default_rng(seed)).tolist())
    assert used.keys() <= set(range(len(labels)))
    for each in set(labels):
        times = [used[index] for index, label in enumerate(labels) if label == each]
        assert max(times) - min(times) <= 1
        if each == -1:
            assert set(times) == {1}


def test_the_order_depends_on_the_random_numbers_only() -> None:
    labels = [0] * 20 + [1] * 4 + [-1] * 3
    orders = [balanced_order(labels, np.random.default_rng(seed)).tolist() for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != sorted(orders[0])
    # Of the largest class other clips are left out in another epoch.
    assert len(set(orders[0]) & set(range(20))) == 12
    assert set(orders[0]) & set(range(20)) != set(orders[2]) & set(range(20))


def test_classes_are_mixed_within_the_order() -> None:
    order = balanced_order([0] * 50 + [1] * 50, np.random.default_rng(0))
    assert 15 < np.count_nonzero(order[:50] < 50) < 35


def test_balanced_batches(cache: PoseCache) -> None:
    data = uneven(cache)
    assert sorted(data.labels) == [0, 0, 0, 0, 1]
    epoch = list(batches(data, 4, shuffle=np.random.default_rng(0), balanced=True))
    assert Counter(int(label) for batch in epoch for label in batch.label) == {0: 3, 1: 3}
    plain = list(batches(data, 3, shuffle=np.random.default_rng(0)))
    assert Counter(int(label) for batch in plain for label in batch.label) == {0: 4, 1: 1}
    in_order = [int(number) for batch in batches(data, 4, balanced=True) for number in batch.number]
    assert in_order == [0, 1, 2, 3, 4]  # a test has every clip once


@pytest.mark.parametrize("size", [2, 3, 4, 7, 8, 9])
def test_number_of_steps_of_an_epoch(cache: PoseCache, size: int) -> None:
    for data in (training_clips(cache), uneven(cache)):
        for balanced in (False, True):
            found = list(batches(data, size, shuffle=np.random.default_rng(0), balanced=balanced))
            clips = clips_per_epoch(data.labels, balanced=balanced)
            assert len(found) == steps_per_epoch(clips, size)
            assert len(found) == 1 or all(len(batch.label) > 1 for batch in found)


@pytest.mark.parametrize(
    ("clips", "size", "steps"), [(1, 16, 1), (16, 16, 1), (17, 16, 1), (18, 16, 2), (33, 16, 2), (34, 16, 3)]
)
def test_a_last_batch_of_a_single_clip_is_no_step(clips: int, size: int, steps: int) -> None:
    assert steps_per_epoch(clips, size) == steps


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_parts_of_a_batch_are_its_clips_with_the_same_transformations(
    cache: PoseCache, count: int
) -> None:
    data = training_clips(cache)

    def batches_of(part: BatchPart) -> list[Batch]:
        order, noise = np.random.default_rng(0), np.random.default_rng(1)
        return list(batches(data, 4, shuffle=order, augment=Augmentation(), noise=noise, part=part))

    parts = [batches_of(BatchPart(index, count)) for index in range(count)]
    for step, whole in enumerate(batches_of(BatchPart())):
        for index in range(count):
            for found, expected in zip(parts[index][step], whole, strict=True):
                assert torch.equal(found, expected[index::count])
