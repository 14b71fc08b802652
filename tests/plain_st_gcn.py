"""ST-GCN as released, operation by operation: the reference for its output and its time.

A 1x1 convolution, an einsum with the adjacency, a temporal convolution, separate batch norm
(Yan, Xiong, Lin, AAAI 2018; net/st_gcn.py of the released code), all on ``(row, channel, frame, joint)``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skdpipe.networks import GraphNetwork


class PlainStGcn(nn.Module):
    """The released code's order of operations; weights are shared with the network given."""

    def __init__(self, network: GraphNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and features of clips without padded people.

        Args:
            x: ``(batch, person, channel, frame, joint)``.
            mask: ``(batch, person)``, all true.
        """
        batch, person, channel, frame, joint = x.shape
        rows = x.permute(0, 1, 4, 2, 3).reshape(batch * person, joint * channel, frame)
        rows = self.network.normalise.norm(rows)
        rows = rows.view(-1, joint, channel, frame).permute(0, 2, 3, 1).contiguous()
        for block in self.network.blocks:
            rows = plain_block(block, rows)
        pooled = F.avg_pool2d(rows, rows.shape[2:]).view(batch, person, -1).mean(dim=1)
        return self.network.classify(pooled), rows.view(batch, person, *rows.shape[1:])


def plain_block(block: nn.Module, x: Tensor) -> Tensor:
    """One block on ``(row, channel, frame, joint)``."""
    spatial, residual = block.spatial, block.residual
    y = F.conv2d(x, spatial.mix.weight, spatial.mix.bias)
    y = y.view(len(x), len(spatial.adjacency), -1, *x.shape[2:])
    y = torch.einsum("nkctv,kvw->nctw", y, spatial.adjacency * spatial.importance).contiguous()
    norm, _, convolution, second_norm, dropout = block.temporal
    y = dropout(second_norm(plain_convolution(convolution, F.relu(norm(y)), convolution.stride[1])))
    if isinstance(residual, nn.Sequential):
        y = y + residual[1](plain_convolution(residual[0], x, residual[0].step))
    elif residual is not None:
        y = y + x
    return F.relu(y)


def plain_convolution(convolution: nn.Conv2d, x: Tensor, stride: int) -> Tensor:
    """The convolution with frames on the third axis and joints on the last, as released."""
    padding = convolution.padding[1]
    weight = convolution.weight.transpose(2, 3).contiguous()
    return F.conv2d(x, weight, convolution.bias, stride=(stride, 1), padding=(padding, 0))
