"""Transfer: training of a network continues on other classes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from moving_body import ACTIONS, fill, tiny_experiment

from skdpipe.bundle import load_bundle
from skdpipe.cache import PoseCache
from skdpipe.config import Recipe
from skdpipe.dataset import build_manifest
from skdpipe.distill import distill_student, finetune_student
from skdpipe.errors import BundleError, DataError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    """Four classes: two actions, each under two names."""
    cache = fill(PoseCache(tmp_path_factory.mktemp("cache")))
    for quality in ("high", "low"):
        for entry in list(cache.entries(quality)):
            sequence = cache.load(entry.path)
            origin = replace(
                sequence.origin, key=sequence.origin.key + "ff", label=f"other {sequence.origin.label}"
            )
            cache.save(replace(sequence, origin=origin), quality, entry.settings)
    return cache


@pytest.fixture(scope="module")
def trained(cache: PoseCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    experiment = tiny_experiment(only_classes=ACTIONS, methods=("baseline",))
    result = distill_student(experiment, cache, tmp_path_factory.mktemp("models"), device=CPU)
    return result.folder / "baseline.safetensors"


def test_classes_can_be_included_and_excluded(cache: PoseCache) -> None:
    assert build_manifest(cache, tiny_experiment(only_classes=ACTIONS)).classes == ACTIONS
    others = build_manifest(cache, tiny_experiment(without_classes=ACTIONS))
    assert others.classes == tuple(f"other {action}" for action in ACTIONS)
    with pytest.raises(DataError, match="no clips of juggling; found"):
        build_manifest(cache, tiny_experiment(only_classes=("juggling",)))


def test_initial_weights_are_the_bundles_except_the_classifiers(
    cache: PoseCache, trained: Path, tmp_path: Path
) -> None:
    still = Recipe(epochs=1, batch=4, learning_rate=1e-9, momentum=0, weight_decay=0)
    experiment = tiny_experiment(without_classes=ACTIONS, recipe=still)
    result = finetune_student(trained, experiment, cache, tmp_path, device=CPU)
    assert list(result.figures) == ["baseline"]
    before = load_bundle(trained).network.state_dict()
    tuned = load_bundle(result.folder / "baseline.safetensors")
    assert tuned.metadata.classes == tuple(f"other {action}" for action in ACTIONS)
    for name, value in tuned.network.state_dict().items():
        if "running" not in name and "tracked" not in name:
            same = torch.allclose(value, before[name], rtol=0, atol=1e-5)
            assert same is (not name.startswith("classify.weight")) or name == "classify.bias"


def test_folder_and_bundle_contain_the_digest_of_the_initial_weights(
    cache: PoseCache, trained: Path, tmp_path: Path
) -> None:
    experiment = tiny_experiment(without_classes=ACTIONS, name="tuned")
    first = finetune_student(trained, experiment, cache, tmp_path, device=CPU)
    assert finetune_student(trained, experiment, cache, tmp_path, device=CPU).figures == first.figures
    digest = load_bundle(first.folder / "baseline.safetensors").metadata.run["data"]["initial"]
    assert hashlib.sha256(trained.read_bytes()).hexdigest().startswith(digest)
    with pytest.raises(DataError, match=r"contains a run with data\.initial"):
        finetune_student(first.folder / "baseline.safetensors", experiment, cache, tmp_path, device=CPU)


def test_a_missing_bundle_raises_an_error(cache: PoseCache, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle at"):
        finetune_student(tmp_path / "none.safetensors", tiny_experiment(), cache, tmp_path, device=CPU)
