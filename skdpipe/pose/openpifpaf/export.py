"""OpenPifPaf's networks as ONNX models, from uint8 images to fields."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skdpipe.onnx_export import export_to_onnx
from skdpipe.pose.openpifpaf.heads_2019 import PifPaf2019
from skdpipe.pose.openpifpaf.networks import PoseNetwork, normalise


def to_onnx(network: PoseNetwork) -> bytes:
    """Export a network with the input ``images`` and the outputs ``cif`` and ``caf``.

    ``images`` are ``(batch, height, width, 3)``, uint8 RGB; the model normalises them. The fields are those
    of the network. Batch, height and width are dynamic.
    """
    fields = {0: "batch", 3: "row", 4: "column"}
    return export_to_onnx(
        _FromImages(network.module),
        {"images": torch.zeros(1, 65, 81, 3, dtype=torch.uint8)},
        {"images": {0: "batch", 1: "height", 2: "width"}, "cif": fields, "caf": fields},
    )


class _FromImages(nn.Module):
    """A network with its normalisation, whose operations do not depend on the size of the example."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        of_2019 = isinstance(module, PifPaf2019)
        self.network: nn.Module = module if of_2019 else module.base_net
        self.heads = nn.ModuleList() if of_2019 else nn.ModuleList(map(_Head, module.head_nets))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        found: Any = self.network(normalise(images))
        return tuple(head(found) for head in self.heads) if self.heads else found


class _Head(nn.Module):
    """OpenPifPaf's head in evaluation, which itself would turn the size of the example into constants."""

    def __init__(self, head: Any) -> None:
        super().__init__()
        self.conv, self.meta, self.components = head.conv, head.meta, head.n_components

    def forward(self, features: Tensor) -> Tensor:
        fine = self.meta.upsample_stride - 1
        raw = F.pixel_shuffle(self.conv(features), fine + 1)
        low, high = fine // 2, fine - fine // 2
        raw = raw[:, :, low : raw.shape[2] - high, low : raw.shape[3] - high]
        raw = raw.reshape(-1, self.meta.n_fields, self.components, raw.shape[2], raw.shape[3])
        parts = [1, self.meta.n_confidences, 2 * self.meta.n_vectors, self.meta.n_scales]
        width, confidence, points, scales = torch.split(raw, parts, dim=2)
        ones = width * 0 + 1  # ones_like would become a constant of the size of the example
        cell = torch.cat([ones.cumsum(4), ones.cumsum(3)], dim=2) - 1
        offsets = [cell if offset else torch.zeros_like(cell) for offset in self.meta.vector_offsets]
        points = points + torch.cat(offsets, dim=2)
        return torch.cat([width, confidence.sigmoid(), points, F.softplus(scales)], dim=2)
