"""The multi-scale temporal convolution against separate branches as in the papers' figures."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from skdpipe.errors import ConfigError
from skdpipe.networks import count_parameters
from skdpipe.networks.multi_scale_temporal import MultiScaleTemporalConvolution


def layer(out_channels: int = 9, stride: int = 1, kernel: int = 3) -> MultiScaleTemporalConvolution:
    torch.manual_seed(0)
    convolution = MultiScaleTemporalConvolution(4, out_channels, kernel, (1, 3), stride).double()
    for module in convolution.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return convolution


def rows(frames: int = 7, channels: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, channels, 2, frames, generator=generator, dtype=torch.float64)


def normalised(x: Tensor, norm: nn.BatchNorm2d, channels: slice) -> Tensor:
    """Batch norm of these channels in training mode."""
    mean = x.mean(dim=(0, 2, 3), keepdim=True)
    variance = (x - mean).square().mean(dim=(0, 2, 3), keepdim=True)
    weight, bias = (each[channels].view(1, -1, 1, 1) for each in (norm.weight, norm.bias))
    return (x - mean) / (variance + norm.eps).sqrt() * weight + bias


def one_branch_after_another(convolution: MultiScaleTemporalConvolution, x: Tensor, stride: int) -> Tensor:
    """Frame by frame, tap by tap, with a norm for each branch."""
    enter, enter_norm, _ = convolution.enter
    branches, start = [], 0
    frames = range(0, x.shape[3], stride)
    for scale in [*convolution.scales, None]:
        width = scale.out_channels if scale is not None else convolution.alone.out_channels
        channels = slice(start, start + width)
        y = torch.einsum("oc,ncvt->novt", enter.weight[channels, :, 0, 0], x)
        y = (
            normalised(y + enter.bias[channels].view(1, -1, 1, 1), enter_norm, channels)
            .relu()
            .permute(3, 0, 1, 2)
        )
        out = []
        for frame in frames:
            if scale is None:
                out.append(y[max(0, frame - 1) : frame + 2].amax(dim=0))
                continue
            total = scale.bias.view(1, -1, 1).expand_as(y[0])
            kernel, dilation = scale.kernel_size[1], scale.dilation[1]
            for tap in range(kernel):
                at = frame + (tap - kernel // 2) * dilation
                if 0 <= at < len(y):
                    total = total + torch.einsum("oc,ncv->nov", scale.weight[:, :, 0, tap], y[at])
            out.append(total)
        branches.append(normalised(torch.stack(out, dim=3), convolution.norm, channels))
        start += width
    alone = torch.einsum("oc,ncvt->novt", convolution.alone.weight[:, :, 0, 0], x[..., ::stride])
    alone = alone + convolution.alone.bias.view(1, -1, 1, 1)
    branches.append(normalised(alone, convolution.norm, slice(start, None)))
    return torch.cat(branches, dim=1)


@pytest.mark.parametrize("frames", [7, 8])
@pytest.mark.parametrize(("stride", "kernel"), [(1, 3), (2, 3), (2, 5)])
def test_against_one_branch_after_another(stride: int, kernel: int, frames: int) -> None:
    convolution = layer(stride=stride, kernel=kernel)
    expected = one_branch_after_another(convolution, rows(frames), stride)
    torch.testing.assert_close(convolution(rows(frames)), expected)


def test_the_first_branch_takes_the_remainder() -> None:
    convolution = layer(out_channels=11)  # 11 = 5 + 2 + 2 + 2
    assert [scale.out_channels for scale in convolution.scales] == [5, 2]
    assert convolution.alone.out_channels == 2
    # Entering: 9 of 4 channels; 3 taps of 5 -> 5 and 2 -> 2; alone: 2 of 4; two normalisations.
    assert count_parameters(convolution) == (9 * 4 + 9) + (75 + 5) + (12 + 2) + (2 * 4 + 2) + 2 * (9 + 11)


@given(frames=st.integers(1, 12), stride=st.integers(1, 3), out_channels=st.integers(4, 9))
def test_every_stride_th_frame(frames: int, stride: int, out_channels: int) -> None:
    y = layer(out_channels, stride)(rows(frames))
    assert y.shape == (3, out_channels, 2, math.ceil(frames / stride))


def test_channels_stay_last_in_memory() -> None:
    x = rows().contiguous(memory_format=torch.channels_last)
    assert layer()(x).is_contiguous(memory_format=torch.channels_last)


def test_the_receptive_field_is_that_of_the_longest_branch() -> None:
    convolution = layer().eval()
    x = rows(16)
    changed = x.clone()
    changed[..., 8] += 1
    frames = (convolution(x) - convolution(changed)).abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert frames.tolist() == [5, 7, 8, 9, 11]  # 3 frames apart, one beside, itself


def test_gradients() -> None:
    convolution = layer(out_channels=4, stride=2)
    assert torch.autograd.gradcheck(convolution, (rows(4).requires_grad_(),))


def test_max_pooling_ignores_the_padding() -> None:
    below = -F.softplus(rows())
    torch.testing.assert_close(layer().max_pool(below)[..., 0], below[..., :2].amax(dim=3))


def test_too_few_channels_are_refused() -> None:
    with pytest.raises(ConfigError, match="3 channels for 4 temporal branches"):
        MultiScaleTemporalConvolution(4, 3, 3, (1, 2), 1)
