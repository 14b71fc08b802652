"""Reference edge losses: all pairs in one matrix, gradient by autograd."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def edge_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Eq. 8-11 as printed."""
    return F.huber_loss(_squared_potential(student), _squared_potential(teacher.detach()))


def official_edge_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """As released."""
    return F.huber_loss(_potential(student), _potential(teacher.detach()))


def _squared_potential(features: Tensor) -> Tensor:
    squared = _squared_distances(features)
    scale = squared.mean()
    return squared / torch.where(scale > 0, scale, 1)


def _potential(features: Tensor) -> Tensor:
    squared = _squared_distances(features)
    distinct = squared > 0
    # The inner where avoids the infinite derivative of the root at zero.
    length = torch.where(distinct, torch.where(distinct, squared, 1).sqrt(), 0)
    scale = length.sum(dim=(1, 2), keepdim=True) / distinct.sum(dim=(1, 2), keepdim=True).clamp_min(1)
    return length / torch.where(scale > 0, scale, 1)


def _squared_distances(features: Tensor) -> Tensor:
    """``(row, vertex, vertex)``; zero below the rounding error of the vertices' squares."""
    vertices = features.flatten(2).transpose(1, 2).double()
    norm = vertices.square().sum(dim=2)
    norms = norm.unsqueeze(1) + norm.unsqueeze(2)
    squared = norms - 2 * vertices @ vertices.mT
    squared = torch.where(squared > 1e-12 * norms, squared, 0)
    return squared.to(torch.promote_types(features.dtype, torch.float32))
