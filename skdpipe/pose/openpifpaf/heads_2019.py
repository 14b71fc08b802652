"""Networks of OpenPifPaf 0.8.0 (2019), whose output fields are converted for the current decoder.

The heads are those of Kreiss et al., "PifPaf: Composite Fields for Human Pose Estimation", CVPR 2019.
Modules have the same names as in OpenPifPaf 0.8.0, so its state dicts can be loaded unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

_EPS: Final = 1e-4  # OpenPifPaf 0.8.0 sets it in every batch normalisation and ignores the stored value
UPSAMPLE: Final = 2  # ratio of the backbone's stride to that of the heads


class CompositeField(nn.Module):
    """One head: a convolution for each component of its fields.

    Args:
        features: number of channels of the backbone's output.
        fields: number of joints or associations.
        vectors: number of regressed points per field: 1 for intensity fields, 2 for association fields.
        scales: number of regressed sizes per field: 1 for intensity fields, 0 for association fields.
    """

    def __init__(self, features: int, fields: int, vectors: int, scales: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout2d(0.0)

        def convolutions(count: int, width: int) -> nn.ModuleList:
            return nn.ModuleList(
                nn.Conv2d(features, width * fields * UPSAMPLE**2, kernel_size=1) for _ in range(count)
            )

        self.class_convs = convolutions(1, 1)
        self.reg_convs = convolutions(vectors, 2)
        self.reg_spreads = convolutions(vectors, 1)
        self.scale_convs = convolutions(scales, 1)
        self.dequad_op = nn.PixelShuffle(UPSAMPLE)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Fields in evaluation, in grid cells.

        Returns:
            Confidences; vectors ``(batch, field, 2, row, column)`` from the cell to the point; logarithms of
            their spreads; scales. All but the vectors are ``(batch, field, row, column)``.
        """
        confidences = [torch.sigmoid(conv(x)) for conv in self.class_convs]
        vectors = [conv(x) for conv in self.reg_convs]
        spreads = [F.leaky_relu(conv(x) + 2.0) - 2.0 for conv in self.reg_spreads]
        scales = [F.relu(conv(x)) for conv in self.scale_convs]
        fields = [self._upsample(field) for field in (*confidences, *vectors, *spreads, *scales)]
        for i in range(1, 1 + len(vectors)):
            batch, _, height, width = fields[i].shape
            fields[i] = fields[i].reshape(batch, -1, 2, height, width)
        return fields

    def _upsample(self, field: Tensor) -> Tensor:
        shuffled: Tensor = self.dequad_op(field)
        return shuffled[:, :, :-1, :-1]


class _Base(nn.Module):
    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.net = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.net(x)
        return features


class PifPaf2019(nn.Module):
    """A backbone with the two heads of 2019; the output has the format of current OpenPifPaf networks.

    Args:
        blocks: consecutive blocks of the backbone, with a total stride of 16.
        features: number of output channels of the last block.
        head_metas: OpenPifPaf's descriptions of an intensity and an association head.
    """

    def __init__(self, blocks: Sequence[nn.Module], features: int, head_metas: list[Any]) -> None:
        super().__init__()
        intensity, association = head_metas
        self.head_metas = head_metas
        self.base_net = _Base(blocks)
        self.head_nets = nn.ModuleList(
            [
                CompositeField(features, intensity.n_fields, vectors=1, scales=1),
                CompositeField(features, association.n_fields, vectors=2, scales=0),
            ]
        )
        ends = torch.tensor(association.skeleton) - 1
        self.register_buffer("_ends", ends, persistent=False)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = _EPS

    def raw_fields(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The fields of both heads in the format of OpenPifPaf 0.8.0."""
        features = self.base_net(images)
        intensity, association = (head(features) for head in self.head_nets)
        return intensity, association

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised images ``(batch, 3, height, width)`` to fields in the current format."""
        return to_current_fields(*self.raw_fields(images), self.get_buffer("_ends"))


def to_current_fields(
    intensity: Sequence[Tensor], association: Sequence[Tensor], ends: Tensor
) -> tuple[Tensor, Tensor]:
    """Convert fields of 2019 to the format of the current decoder.

    The components of a current field are width (not used by the decoder; the spread is stored there),
    confidence, points in grid cells, and scales. The association field of 2019 has no scales: each end of an
    association gets the scale of its joint's intensity field at the cell in which the end lies.

    Args:
        intensity: confidence, vector, spread, scale.
        association: confidence, two vectors, two spreads.
        ends: ``(association, 2)``, indices of the joints that each association connects.

    Returns:
        ``(batch, joint, 5, row, column)`` and ``(batch, association, 8, row, column)``.
    """
    confidence, vector, spread, scale = intensity
    height, width = confidence.shape[-2:]
    rows, columns = (torch.arange(n, device=vector.device) for n in (height, width))
    here = torch.stack(torch.meshgrid(columns, rows, indexing="xy")).to(vector.dtype)
    cif = torch.cat([spread[:, :, None], confidence[:, :, None], vector + here, scale[:, :, None]], dim=2)

    confidence, *vectors, spread, _ = association
    points = [vector + here for vector in vectors]
    scales = [
        _sample_field(point, scale[:, joint]) for point, joint in zip(points, ends.unbind(1), strict=True)
    ]
    singles = [field[:, :, None] for field in (spread, confidence, *scales)]
    caf = torch.cat([*singles[:2], *points, *singles[2:]], dim=2)
    return cif, caf


def _sample_field(point: Tensor, field: Tensor) -> Tensor:
    """Values of a field at the cell of each point; points outside get the value of the nearest cell.

    Args:
        point: ``(batch, field, 2, row, column)``, x and y in cells.
        field: ``(batch, field, row, column)``.
    """
    height, width = field.shape[-2:]
    x = point[:, :, 0].round().clamp(0, width - 1)
    y = point[:, :, 1].round().clamp(0, height - 1)
    index = (y * width + x).long()
    return field.flatten(2).gather(2, index.flatten(2)).reshape(field.shape)


def resnet_blocks(vision: torchvision.models.ResNet) -> list[nn.Module]:
    """Blocks of a ResNet without pooling and classifier; stride 16."""
    first = nn.Sequential(vision.conv1, vision.bn1, vision.relu)
    return [first, vision.layer1, vision.layer2, vision.layer3, vision.layer4]


def shufflenet_blocks(vision: torchvision.models.ShuffleNetV2) -> list[nn.Module]:
    """Blocks of a ShuffleNetV2 without pooling and classifier; stride 16."""
    return [vision.conv1, vision.stage2, vision.stage3, vision.stage4, vision.conv5]


def _resnet152() -> tuple[list[nn.Module], int]:
    return resnet_blocks(torchvision.models.resnet152()), 2048


def _shufflenetv2x1() -> tuple[list[nn.Module], int]:
    return shufflenet_blocks(torchvision.models.shufflenet_v2_x1_0()), 1024


BACKBONES_2019: Final[dict[str, Callable[[], tuple[list[nn.Module], int]]]] = {
    "resnet152": _resnet152,
    "shufflenetv2x1": _shufflenetv2x1,
}
"""For each backbone a function that returns its blocks and its number of output channels."""
