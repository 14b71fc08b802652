"""The cost of a network: parameters and multiply-adds."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(*modules: nn.Module) -> int:
    """The number of trainable parameters of all modules together."""
    return sum(
        parameter.numel()
        for module in modules
        for parameter in module.parameters()
        if parameter.requires_grad
    )


def count_multiply_adds(network: nn.Module, shape: tuple[int, int, int, int, int]) -> int:
    """The number of multiply-adds of one forward pass.

    Convolutions and matrix products are counted, normalisation and activations are not. PyTorch's counter
    counts a multiply-add as two operations; this is half of its figure. The network's mode and statistics do
    not change.

    Args:
        network: called as ``network(x, mask)``.
        shape: ``(batch, person, channel, frame, joint)``; all people are real.
    """
    device = next(network.parameters()).device
    x = torch.zeros(shape, device=device)
    mask = torch.ones(shape[:2], dtype=torch.bool, device=device)
    training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        return multiply_adds_in(lambda: network(x, mask))
    finally:
        for module, mode in training.items():
            module.training = mode


def multiply_adds_in(call: Callable[[], object]) -> int:
    """The number of multiply-adds in a call, without gradients; see `count_multiply_adds`."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops()) // 2
