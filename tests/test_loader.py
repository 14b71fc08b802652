"""Batches of an epoch: their number, their order, and classes with the same number of clips."""

from __future__ import annotations

import math
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from distillation_setup import training_clips
from hypothesis import given
from hypothesis import strategies as st
from moving_body import ACTIONS, fill, tiny_experiment

from skdpipe.cache import PoseCache
from skdpipe.config import Augmentation, ClipFormat, Degradation
from skdpipe.dataset import Batch, BatchPart, Loader, PairedClips, batches, build_manifest
from skdpipe.dataset import loader as loader_module
from skdpipe.dataset.loader import balanced_order, clips_per_epoch, steps_per_epoch
from skdpipe.errors import CacheError, ProcessError

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


# Worker processes


def two_epochs(data: PairedClips, workers: int, part: BatchPart = BatchPart()) -> list[Batch]:  # noqa: B008
    """Augmented batches of two shuffled epochs."""
    with Loader(data, 3, workers=workers, part=part) as loader:
        return [
            batch
            for epoch in range(2)
            for batch in loader.epoch(
                epoch,
                shuffle=np.random.default_rng(epoch),
                balanced=True,
                augment=Augmentation(),
                noise=np.random.default_rng(epoch + 9),
            )
        ]


def assert_same(one: list[Batch], other: list[Batch]) -> None:
    for a, b in zip(one, other, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("part", [BatchPart(), BatchPart(1, 2)])
@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_the_number_of_workers(
    cache: PoseCache, workers: int, part: BatchPart
) -> None:
    data = training_clips(cache)
    assert_same(two_epochs(data, 0, part), two_epochs(data, workers, part))


def test_resampled_low_quality_does_not_depend_on_the_number_of_workers(cache: PoseCache) -> None:
    manifest = build_manifest(cache, tiny_experiment(derive_low=Degradation(occlusion=0.5)))
    clip = ClipFormat(frames=8)
    data = PairedClips(
        cache, manifest.clips, manifest.classes, clip, clip, Degradation(occlusion=0.5), 0, resample=True
    )
    alone = two_epochs(data, 0)
    assert_same(alone, two_epochs(data, 2))
    first, second = alone[: len(alone) // 2], alone[len(alone) // 2 :]
    assert sum(float(batch.low.abs().sum()) for batch in first) != sum(
        float(batch.low.abs().sum()) for batch in second
    )


def test_random_numbers_of_the_training_do_not_depend_on_the_number_of_workers(cache: PoseCache) -> None:
    """Dropout in an epoch follows the seed that is set before it."""
    data, drawn = training_clips(cache), []
    for workers in (0, 1):
        with Loader(data, 4, workers=workers) as loader:
            for epoch in range(2):
                torch.manual_seed(epoch)
                drawn.append([float(torch.rand(())) for _ in loader.epoch(epoch)])
    assert drawn[:2] == drawn[2:]


def test_a_part_may_have_no_clip(cache: PoseCache) -> None:
    data = training_clips(cache)
    whole, part = (list(batches(data, 3, part=each)) for each in (BatchPart(), BatchPart(2, 3)))
    assert [len(batch.label) for batch in part] == [1, 1, 0]
    for found, expected in zip(part[-1], whole[-1], strict=True):
        assert (found.shape, found.dtype) == ((0, *expected.shape[1:]), expected.dtype)


def copied(cache: PoseCache, folder: Path) -> PoseCache:
    shutil.copytree(cache.root, folder)
    return PoseCache(folder)


def test_clips_are_kept_up_to_the_limit_of_memory(cache: PoseCache, tmp_path: Path) -> None:
    def data(name: str, megabytes: float) -> PairedClips:
        manifest = build_manifest(copied(cache, tmp_path / name), tiny_experiment())
        clip = ClipFormat(frames=8)
        clips = PairedClips(
            cache, manifest.part(train=True), manifest.classes, clip, clip, None, 0, megabytes=megabytes
        )
        clips.joints(np.arange(8))
        shutil.rmtree(tmp_path / name)
        return clips

    clip_megabytes = (2 * 2 * 3 * 8 * 17 * 4 + 1000) / 1e6
    for limit, kept in ((0, 0), (2.5, 2), (8.1, 8)):
        found, readable = data(str(limit), limit * clip_megabytes), 0
        assert found.fit_into_memory == (kept == 8)
        for index in range(8):
            with suppress(CacheError):
                found[index]
                readable += 1
        assert readable == kept


def test_workers_are_started_if_the_clips_do_not_fit(
    cache: PoseCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips, clip = build_manifest(cache, tiny_experiment()).clips, ClipFormat(frames=8)
    small, large = (
        PairedClips(cache, clips, ACTIONS, clip, clip, None, 0, megabytes=limit) for limit in (0.01, 2000)
    )
    for cores, part, expected in ((1, 1, 1), (4, 1, 3), (8, 2, 3), (64, 1, 8)):
        monkeypatch.setattr(loader_module, "available_cores", lambda cores=cores: cores)
        assert Loader(small, 4, part=BatchPart(0, part)).workers == expected
        assert Loader(large, 4, part=BatchPart(0, part)).workers == 0
        assert Loader(large, 4, workers=2).workers == 2


def test_an_error_of_a_worker_is_raised(cache: PoseCache, tmp_path: Path) -> None:
    manifest = build_manifest(copied(cache, tmp_path / "copy"), tiny_experiment())
    clip = ClipFormat(frames=8)
    data = PairedClips(cache, manifest.clips, manifest.classes, clip, clip, None, 0)
    lost = manifest.clips[5].high
    assert lost is not None
    lost.unlink()
    for workers in (0, 1):
        with pytest.raises(CacheError, match=rf"^{re.escape(str(lost))} does not exist, .*$"):
            list(batches(data, 2, workers=workers))


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_a_killed_worker_is_an_error(cache: PoseCache) -> None:
    with Loader(training_clips(cache), 1, workers=1) as loader:
        epoch = loader.epoch()
        next(epoch)
        (worker,) = multiprocessing.active_children()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(ProcessError, match=r"^a process that reads clips has ended, one of 1; .*$"):
            list(epoch)


LOADING = """
import multiprocessing, sys, time
from pathlib import Path
from distillation_setup import training_clips
from skdpipe.cache import PoseCache
from skdpipe.dataset import Loader

loader = Loader(training_clips(PoseCache(Path(sys.argv[1]))), 1, workers=2)
epoch = loader.epoch()
next(epoch)
print(*(process.pid for process in multiprocessing.active_children()), flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_workers_ignore_ctrl_c_and_end_with_their_parent(cache: PoseCache) -> None:
    command = [sys.executable, "-c", LOADING, str(cache.root)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as parent:
        assert parent.stdout is not None
        workers = [Path("/proc", pid) for pid in parent.stdout.readline().split()]
        assert len(workers) == 2
        for worker in workers:
            os.kill(int(worker.name), signal.SIGINT)
        time.sleep(0.2)
        assert all(worker.exists() for worker in workers)
        parent.kill()
        parent.wait()
        until = time.monotonic() + 10
        while any(is_running(worker) for worker in workers) and time.monotonic() < until:
            time.sleep(0.05)
        assert not any(is_running(worker) for worker in workers)


def is_running(process: Path) -> bool:
    """Whether a process exists and has not ended."""
    try:
        return ") Z " not in (process / "stat").read_text(encoding="ascii")
    except OSError:
        return False
