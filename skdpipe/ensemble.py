"""Several bundles on the same test clips: each alone, and their scores fused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from skdpipe.bundle import Bundle, load_bundle
from skdpipe.cache import PoseCache, Quality
from skdpipe.config import ClipFormat, Experiment, change_config, parse_config
from skdpipe.dataset import Manifest, PairedClips, build_manifest
from skdpipe.dataset.manifest import BOTH
from skdpipe.distill.methods import METHODS
from skdpipe.errors import BundleError, ConfigError
from skdpipe.evaluate import Figures, accuracy, evaluate

# Settings that testing may change. The split is not among them, or a bundle would be tested on its training
# clips; with validation=0 a bundle whose settings were chosen on validation clips is tested on test clips.
_TEST_SETTINGS: Final = ("high", "low", "derive_low")


@dataclass(frozen=True)
class Ensemble:
    """Accuracy of several bundles on the same test clips, alone and fused.

    Attributes:
        figures: of each bundle.
        qualities: the quality on which each was tested, and the settings folder of its skeletons.
        weights: the weight of each in the fusion.
        top1, top5: accuracy of the fusion in percent.
        clips: number of test clips.
    """

    figures: tuple[Figures, ...]
    qualities: tuple[str, ...]
    weights: tuple[float, ...]
    top1: float
    top5: float
    clips: int


@dataclass(frozen=True)
class TestClips:
    """The test clips of a bundle.

    Attributes:
        data: the clips.
        quality: of the bundle's input.
        described: the quality, and the settings folder of its skeletons.
        sources: path of each clip's video.
    """

    data: PairedClips
    quality: Quality
    described: str
    sources: tuple[str, ...]


def evaluate_bundles(
    paths: Sequence[Path],
    cache: PoseCache,
    *,
    weights: Sequence[float] = (),
    quality: Quality | None = None,
    overrides: Sequence[str] = (),
    device: torch.device,
) -> Ensemble:
    """Test bundles on the cached test clips of their experiments, and fuse them (see :func:`fuse`).

    Split and derived low quality are those of each bundle's experiment, so that a bundle reaches the figures
    of its training. The split is computed from the present cache: if it is drawn by the seed and videos were
    added since, the test clips differ.

    Args:
        paths: the bundles.
        cache: where the skeletons are.
        weights: one for each bundle; equal by default.
        quality: tests all bundles on this quality; by default each on the one it was trained on.
        overrides: ``key=value`` of the experiment's high, low or derive_low, or ``validation=0``.
        device: where the networks run.

    Raises:
        ConfigError: if the number of weights is wrong, or an override changes another setting.
        BundleError: if a bundle cannot be read or lacks its experiment, or the bundles were not trained for
            the same classes and test clips.
        DataError: if the cache lacks data that an experiment needs.
    """
    weights = _weights(weights, len(paths))
    bundles = {path: load_bundle(path) for path in paths}
    experiments = {path: _experiment(bundle, path, overrides) for path, bundle in bundles.items()}
    tests = {path: build_manifest(cache, experiment) for path, experiment in experiments.items()}
    _require_agreement(bundles, tests)
    figures, scores, qualities = [], [], []
    for path in paths:
        bundle, experiment, manifest = bundles[path], experiments[path], tests[path]
        own = quality or _trained_on(bundle)
        clips = _clips(bundle, experiment, manifest, own, cache)
        found, logits = evaluate(
            bundle.network, clips, quality=own, batch=experiment.recipe.batch, device=device
        )
        figures.append(found)
        scores.append(logits)
        qualities.append(_describe(own, manifest))
    classes, test = bundles[paths[0]].metadata.classes, tests[paths[0]].part(train=False)
    label = torch.tensor([classes.index(clip.label) for clip in test])
    fused = fuse(scores, weights)
    return Ensemble(
        tuple(figures),
        tuple(qualities),
        tuple(weights),
        accuracy(fused, label, 1),
        accuracy(fused, label, 5),
        len(test),
    )


def cached_test_clips(bundle: Bundle, path: Path, cache: PoseCache) -> TestClips:
    """The test clips of a bundle's experiment, in the quality that it was trained on.

    Args:
        bundle: trained by `skdpipe distill`.
        path: its file, for messages.
        cache: where the skeletons are.

    Raises:
        BundleError, DataError: as `evaluate_bundles`.
    """
    experiment = _experiment(bundle, path, ())
    manifest = build_manifest(cache, experiment)
    quality = _trained_on(bundle)
    data = _clips(bundle, experiment, manifest, quality, cache)
    sources = tuple(clip.source for clip in manifest.part(train=False))
    return TestClips(data, quality, _describe(quality, manifest), sources)


def _clips(
    bundle: Bundle,
    experiment: Experiment,
    manifest: Manifest,
    quality: Quality,
    cache: PoseCache,
) -> PairedClips:
    """The test clips of a manifest as the input of a bundle's network, which is tested on one quality."""
    return PairedClips(
        cache,
        manifest.part(train=False),
        bundle.metadata.classes,
        *_formats(bundle.metadata.clip, quality, manifest),
        experiment.derive_low,
        experiment.seed,
        megabytes=experiment.recipe.memory_megabytes,
    )


def fuse(logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Weighted sum of the softmax scores: ``Σ_i w_i softmax(L_i)``.

    As described for 2s-AGCN (Shi et al., CVPR 2019). Its released code and later ones add the logits instead,
    so that the network with the largest logits dominates.

    Args:
        logits: ``(clip, class)`` of each network; rows of NaN, where it detected nobody, do not contribute.
        weights: one for each.

    Returns:
        Scores ``(clip, class)``, NaN where no network detected anybody.
    """
    scores = torch.stack([weight * each.softmax(dim=1) for each, weight in zip(logits, weights, strict=True)])
    return scores.nansum(dim=0).masked_fill(scores.isnan().all(dim=0), torch.nan)


def _weights(given: Sequence[float], bundles: int) -> Sequence[float]:
    if not given:
        return (1.0,) * bundles
    if len(given) != bundles:
        raise ConfigError(f"{len(given)} weights for {bundles} bundles; expected one weight for each bundle")
    if not all(0 <= weight < math.inf for weight in given) or not any(given):
        raise ConfigError(
            f"weights {' '.join(f'{weight:g}' for weight in given)}; expected none below zero, and one above"
        )
    return given


def _experiment(bundle: Bundle, path: Path, overrides: Sequence[str]) -> Experiment:
    """The experiment of a bundle's training, with the overrides for testing."""
    if "experiment" not in bundle.metadata.run:
        raise BundleError(f"{path} contains no experiment; expected a bundle written by `skdpipe distill`")
    trained = parse_config(Experiment, bundle.metadata.run["experiment"], str(path))
    tested = change_config(trained, overrides, "--set")
    free = [*_TEST_SETTINGS, *(["validation"] if tested.validation == 0 else [])]
    if replace(tested, **{name: getattr(trained, name) for name in free}) != trained:
        raise ConfigError(
            f"{' '.join(overrides)} changes how the bundle was trained; expected only settings of the test "
            f"clips: {', '.join(_TEST_SETTINGS)}, validation=0"
        )
    if tested.low != trained.low and tested.derive_low is not None:
        raise ConfigError(
            f"low={tested.low}, but {path} was trained on low quality derived from high; to test it on "
            "cached low quality add --set derive_low=null"
        )
    return tested


def _require_agreement(bundles: Mapping[Path, Bundle], tests: Mapping[Path, Manifest]) -> None:
    (first, *others) = bundles
    classes, keys = bundles[first].metadata.classes, _keys(tests[first])
    for path in others:
        if bundles[path].metadata.classes != classes:
            raise BundleError(
                f"{path} and {first} were trained for different classes "
                f"({_some(bundles[path].metadata.classes)} and {_some(classes)}); expected the same, in the "
                "same order"
            )
        if _keys(tests[path]) != keys:
            shared = len({*_keys(tests[path])} & {*keys})
            raise BundleError(
                f"{path} and {first} share {shared} of {len(_keys(tests[path]))} and {len(keys)} test clips; "
                "expected one split: the same seed, test_fraction and validation, or a split "
                "stored in the cache"
            )
    unknown = sorted({clip.label for clip in tests[first].part(train=False)} - {*classes})
    if unknown:
        raise BundleError(
            f"{first} was not trained for the class {unknown[0]} of the test clips, only for "
            f"{_some(classes)}; test it on the cache that it was trained on"
        )


def _formats(clip: ClipFormat, tested: Quality, manifest: Manifest) -> tuple[ClipFormat, ClipFormat]:
    """The formats of high and low quality; the one that is not tested may have other coordinates."""
    any_kind = replace(clip, coordinates=None)
    other = {quality: manifest.clip_format(any_kind, quality) for quality in BOTH if quality != tested}
    return other.get("high", clip), other.get("low", clip)


def _keys(manifest: Manifest) -> list[str]:
    return [clip.key for clip in manifest.part(train=False)]


def _some(classes: Sequence[str]) -> str:
    return f"{', '.join(classes[:3])}{'...' if len(classes) > 3 else ''}"


def _trained_on(bundle: Bundle) -> Quality:
    """The quality of the skeletons that the network was trained on; low if the bundle does not say."""
    name = bundle.metadata.run.get("method")
    return next((method.quality for method in METHODS if method.name == name), "low")


def _describe(quality: Quality, manifest: Manifest) -> str:
    """A quality and its settings folder."""
    if quality == "low" and not manifest.low:
        return f"low, derived from {manifest.high}"
    return f"{quality}, {manifest.high if quality == 'high' else manifest.low}"
