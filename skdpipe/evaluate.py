"""How good a trained network is, and what it costs."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from skdpipe.bundle import Bundle, load_bundle
from skdpipe.cache import PoseCache, Quality
from skdpipe.config import Experiment, change_config, parse_config
from skdpipe.dataset import Manifest, PairedClips, batches, build_manifest
from skdpipe.errors import BundleError, ConfigError
from skdpipe.networks import GraphNetwork, Network, count_multiply_adds, count_parameters, deployed

_TIMED_PASSES: Final = 20
# What testing may change of an experiment: not its split, or a bundle met clips that it was trained on. Where
# clips were held out for choosing settings, it may turn from these to the test clips.
_OF_THE_CLIPS: Final = ("high", "low", "derive_low")


@dataclass(frozen=True)
class Figures:
    """One row of the table.

    Attributes:
        top1, top5: accuracy in percent on the test clips.
        parameters: of the network as deployed, without the adaptation layer.
        gflops: billions of operations for one clip, a multiply-add counted as two.
        milliseconds: median time of one clip on the device that trained, by the folded network, as in
            prediction.
    """

    top1: float
    top5: float
    parameters: int
    gflops: float
    milliseconds: float


def evaluate(
    network: GraphNetwork, data: PairedClips, *, quality: Quality, batch: int, device: torch.device
) -> tuple[Figures, Tensor]:
    """Test a network on one quality of the clips.

    Returns:
        The figures, and the logits ``(clip, class)`` in the order of the data.
    """
    answers = deployed(network.to(device).eval())
    logits, labels = [], []
    with torch.inference_mode():
        for part in batches(data, batch):
            x, mask = (part.high, part.high_mask) if quality == "high" else (part.low, part.low_mask)
            logits.append(answers(x.to(device), mask.to(device)).logits.float().cpu())
            labels.append(part.label)
    scores, truth = torch.cat(logits), torch.cat(labels)
    sample = data[0]
    clip = sample.high if quality == "high" else sample.low
    shape = (1, *clip.shape)
    return Figures(
        top1=accuracy(scores, truth, 1),
        top5=accuracy(scores, truth, 5),
        parameters=count_parameters(network),
        gflops=2e-9 * count_multiply_adds(network, shape),
        milliseconds=_milliseconds(answers, shape, device),
    ), scores


def accuracy(logits: Tensor, label: Tensor, k: int) -> float:
    """Percentage of clips whose label is among the k most probable classes (top-k)."""
    best = logits.topk(min(k, logits.shape[1]), dim=1).indices
    return 100.0 * float((best == label[:, None]).any(dim=1).double().mean())


@dataclass(frozen=True)
class Ensemble:
    """What bundles reach on the same test clips, each by itself and all together.

    Attributes:
        figures: of each bundle.
        qualities: which each was tested on, and the settings folder of its skeletons.
        weights: of each in the fusion.
        top1, top5: accuracy of the fusion in percent.
        clips: how many were tested.
    """

    figures: tuple[Figures, ...]
    qualities: tuple[str, ...]
    weights: tuple[float, ...]
    top1: float
    top5: float
    clips: int


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

    Split and low quality come about as in each bundle's experiment, so that a bundle reaches the figures
    of its training. The split is taken from the cache as it is now: where it is drawn and not named, a cache
    to which videos were added holds out others.

    Args:
        paths: the bundles.
        cache: where the skeletons are.
        weights: of each bundle; equal if not given.
        quality: which all are tested on; by default the one that each was trained on.
        overrides: ``key=value`` of the experiment's high, low or derive_low, or ``validation=0``.
        device: where to test.

    Raises:
        ConfigError: if the weights do not fit the bundles, or an override is of another setting.
        BundleError: if a bundle cannot be read or says nothing of its experiment, or the bundles were not
            trained for the same classes and test clips.
        DataError: if the cache does not have what an experiment needs.
    """
    weights = _weights(weights, len(paths))
    bundles = {path: load_bundle(path) for path in paths}
    experiments = {path: _experiment(bundle, path, overrides) for path, bundle in bundles.items()}
    tests = {path: build_manifest(cache, experiment) for path, experiment in experiments.items()}
    _require_agreement(bundles, tests)
    figures, answers, qualities = [], [], []
    for path in paths:
        bundle, experiment, manifest = bundles[path], experiments[path], tests[path]
        own: Quality = quality or ("high" if bundle.metadata.run.get("method") == "teacher" else "low")
        clips = PairedClips(
            cache,
            manifest.part(train=False),
            bundle.metadata.classes,
            bundle.metadata.clip,
            bundle.metadata.clip,
            experiment.derive_low,
            experiment.seed,
        )
        found, logits = evaluate(
            bundle.network, clips, quality=own, batch=experiment.recipe.batch, device=device
        )
        figures.append(found)
        answers.append(logits)
        qualities.append(_describe(own, manifest))
    classes, test = bundles[paths[0]].metadata.classes, tests[paths[0]].part(train=False)
    label = torch.tensor([classes.index(clip.label) for clip in test])
    fused = fuse(answers, weights)
    return Ensemble(
        tuple(figures),
        tuple(qualities),
        tuple(weights),
        accuracy(fused, label, 1),
        accuracy(fused, label, 5),
        len(test),
    )


def fuse(logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Weighted sum of the softmax scores: ``Σ_i w_i softmax(L_i)``.

    As 2s-AGCN describes it (Shi et al., CVPR 2019). Its released code and those after it add the logits
    instead, where the network that is surest by its scale outweighs the others.

    Args:
        logits: ``(clip, class)`` of each network.
        weights: one for each.

    Returns:
        Scores ``(clip, class)``.
    """
    scores = [weight * each.softmax(dim=1) for each, weight in zip(logits, weights, strict=True)]
    return torch.stack(scores).sum(dim=0)


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
    """What the bundle was trained by, tested on other clips if the overrides say so."""
    if "experiment" not in bundle.metadata.run:
        raise BundleError(f"{path} says nothing of its experiment; expected a bundle by `skdpipe distill`")
    trained = parse_config(Experiment, bundle.metadata.run["experiment"], str(path))
    tested = change_config(trained, overrides, "--set")
    free = [*_OF_THE_CLIPS, *(["validation"] if tested.validation == 0 else [])]
    if replace(tested, **{name: getattr(trained, name) for name in free}) != trained:
        raise ConfigError(
            f"{' '.join(overrides)} changes how the bundle was trained; expected only settings of the test "
            f"clips: {', '.join(_OF_THE_CLIPS)}, validation=0"
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
                f"{path} and {first} were trained for different classes ({_some(bundles[path].metadata.classes)} and "
                f"{_some(classes)}); expected the same, in the same order"
            )
        if _keys(tests[path]) != keys:
            shared = len({*_keys(tests[path])} & {*keys})
            raise BundleError(
                f"{path} and {first} share {shared} of {len(_keys(tests[path]))} and {len(keys)} test clips; "
                "expected one split: the same seed, test_fraction and validation, or, but for validation, a "
                "split that the cache names"
            )
    unknown = sorted({clip.label for clip in tests[first].part(train=False)} - {*classes})
    if unknown:
        raise BundleError(
            f"{first} does not know the class {unknown[0]} of the test clips, only {_some(classes)}; test "
            "it on the cache that it was trained on"
        )


def _keys(manifest: Manifest) -> list[str]:
    return [clip.key for clip in manifest.part(train=False)]


def _some(classes: Sequence[str]) -> str:
    return f"{', '.join(classes[:3])}{'...' if len(classes) > 3 else ''}"


def _describe(quality: Quality, manifest: Manifest) -> str:
    """A quality and where its skeletons are from."""
    if quality == "low" and not manifest.low:
        return f"low, derived from {manifest.high}"
    return f"{quality}, {manifest.high if quality == 'high' else manifest.low}"


def _milliseconds(network: Network, shape: tuple[int, ...], device: torch.device) -> float:
    x = torch.randn(shape, device=device, generator=torch.Generator(device).manual_seed(0))
    mask = torch.ones(shape[:2], dtype=torch.bool, device=device)
    spent = []
    with torch.inference_mode():
        for _ in range(_TIMED_PASSES + 3):
            start = time.perf_counter()
            float(network(x, mask).logits.sum())  # reading the value waits for the device
            spent.append(time.perf_counter() - start)
    return 1000 * float(torch.tensor(spent[3:]).median())
