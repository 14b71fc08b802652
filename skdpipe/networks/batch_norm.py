"""Batch normalisation by the statistics of several processes, each of which has a part of the mini-batch.

`torch.nn.SyncBatchNorm` is not used because it needs a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from skdpipe.networks.precision import at_least_single

Sum = Callable[[Tensor], Tensor]
"""Adds up a tensor over all processes."""


@contextmanager
def synchronised_batch_norm(module: nn.Module, add_up: Sum) -> Iterator[None]:
    """During the ``with`` block, all batch norms inside a module use the statistics of all processes.

    Weights and running statistics are the same tensors under the same names. All processes must compute the
    same layers in the same order, forward and backward; a process may have no rows.

    Args:
        module: not itself a batch norm.
        add_up: adds up a tensor over all processes.
    """
    found = [
        (parent, name, norm)
        for parent in module.modules()
        for name, norm in parent.named_children()
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    ]
    for parent, name, norm in found:
        setattr(parent, name, SynchronisedBatchNorm(norm, add_up))
    try:
        yield
    finally:
        for parent, name, norm in found:
            setattr(parent, name, norm.train(getattr(parent, name).training))


class SynchronisedBatchNorm(nn.Module):
    """A batch norm that shares weights and running statistics with another one.

    In training it normalises ``(row, channel, ...)`` by mean and variance over the rows of all processes. If
    no process has a row, its running statistics do not change.
    """

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d, add_up: Sum) -> None:
        super().__init__()
        assert norm.momentum is not None
        self.eps, self.momentum = norm.eps, norm.momentum
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            self.register_buffer(name, buffer)
        self._add_up = add_up
        self.train(norm.training)

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            statistics = self.running_mean, self.running_var
            return F.batch_norm(x, *statistics, self.weight, self.bias, eps=self.eps)
        count, mean, variance = self._statistics(x.detach())
        self._update(count, mean, variance)
        y: Tensor = _Normalise.apply(  # type: ignore[no-untyped-call]
            x, self.weight, self.bias, mean, variance, self.eps, count, self._add_up
        )
        return y

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Number of values of a channel in all processes, and their mean and variance ``(channel,)``.

        The moments are added up in double precision, which leaves enough digits for their difference. All are
        tensors, so that the host does not wait for a GPU.
        """
        values, channels = at_least_single(x), x.shape[1]
        count = x.numel() // channels
        moments = x.new_zeros(2 * channels + 1, dtype=torch.float64)
        if count:
            found = torch.batch_norm_update_stats(values, None, None, 0.0)  # faster than torch.var_mean
            mean, variance = (each.double() for each in found)
            moments[0] = count
            moments[1:] = torch.cat([count * mean, count * (variance + mean.square())])
        moments = self._add_up(moments)
        total = moments[0]
        mean, square = (moments[1:] / total.clamp_min(1)).view(2, channels)
        variance = (square - mean.square()).clamp_min(0)
        return total.to(values.dtype), mean.to(values.dtype), variance.to(values.dtype)

    @torch.no_grad()
    def _update(self, count: Tensor, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics, with the unbiased variance, if there are values."""
        is_used, kind = count > 0, self.running_mean.dtype
        momentum = self.momentum * is_used.to(kind)
        unbiased = variance * (count / (count - 1).clamp_min(1))
        self.num_batches_tracked.add_(is_used)
        self.running_mean.lerp_(mean.to(kind), momentum)
        self.running_var.lerp_(unbiased.to(kind), momentum)


class _Normalise(torch.autograd.Function):
    """``weight (x - mean) / sqrt(variance + ε) + bias``, where mean and variance also depend on ``x``."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        eps: float,
        count: Tensor,
        add_up: Sum,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, variance, count)
        ctx.eps, ctx.add_up = eps, add_up
        return F.batch_norm(x, mean, variance, weight, bias, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance, count = ctx.saved_tensors
        axes = [1, -1] + [1] * (x.dim() - 2)
        outer, values, factor = at_least_single(outer), at_least_single(x), (variance + ctx.eps).rsqrt()
        of_weight = of_bias = torch.zeros_like(mean)
        if x.numel():  # Σ outer (x - mean) factor, and Σ outer, as in evaluation mode
            _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
                outer, values, weight, mean, variance, None, None, False, ctx.eps, [False, True, True]
            )
        mean_product, mean_outer = ctx.add_up(torch.stack([of_weight, of_bias])) / count.clamp_min(1)
        scale = weight * factor
        slope = values.sub(mean.view(axes)).mul_((-scale * mean_product * factor).view(axes))
        slope.addcmul_(outer, scale.view(axes)).sub_((scale * mean_outer).view(axes))
        return slope.to(x.dtype), of_weight, of_bias, None, None, None, None, None
