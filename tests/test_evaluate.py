"""Figures by hand: top-k, what a network costs, and which quality it is tested on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from moving_body import a_sequence, blurred, fill, tiny_experiment

from skdpipe.bundle import Bundle, build_network, load_bundle, save_bundle
from skdpipe.cache import PoseCache
from skdpipe.config import ClipFormat, Degradation, NetworkChoice
from skdpipe.dataset import PairedClips, build_manifest
from skdpipe.distill import DistillationResult, distill_student
from skdpipe.ensemble import evaluate_bundles, fuse
from skdpipe.errors import BundleError, ConfigError, SkdpipeError
from skdpipe.evaluate import NOBODY, accuracy, evaluate, predicted_classes
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


def test_a_clip_with_nobody_has_no_prediction(tmp_path: Path, held_out: PairedClips) -> None:
    cache = fill(PoseCache(tmp_path), of_each=2)
    sequence = cache.load(build_manifest(cache, tiny_experiment()).part(train=False)[0].high)
    empty = np.broadcast_to(np.float32([np.nan, np.nan, 0]), sequence.keypoints.shape).copy()
    cache.save(sequence.with_keypoints(empty), "high", "eyes-1")
    manifest, clip = build_manifest(cache, tiny_experiment()), ClipFormat(frames=8)
    data = PairedClips(cache, manifest.part(train=False), manifest.classes, clip, clip, None, 0)
    figures, logits = evaluate(a_network(), data, quality="high", batch=4, device=CPU)
    assert logits.shape == (2, 2)
    seen = [bool(data[index].high_mask.any()) for index in range(2)]
    assert sorted(seen) == [False, True]
    assert logits.isfinite().all(dim=1).tolist() == logits.isfinite().any(dim=1).tolist() == seen
    predicted = predicted_classes(logits)
    assert [each != NOBODY for each in predicted] == seen
    correct = [guess == int(data[index].label) for index, guess in enumerate(predicted)]
    assert figures.top1 == 50 * sum(correct)
    assert figures.top5 == 50  # all classes, but only of the clip with a person


# Several bundles together


def test_fusion_by_hand() -> None:
    sure, unsure = torch.tensor([[3.0, 1]]).log(), torch.tensor([[1.0, 4]]).log()  # 3/4, 1/4 and 1/5, 4/5
    torch.testing.assert_close(fuse([sure, unsure], [2, 1]), torch.tensor([[1.7, 1.3]]))
    torch.testing.assert_close(fuse([sure, unsure], [1, 1]), torch.tensor([[0.95, 1.05]]))


@given(st.integers(1, 9), st.lists(st.floats(0, 4), min_size=1, max_size=4), st.integers(0, 99))
def test_a_constant_added_to_logits_changes_no_fusion(classes: int, weights: list[float], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = [torch.randn(3, classes, generator=generator, dtype=torch.float64) for _ in weights]
    fused = fuse(logits, weights)
    torch.testing.assert_close(fused, fuse([each + 7 for each in logits], weights))
    torch.testing.assert_close(fused.sum(dim=1), torch.full((3,), sum(weights), dtype=torch.float64))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    return fill(PoseCache(tmp_path_factory.mktemp("of bundles")), of_each=8)


Train = Callable[..., DistillationResult]


@pytest.fixture(scope="module")
def train(cache: PoseCache, tmp_path_factory: pytest.TempPathFactory) -> Train:
    models = tmp_path_factory.mktemp("models")

    def train(name: str, where: PoseCache = cache, **changes: object) -> DistillationResult:
        experiment = tiny_experiment(**{"methods": ("teacher", "baseline"), **changes, "name": name})
        return distill_student(experiment, where, models, device=CPU)

    return train


def bundle_of(result: DistillationResult, method: str = "baseline") -> Path:
    return result.folder / f"{method}.safetensors"


def test_bundles_reach_the_figures_of_their_training(train: Train, cache: PoseCache) -> None:
    methods = ("teacher", "baseline", "smoothed", "student")
    run = train("all", methods=methods, clip=ClipFormat(frames=8, stream="bone"))
    found = evaluate_bundles([bundle_of(run, method) for method in methods], cache, device=CPU)
    assert found.clips == 6
    assert found.weights == (1, 1, 1, 1)
    assert found.qualities == ("high, eyes-1", *("low, squint-1",) * 3)
    for figures, method in zip(found.figures, methods, strict=True):
        trained = replace(run.figures[method], milliseconds=0, training_top1=None)  # not measured again
        assert replace(figures, milliseconds=0) == trained


def test_the_fusion_is_of_the_scores_of_each(train: Train, cache: PoseCache) -> None:
    streams = ("joint", "bone", "joint_motion", "bone_motion")
    paths = [bundle_of(train(stream, clip=ClipFormat(frames=8, stream=stream))) for stream in streams]
    clips = build_manifest(cache, tiny_experiment()).part(train=False)
    scores, logits = 0, []
    for path, weight in zip(paths, (2, 2, 1, 1), strict=True):
        bundle = load_bundle(path)
        data = PairedClips(
            cache, clips, bundle.metadata.classes, bundle.metadata.clip, bundle.metadata.clip, None, 0
        )
        logits.append(evaluate(bundle.network, data, quality="low", batch=4, device=CPU)[1])
        scores = scores + weight * logits[-1].softmax(1)
    labels = torch.tensor([bundle.metadata.classes.index(clip.label) for clip in clips])
    found = evaluate_bundles(paths, cache, weights=(2, 2, 1, 1), device=CPU)
    assert [each.top1 for each in found.figures] == [accuracy(each, labels, 1) for each in logits]
    assert (found.top1, found.top5) == (accuracy(scores, labels, 1), 100)
    first_alone = evaluate_bundles(paths, cache, weights=(1, 0, 0, 0), device=CPU)
    assert first_alone.top1 == found.figures[0].top1


def test_quality_and_settings_can_be_chosen(train: Train, cache: PoseCache) -> None:
    path = bundle_of(train("joint", clip=ClipFormat(frames=8, stream="joint")))
    high = evaluate_bundles([path], cache, quality="high", device=CPU)
    assert high.qualities == ("high, eyes-1",)
    overrides = ["derive_low.every=3", "derive_low.occlusion=0.6"]
    derived = evaluate_bundles([path], cache, overrides=overrides, device=CPU)
    assert derived.qualities == ("low, derived from eyes-1",)
    manifest, bundle = build_manifest(cache, tiny_experiment()), load_bundle(path)
    data = PairedClips(
        cache,
        manifest.part(train=False),
        bundle.metadata.classes,
        bundle.metadata.clip,
        bundle.metadata.clip,
        Degradation(every=3, occlusion=0.6),
        0,
    )
    expected, _ = evaluate(bundle.network, data, quality="low", batch=4, device=CPU)
    assert derived.figures[0].top1 == expected.top1


def test_chosen_settings_are_tested_on_the_test_clips_at_last(train: Train, cache: PoseCache) -> None:
    """A bundle that left clips out for validation has seen neither these nor the test clips."""
    run = train("chosen", validation=0.5, methods=("baseline",))
    held_out, test = (
        run.manifest.part(train=False),
        build_manifest(cache, tiny_experiment()).part(train=False),
    )
    assert not {clip.key for clip in held_out} & {clip.key for clip in test}
    path = bundle_of(run)
    assert evaluate_bundles([path], cache, device=CPU).clips == len(held_out)
    found = evaluate_bundles([path], cache, overrides=["validation=0"], device=CPU)
    assert found.clips == len(test)
    text = refused(ConfigError, cache, path, overrides=["validation=0.25"])
    assert text.endswith("expected only settings of the test clips: high, low, derive_low, validation=0")


def refused(kind: type[SkdpipeError], cache: PoseCache, *paths: Path, **how: object) -> str:
    with pytest.raises(kind) as caught:
        evaluate_bundles(paths, cache, device=CPU, **how)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_weights_must_fit(train: Train, cache: PoseCache) -> None:
    path = bundle_of(train("joint", clip=ClipFormat(frames=8, stream="joint")))
    text = refused(ConfigError, cache, path, weights=(2, 1))
    assert text == "2 weights for 1 bundles; expected one weight for each bundle"
    for weights in ((1, -1), (0, 0), (1, float("nan")), (1, float("inf"))):
        assert "expected none below zero" in refused(ConfigError, cache, path, path, weights=weights)


def test_only_settings_of_the_test_clips_may_be_changed(train: Train, cache: PoseCache) -> None:
    path = bundle_of(train("joint", clip=ClipFormat(frames=8, stream="joint")))
    text = refused(ConfigError, cache, path, overrides=["clip.frames=16"])
    assert text.startswith("clip.frames=16 changes how the bundle was trained; expected only settings of the")
    assert "seeds is no setting" in refused(ConfigError, cache, path, overrides=["seeds=1"])
    derived = bundle_of(train("derived", derive_low=Degradation(every=2)))
    text = refused(ConfigError, cache, derived, overrides=["low=squint-1"])
    assert text.endswith("to test it on cached low quality add --set derive_low=null")
    both = evaluate_bundles([derived], cache, overrides=["low=squint-1", "derive_low=null"], device=CPU)
    assert both.qualities == ("low, squint-1",)


def test_bundles_of_another_split_are_refused(train: Train, tmp_path: Path) -> None:
    unsplit = PoseCache(tmp_path)
    for action, number in ((action, number) for action in ("sideways", "up and down") for number in range(8)):
        unsplit.save(a_sequence(action, number), "high", "eyes-1")
        unsplit.save(blurred(a_sequence(action, number)), "low", "squint-1")
    first, second = (bundle_of(train(f"seed {seed}", unsplit, seed=seed)) for seed in (0, 1))
    text = refused(BundleError, unsplit, first, second)
    shared = {clip.key for clip in build_manifest(unsplit, tiny_experiment(seed=0)).part(train=False)} & {
        clip.key for clip in build_manifest(unsplit, tiny_experiment(seed=1)).part(train=False)
    }
    assert text.startswith(
        f"{second} and {first} share {len(shared)} of 4 and 4 test clips; expected one split"
    )
    assert "seed=1 changes how" in refused(ConfigError, unsplit, first, second, overrides=["seed=1"])


def test_bundles_of_other_classes_or_without_experiment_are_refused(
    train: Train, cache: PoseCache, tmp_path: Path
) -> None:
    path = bundle_of(train("joint", clip=ClipFormat(frames=8, stream="joint")))
    whole = load_bundle(path)

    def saved(name: str, changed: Bundle) -> Path:
        save_bundle(changed, tmp_path / name)
        return tmp_path / name

    other = saved(
        "other", replace(whole, metadata=replace(whole.metadata, classes=("sideways", "turn round")))
    )
    text = refused(BundleError, cache, path, other)
    assert "different classes (sideways, turn round and sideways, up and down); expected the same" in text
    assert "was not trained for the class up and down of the test clips" in refused(BundleError, cache, other)
    nameless = saved("nameless", replace(whole, metadata=replace(whole.metadata, run={})))
    assert "nameless contains no experiment" in refused(BundleError, cache, nameless)


def test_a_network_that_detects_nobody_does_not_contribute_to_the_fusion() -> None:
    nobody = torch.full((1, 2), torch.nan)
    one, other = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 0.0]])
    fused = fuse([torch.cat([one, nobody, nobody]), torch.cat([other, other, nobody])], [1, 2])
    torch.testing.assert_close(fused[:1], fuse([one, other], [1, 2]))
    torch.testing.assert_close(fused[1], 2 * other[0].softmax(dim=0))
    assert predicted_classes(fused) == [0, 0, NOBODY]
