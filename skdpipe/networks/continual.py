"""Continual inference: a network of the ST-GCN family that computes each new frame once.

Hedegaard, Heidari, Iosifidis, "Continual Spatio-Temporal Graph Convolutional Networks", Pattern Recognition
140 (2023). A temporal convolution keeps the last frames of its input in a state and has no padding at the
end, a residual connection is delayed by half the kernel, and the mean over a clip is that over the last
outputs. The strides are kept: one output, and so one step, for each ``stride`` frames.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skdpipe.errors import ConfigError
from skdpipe.networks.deploy import input_scale_and_shift, without_norm_and_dropout
from skdpipe.networks.graph_network import GraphNetwork
from skdpipe.networks.layers import (
    Block,
    JointNorm,
    SpatialGraphConvolution,
    Sum,
    gather,
    kernel_over_subsets,
)
from skdpipe.networks.multi_scale_temporal import MultiScaleTemporalConvolution
from skdpipe.onnx_export import export_to_onnx

State = tuple[Tensor, ...]
Shape = tuple[int, ...]

_UNSUITABLE: Final = (
    "continual inference of a network whose blocks mix frames in a way of their own; expected st_gcn, "
    "st_sgcn, st_2sgcn or st_gcn_plus_plus: use sliding windows, or train one of these"
)
_EACH_FRAME_APART: Final = (
    *(SpatialGraphConvolution, Sum, nn.Sequential, nn.ModuleList),
    *(nn.BatchNorm2d, nn.ReLU, nn.Dropout, nn.Identity),
)


class ContinualOutput(NamedTuple):
    """What a step of a continual network computes.

    Attributes:
        logits: ``(row, class)``, of the mean over the last outputs; NaN for a row without an output yet.
        features: ``(row, channel, joint)``, the newest output of the last block; any values before a row's
            first output.
    """

    logits: Tensor
    features: Tensor


class ContinualNetwork(nn.Module):
    """A network of the ST-GCN family in evaluation mode that is given some new frames in each step.

    Rows are people, independent of each other. As the classifier is linear, the logits of a clip of several
    people are the mean of theirs.

    The outputs of a row equal those of the network for the whole row, zero padding at the start included,
    except for the last ``delay`` frames, for which the network would be padded at the end. An output is
    that of the frame ``delay`` frames before the newest one, and depends on the ``receptive_field`` frames
    around it.

    Args:
        network: is copied.
        frames: length of the clips that it was trained on; logits are the mean over as many outputs.

    Attributes:
        stride: number of frames of a step.
        delay: number of frames after that of an output on which the output depends.
        receptive_field: number of frames on which an output depends.
        outputs: number of outputs in the mean.
        state_shapes: shape of each tensor of the state, without the rows.

    Raises:
        ConfigError: if the network mixes frames in another way than the ST-GCN family.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: GraphNetwork, frames: int) -> None:
        super().__init__()
        _require_frames_apart(network)
        assert isinstance(network.normalise, JointNorm)
        joints = network.normalise.joints
        scale, shift = input_scale_and_shift(network.normalise)
        self.register_buffer("scale", scale[0])
        self.register_buffer("shift", shift[0])
        folded = without_norm_and_dropout(copy.deepcopy(network.blocks).eval())
        self.blocks = nn.ModuleList(_ContinualBlock(block, joints) for block in folded.children())
        self.classify = copy.deepcopy(network.classify)
        self.in_channels = scale.shape[1]
        self.joints = joints
        self.stride = math.prod(block.stride for block in self._each_block())
        self.outputs = -(-frames // self.stride)
        self.delay, period = 0, 1
        for block in self._each_block():
            self.delay += block.reach * period
            period *= block.stride
        self.receptive_field = 2 * self.delay + 1
        self.state_shapes: tuple[Shape, ...] = (
            (),
            (self.outputs, network.feature_channels),
            *(shape for block in self._each_block() for shape in block.state_shapes),
        )
        self.eval().requires_grad_(False)

    @property
    def phase(self) -> int:
        """Position of a row's first frame in its first step for which both networks have the same strides."""
        return (self.stride - 1 - self.delay) % self.stride

    def start(self, first: Sequence[int]) -> State:
        """The state of rows that begin with the next step.

        All tensors of a state have the rows on their first axis, so rows are selected and joined by indexing
        and concatenating each of them.

        Args:
            first: for each row the position of its first frame in that step, 0 to ``stride - 1``.
        """
        age, *others = (self.scale.new_zeros(len(first), *shape) for shape in self.state_shapes)
        return age - torch.as_tensor(first, dtype=age.dtype, device=age.device), *others

    def forward(self, x: Tensor, state: State) -> tuple[ContinualOutput, State]:
        """Compute the next step.

        Args:
            x: the next ``stride`` frames of each row, ``(row, channel, frame, joint)``; zeros before its
                first frame. Channels beyond those of the network are ignored.
            state: of the rows.
        """
        age, pooled, *remaining = state
        age = (age + self.stride).clamp(max=self.delay + self.stride * (self.outputs + 1))
        x = x[:, : self.in_channels].transpose(2, 3) * self.scale + self.shift
        x = x.contiguous(memory_format=torch.channels_last)
        newest, period = age - 1, 1  # newest: number of the last frame of x in its row
        following: list[Tensor] = []
        for block in self._each_block():
            times = newest[:, None] - period * torch.arange(x.shape[3] - 1, -1, -1, device=x.device)
            count = len(block.state_shapes)
            x, later = block(x, (times >= 0).to(x.dtype)[:, None, None], remaining[:count])
            del remaining[:count]
            following += later
            newest, period = newest - block.reach * period, period * block.stride
        features = x[..., 0]
        mean_over_joints = features.mean(dim=2) * (newest >= 0).to(x.dtype)[:, None]
        pooled = torch.cat([pooled[:, 1:], mean_over_joints[:, None]], dim=1)
        count_of_outputs = ((newest / self.stride).floor() + 1).clamp(0, self.outputs)
        logits = self.classify(pooled.sum(dim=1) / count_of_outputs[:, None])
        return ContinualOutput(logits, features), (age, pooled, *following)

    def _each_block(self) -> Iterator[_ContinualBlock]:
        for block in self.blocks:
            assert isinstance(block, _ContinualBlock)
            yield block


def continual_to_onnx(network: ContinualNetwork) -> bytes:
    """Export a continual network as an ONNX model; the number of rows is dynamic. Needs the package onnx.

    Inputs are ``x`` and ``state_0``, ``state_1``..., outputs ``logits`` and ``next_state_0``...
    """
    x = torch.zeros(2, network.in_channels, network.stride, network.joints)
    states = {f"state_{number}": each for number, each in enumerate(network.start([0, 0]))}
    names = ["x", *states, "logits", *(f"next_{name}" for name in states)]
    return export_to_onnx(_Flat(network), {"x": x, **states}, {name: {0: "row"} for name in names})


class _Flat(nn.Module):
    """The logits and the state as separate inputs and outputs."""

    def __init__(self, network: ContinualNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        output, following = self.network(x, state)
        return output.logits, *following


class _ContinualBlock(nn.Module):
    """A GCN block. Its state is what the temporal convolution keeps, and the input of the residual path."""

    temporal: _NewFramesConvolution | _NewFramesMultiScale

    def __init__(self, block: nn.Module, joints: int) -> None:
        super().__init__()
        assert isinstance(block, Block)
        assert isinstance(block.temporal, nn.Sequential)
        in_channels = _convolution_of(block.spatial).mix.in_channels
        path = list(_with_fixed_links(nn.Sequential(block.spatial, *block.temporal)).children())
        (position,) = (number for number, layer in enumerate(path) if _is_over_frames(layer))
        self.before = nn.Sequential(*path[:position])
        self.temporal = _over_new_frames(path[position])
        self.after = nn.Sequential(*path[position + 1 :])
        self.residual = block.residual
        self.stride, self.reach = self.temporal.stride, self.temporal.reach
        self.state_shapes = [(*shape[:1], joints, *shape[1:]) for shape in self.temporal.kept]
        if self.residual is not None:
            self.state_shapes.append((in_channels, joints, self.reach + 1 - self.stride))

    def forward(self, x: Tensor, valid: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Compute the outputs that the new frames complete.

        Args:
            x: ``(row, channel, joint, frame)``.
            valid: ``(row, 1, 1, frame)``, 0 for frames before a row's first one, 1 for others.
            state: of the last step.
        """
        kept = len(self.temporal.kept)
        y, following = self.temporal(self.before(x), valid, *state[:kept])
        y = self.after(y)
        if self.residual is not None:
            delayed, earlier = _delay(x, state[kept])
            y = y + self.residual(delayed)
            following = [*following, earlier]
        return torch.relu(y), following


class _NewFramesConvolution(nn.Module):
    """A temporal convolution without padding; its state is the last frames of its input.

    It is one matrix product: for so few frames a convolution takes up to ten times as long, most of it to
    rearrange the weights (torch 2.12.1, oneDNN 3.11.2).

    Attributes:
        stride: in frames.
        reach: number of frames on each side of that of an output.
        kept: channels and number of frames of each tensor of the state.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        assert convolution.bias is not None
        weight = convolution.weight[:, :, 0].permute(2, 1, 0).flatten(0, 1)  # (frame * in, out)
        self.register_buffer("weight", weight.detach().contiguous())
        self.register_buffer("bias", convolution.bias.detach())
        self.stride, self.reach = convolution.stride[1], convolution.kernel_size[1] // 2
        self.kept = [(convolution.in_channels, 2 * self.reach + 1 - self.stride)]

    def forward(self, x: Tensor, valid: Tensor, past: Tensor) -> tuple[Tensor, list[Tensor]]:
        window = torch.cat([past, x * valid], dim=3)
        in_memory_order = window.permute(0, 2, 3, 1)
        ends = range(x.shape[3] - self.stride + 1, window.shape[3] + 1)  # one for each frame of the kernel
        taps = [in_memory_order[:, :, end - ends[0] : end : self.stride] for end in ends]
        y = torch.matmul(torch.cat(taps, dim=3), self.weight) + self.bias
        return y.permute(0, 3, 1, 2), [window[..., x.shape[3] :]]


class _NewFramesMultiScale(nn.Module):
    """A multi-scale temporal convolution without padding; attributes as of `_NewFramesConvolution`.

    Zeros before a row's first frame are as good for max pooling as its own padding, as ReLU comes before it.
    """

    kept: list[tuple[int, int]]
    reach: int

    def __init__(self, module: MultiScaleTemporalConvolution) -> None:
        super().__init__()
        self.enter, self.alone, self.norm = module.enter, module.alone, module.norm
        self.stride = module.alone.step
        self.max_pool = nn.MaxPool2d((1, 3), stride=(1, self.stride))
        self._widths = module.widths
        scales = [_without_padding(scale) for scale in module.scales]
        self.scales = nn.ModuleList(scales)
        self._reaches = [scale.kernel_size[1] // 2 * scale.dilation[1] for scale in scales]
        self.reach = max(self._reaches)
        entering, channels = sum(self._widths), module.alone.in_channels
        self.kept = [(entering, 2 * self.reach + 1 - self.stride), (channels, self.reach + 1 - self.stride)]

    def forward(self, x: Tensor, valid: Tensor, past: Tensor, earlier: Tensor) -> tuple[Tensor, list[Tensor]]:
        window = torch.cat([past, self.enter(x) * valid], dim=3)
        delayed, earlier = _delay(x, earlier)
        *parts, last = torch.split(window, self._widths, dim=1)
        scaled = [
            scale(_cut(part, self.reach - reach))
            for scale, part, reach in zip(self.scales, parts, self._reaches, strict=True)
        ]
        y = torch.cat([*scaled, self.max_pool(_cut(last, self.reach - 1)), self.alone(delayed)], dim=1)
        return self.norm(y), [window[..., x.shape[3] :], earlier]


class _FixedGraphConvolution(nn.Module):
    """A graph convolution in evaluation mode, with the batch norm after it if there is one."""

    links: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, convolution: SpatialGraphConvolution, norm: nn.BatchNorm2d | None) -> None:
        super().__init__()
        mix = convolution.mix
        assert mix.bias is not None
        weighted = convolution.adjacency * convolution.importance
        weight = kernel_over_subsets(mix, len(weighted))
        bias = (mix.bias.view(len(weighted), -1).t() @ weighted.sum(dim=1)).unsqueeze(2)
        if norm is not None:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            weight = weight * scale[:, None, None, None]
            bias = bias * scale[:, None, None] + (norm.bias - norm.running_mean * scale)[:, None, None]
        self.register_buffer("links", weighted.transpose(1, 2).flatten(0, 1).detach())
        self.register_buffer("weight", weight.detach().contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(gather(x, self.links), self.weight, dilation=(x.shape[2], 1)) + self.bias


def _with_fixed_links(module: nn.Module) -> nn.Module:
    """Replace each graph convolution, together with the batch norm after it."""
    for name, child in module.named_children():
        setattr(module, name, _with_fixed_links(child))
    if not isinstance(module, nn.Sequential):
        return module
    layers: list[nn.Module] = []
    following = [*list(module)[1:], None]
    for layer, after in zip(module, following, strict=True):
        if isinstance(layer, SpatialGraphConvolution):
            layers.append(_FixedGraphConvolution(layer, after if isinstance(after, nn.BatchNorm2d) else None))
        elif not (isinstance(layer, nn.BatchNorm2d) and isinstance(layers[-1], _FixedGraphConvolution)):
            layers.append(layer)
    return nn.Sequential(*layers)


def _require_frames_apart(network: GraphNetwork) -> None:
    """Raise an error unless one layer of known kind in each block mixes frames, and no other."""
    for block in network.blocks.children():
        if not isinstance(block, Block) or not isinstance(block.temporal, nn.Sequential):
            raise ConfigError(_UNSUITABLE)
        others = [layer for layer in block.temporal if not _is_over_frames(layer)]
        if len(others) != len(block.temporal) - 1:
            raise ConfigError(_UNSUITABLE)
        for path in (block.spatial, block.residual, *others):
            for module in [] if path is None else path.modules():
                if not isinstance(module, _EACH_FRAME_APART) and not _is_pointwise(module):
                    raise ConfigError(_UNSUITABLE)


def _is_pointwise(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.kernel_size == module.stride == (1, 1)


def _is_over_frames(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv2d):
        return layer.kernel_size[0] == 1 < layer.kernel_size[1]
    return isinstance(layer, MultiScaleTemporalConvolution)


def _over_new_frames(layer: nn.Module) -> _NewFramesConvolution | _NewFramesMultiScale:
    if isinstance(layer, MultiScaleTemporalConvolution):
        return _NewFramesMultiScale(layer)
    assert isinstance(layer, nn.Conv2d)
    return _NewFramesConvolution(layer)


def _convolution_of(spatial: nn.Module) -> SpatialGraphConvolution:
    return next(each for each in spatial.modules() if isinstance(each, SpatialGraphConvolution))


def _without_padding(convolution: nn.Module) -> nn.Conv2d:
    assert isinstance(convolution, nn.Conv2d)
    convolution.padding = (0, 0)
    return convolution


def _delay(x: Tensor, earlier: Tensor) -> tuple[Tensor, Tensor]:
    """As many frames as there are new ones, later by those of the state; and the next state."""
    frames = torch.cat([earlier, x], dim=3)
    return frames[..., : x.shape[3]], frames[..., x.shape[3] :]


def _cut(x: Tensor, frames: int) -> Tensor:
    """Without so many frames at both ends."""
    return x[..., frames : x.shape[3] - frames]
