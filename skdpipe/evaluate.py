"""Evaluation of a trained network: accuracy on test clips, and cost."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from skdpipe.cache import Quality
from skdpipe.dataset import PairedClips, batches
from skdpipe.networks import GraphNetwork, Network, count_multiply_adds, count_parameters, deployed

_TIMED_PASSES: Final = 20


@dataclass(frozen=True)
class Figures:
    """Accuracy and cost of a network.

    Attributes:
        top1, top5: accuracy in percent on the test clips.
        parameters: number of trainable parameters, without the adaptation layer.
        gflops: billions of operations for one clip; a multiply-add counts as two.
        milliseconds: median time of one clip, by the deployed network on the device used for training.
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
    network_in_use = deployed(network.to(device).eval())
    logits, labels = [], []
    with torch.inference_mode():
        for part in batches(data, batch):
            x, mask = (part.high, part.high_mask) if quality == "high" else (part.low, part.low_mask)
            logits.append(network_in_use(x.to(device), mask.to(device)).logits.float().cpu())
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
        milliseconds=_milliseconds(network_in_use, shape, device),
    ), scores


def accuracy(logits: Tensor, label: Tensor, k: int) -> float:
    """Top-k accuracy in percent: the share of clips whose label is among the k most probable classes."""
    best = logits.topk(min(k, logits.shape[1]), dim=1).indices
    return 100.0 * float((best == label[:, None]).any(dim=1).double().mean())


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
