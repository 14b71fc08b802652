"""Figures by hand: top-k, what a network costs, and which quality it is tested on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from moving_body import fill, tiny_experiment

from skdpipe.bundle import build_network
from skdpipe.cache import PoseCache
from skdpipe.config import ClipFormat, NetworkChoice
from skdpipe.dataset import PairedClips, build_manifest
from skdpipe.evaluate import accuracy, evaluate
from skdpipe.networks import GraphNetwork, count_multiply_adds, count_parameters

CPU = torch.device("cpu")
LOGITS = torch.tensor([[3.0, 2, 1, 0], [3, 2, 1, 0], [0, 1, 2, 3], [1, 0, 3, 2]])


@pytest.mark.parametrize(("k", "percent"), [(1, 25), (2, 50), (3, 75), (4, 100), (9, 100)])
def test_top_k_by_hand(k: int, percent: float) -> None:
    # the labels are the first, second, third and fourth guess
    assert accuracy(LOGITS, torch.tensor([0, 1, 1, 1]), k) == percent


@given(st.integers(1, 30), st.integers(2, 9), st.integers(0, 99))
def test_top_k_grows_with_k_to_everything(count: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(count, classes)))
    label = torch.from_numpy(rng.integers(classes, size=count))
    by_k = [accuracy(logits, label, k) for k in range(1, classes + 1)]
    assert by_k == sorted(by_k)
    assert by_k[-1] == 100
    assert by_k[0] == pytest.approx(100 * np.mean(logits.argmax(1).numpy() == label.numpy()))


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> PairedClips:
    cache = fill(PoseCache(tmp_path_factory.mktemp("cache")), of_each=8)
    manifest = build_manifest(cache, tiny_experiment())
    clip = ClipFormat(frames=8)
    return PairedClips(cache, manifest.part(train=False), manifest.classes, clip, clip, None, 0)


def a_network() -> GraphNetwork:
    torch.manual_seed(0)
    return build_network(NetworkChoice("st_2sgcn", width=4), ClipFormat(), 2)


@pytest.mark.parametrize("quality", ["high", "low"])
@pytest.mark.parametrize("batch", [1, 4, 100])
def test_every_test_clip_is_judged_once_on_its_quality(
    held_out: PairedClips, quality: str, batch: int
) -> None:
    network = a_network().train()
    figures, logits = evaluate(network, held_out, quality=quality, batch=batch, device=CPU)
    assert not network.training
    assert logits.shape == (6, 2)
    for sample, found in zip((held_out[i] for i in range(6)), logits, strict=True):
        x, mask = (sample.high, sample.high_mask) if quality == "high" else (sample.low, sample.low_mask)
        with torch.no_grad():
            torch.testing.assert_close(network(x[None], mask[None]).logits[0], found, rtol=1e-4, atol=1e-5)
    labels = torch.stack([held_out[i].label for i in range(6)])
    assert figures.top1 == pytest.approx(100 * float((logits.argmax(1) == labels).float().mean()))
    assert figures.top5 == 100
    assert figures.parameters == count_parameters(network)
    assert figures.gflops == 2e-9 * count_multiply_adds(network, (1, 2, 3, 8, 17))
    assert 0 < figures.milliseconds < 1000


def test_evaluating_changes_nothing(held_out: PairedClips) -> None:
    network = a_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    evaluate(network, held_out, quality="low", batch=4, device=CPU)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_clip_with_nobody_is_judged_too(tmp_path: Path, held_out: PairedClips) -> None:
    cache = fill(PoseCache(tmp_path), of_each=2)
    sequence = cache.load(build_manifest(cache, tiny_experiment()).part(train=False)[0].high)
    empty = np.broadcast_to(np.float32([np.nan, np.nan, 0]), sequence.keypoints.shape).copy()
    cache.save(sequence.with_keypoints(empty), "high", "eyes-1")
    manifest, clip = build_manifest(cache, tiny_experiment()), ClipFormat(frames=8)
    data = PairedClips(cache, manifest.part(train=False), manifest.classes, clip, clip, None, 0)
    _, logits = evaluate(a_network(), data, quality="high", batch=4, device=CPU)
    assert logits.shape == (2, 2)
    assert logits.isfinite().all()
