"""Evaluation of trained networks: accuracy on test clips, and cost."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from skdpipe.bundle import Bundle
from skdpipe.cache import Quality
from skdpipe.dataset import PairedClips, batches
from skdpipe.errors import DataError
from skdpipe.networks import GraphNetwork, Network, count_multiply_adds, count_parameters, deployed
from skdpipe.runtime import Shape, TorchRuntime, input_shape
from skdpipe.speed import Timing, time_in_turn
from skdpipe.training_record import NOBODY as NOBODY
from skdpipe.training_record import Cost as Cost
from skdpipe.training_record import Figures as Figures
from skdpipe.training_record import Percent as Percent

Name = TypeVar("Name", bound=Hashable)


def evaluate(
    network: GraphNetwork,
    data: PairedClips,
    *,
    quality: Quality,
    batch: int,
    device: torch.device,
    training: PairedClips | None = None,
) -> tuple[Figures, Tensor]:
    """Test a network on one quality of the clips.

    Args:
        network: is put into evaluation mode.
        data: the test clips.
        quality: the network's input.
        batch: number of clips at a time.
        device: where it runs.
        training: labelled training clips, for ``training_top1``.

    Returns:
        The figures, and the logits ``(clip, class)`` in the order of the data, NaN for clips in which nobody
        was detected.
    """
    network_in_use = deployed(network.to(device).eval())
    scores, truth = logits_of(network_in_use, data, quality, batch, device)
    training_top1 = None
    if training is not None:
        training_top1 = accuracy(*logits_of(network_in_use, training, quality, batch, device), 1)
    shape = (1, *data[0].of_quality(quality)[0].shape)
    return Figures(
        top1=accuracy(scores, truth, 1),
        top5=accuracy(scores, truth, 5),
        parameters=count_parameters(network),
        gflops=2e-9 * count_multiply_adds(network, shape),
        milliseconds=1000 * time_in_turn({"": _of_one_clip(network, shape, device)})[""].median,
        training_top1=training_top1,
    ), scores


def time_networks(bundles: Mapping[Name, Bundle], device: torch.device) -> dict[Name, Timing]:
    """Time one clip by the deployed network of each bundle, all in turn.

    Args:
        bundles: by name.
        device: where all networks run.
    """
    return time_in_turn(
        {
            name: _of_one_clip(bundle.network, input_shape(bundle.metadata.clip), device)
            for name, bundle in bundles.items()
        }
    )


def accuracy(logits: Tensor, label: Tensor, k: int) -> float:
    """Top-k accuracy in percent: the share of clips whose label is among the k most probable classes.

    Rows of NaN, for clips in which nobody was detected, are not correct.
    """
    best = logits.topk(min(k, logits.shape[1]), dim=1).indices
    correct = (best == label[:, None]).any(dim=1) & ~logits.isnan().any(dim=1)
    return 100.0 * float(correct.double().mean())


def predicted_classes(logits: Tensor) -> list[int]:
    """The most probable class of each clip, `NOBODY` for rows of NaN."""
    nobody = logits.isnan().any(dim=1)
    classes: list[int] = logits.argmax(dim=1).masked_fill(nobody, NOBODY).tolist()
    return classes


def logits_of(
    network: Network, data: PairedClips, quality: Quality, batch: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Logits ``(clip, class)``, NaN where nobody was detected, and labels ``(clip,)``.

    Args:
        network: deployed, on the device.
        data, quality, batch, device: as for `evaluate`.

    Raises:
        DataError: if an output of the network is not finite.
    """
    logits, labels = [], []
    with torch.inference_mode():
        for part in batches(data, batch):
            x, mask = part.of_quality(quality)
            found = network(x.to(device), mask.to(device)).logits.float().cpu()
            if not found.isfinite().all():
                raise DataError("the network's outputs are not finite; lower recipe.learning_rate")
            logits.append(found.masked_fill(~mask.any(dim=1, keepdim=True), torch.nan))
            labels.append(part.label)
    return torch.cat(logits), torch.cat(labels)


def _of_one_clip(network: GraphNetwork, shape: Shape, device: torch.device) -> Callable[[], object]:
    """Runs the deployed network on one clip; the logits are on the CPU when it returns."""
    runtime = TorchRuntime(network, device)
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    mask = np.ones(shape[:2], np.bool_)
    return lambda: runtime(x, mask)
