"""What the graph networks have in common."""

from __future__ import annotations

from torch import Tensor, nn

from skdpipe.networks.output import NetworkOutput
from skdpipe.networks.people import mean_over_people, scatter_people, with_stand_in


class GraphNetwork(nn.Module):
    """Input normalisation, GCN blocks, average over frames, joints and people, a linear classifier.

    Only rows of real people pass through: padding changes neither logits, features, gradients nor
    batch-norm statistics. A clip with nobody counts as one all-zero person, so that it still gets
    logits; its features are zero.

    Args:
        normalise: called with rows ``(row, channel, joint, frame)`` and the place of each row's person in its
            clip ``(row,)``; gives rows of the same shape.
        blocks: from that to features ``(row, channel, joint, frame)``.
        classify: from ``(batch, channel)`` to logits ``(batch, class)``.
    """

    def __init__(self, normalise: nn.Module, blocks: nn.Module, classify: nn.Linear) -> None:
        super().__init__()
        self.normalise = normalise
        self.blocks = blocks
        self.classify = classify
        self.feature_channels = classify.in_features

    def forward(self, x: Tensor, mask: Tensor) -> NetworkOutput:
        """Names the action of each clip.

        Args:
            x: ``(batch, person, channel, frame, joint)``; anything where ``mask`` is false.
            mask: ``(batch, person)`` bool, true for real people.
        """
        x, present = with_stand_in(x, mask)
        place = present.nonzero()[:, 1]
        rows: Tensor = self.blocks(self.normalise(x[present].transpose(2, 3), place))
        pooled = mean_over_people(rows.mean(dim=(2, 3)), present)
        in_memory_order = rows.permute(0, 2, 3, 1)
        return NetworkOutput(
            logits=self.classify(pooled),
            features=scatter_people(in_memory_order[mask[present]], mask).permute(0, 1, 4, 3, 2),
        )
