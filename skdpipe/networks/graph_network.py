"""The frame of all graph networks: clips of several people in, logits and features out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skdpipe.networks.output import NetworkOutput


class GraphNetwork(nn.Module):
    """Input normalisation, GCN blocks, mean over frames, joints and people, a linear classifier.

    Padded people are removed before the blocks, so they do not affect logits, features, gradients or
    batch-norm statistics. A clip without people is processed as one all-zero person; its features are zero.

    Args:
        normalise: maps rows ``(row, channel, joint, frame)`` and the person slot of each row ``(row,)`` to
            rows of the same shape.
        blocks: map these to features ``(row, channel, joint, frame)``.
        classify: maps ``(batch, channel)`` to logits ``(batch, class)``.

    Attributes:
        in_channels: number of channels that are used, the first ones; None uses all.
    """

    in_channels: int | None = None

    def __init__(self, normalise: nn.Module, blocks: nn.Module, classify: nn.Linear) -> None:
        super().__init__()
        self.normalise = normalise
        self.blocks = blocks
        self.classify = classify
        self.feature_channels = classify.in_features

    def forward(self, x: Tensor, mask: Tensor) -> NetworkOutput:
        """Compute logits and features.

        Args:
            x: ``(batch, person, channel, frame, joint)``; any values, NaN included, where ``mask`` is false.
            mask: ``(batch, person)`` bool, true for real people.
        """
        x, present = with_placeholder_person(x[:, :, : self.in_channels], mask)
        slot = present.nonzero()[:, 1]
        rows: Tensor = self.blocks(self.normalise(x[present].transpose(2, 3), slot))
        pooled = _mean_over_people(rows.mean(dim=(2, 3)), present)
        in_memory_order = rows.permute(0, 2, 3, 1)  # after the mean, so that gradients are channels last
        return NetworkOutput(
            logits=self.classify(pooled),
            features=_scatter_people(in_memory_order[mask[present]], mask).permute(0, 1, 4, 3, 2),
        )


def with_placeholder_person(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Add one all-zero person, in the first slot, to each clip without people.

    Args:
        x: ``(batch, person, channel, frame, joint)``.
        mask: ``(batch, person)`` bool, true for real people.

    Returns:
        The clips, and a mask that is true at least once in each clip.
    """
    nobody = ~mask.any(dim=1, keepdim=True)
    first = torch.arange(mask.shape[1], device=mask.device) == 0
    return x.masked_fill(nobody[..., None, None, None], 0.0), mask | (nobody & first)


def _scatter_people(rows: Tensor, mask: Tensor) -> Tensor:
    """The inverse of ``x[mask]``: ``(row, ...)`` to ``(batch, person, ...)``, zero for padded people."""
    return rows.new_zeros(*mask.shape, *rows.shape[1:]).index_put((mask,), rows)


def _mean_over_people(rows: Tensor, mask: Tensor) -> Tensor:
    """The mean of the rows of each clip: ``(row, channel)`` to ``(batch, channel)``."""
    return _scatter_people(rows, mask).sum(dim=1) / mask.sum(dim=1, keepdim=True)
