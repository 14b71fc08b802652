"""Deployment: a trained network as a module of static shape, which PyTorch and ONNX export."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from skdpipe.networks.graph_network import GraphNetwork, with_placeholder_person
from skdpipe.networks.layers import InputUnchanged, JointNorm, PersonNorm
from skdpipe.networks.output import NetworkOutput
from skdpipe.onnx_export import export_to_onnx


class DeployedNetwork(nn.Module):
    """A network in evaluation mode, with the output of :class:`GraphNetwork` and no data-dependent shapes.

    Every person slot is computed; padded people are replaced by zeros before the blocks and excluded from the
    mean over people. Batch norm is part of the convolution before it where there is one, dropout is removed.

    Args:
        network: is copied, so later changes do not affect this module.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: GraphNetwork) -> None:
        super().__init__()
        assert isinstance(network.normalise, InputUnchanged | JointNorm | PersonNorm)
        scale, shift = input_scale_and_shift(network.normalise)
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)
        self.blocks = without_norm_and_dropout(copy.deepcopy(network.blocks).eval())
        self.classify = copy.deepcopy(network.classify)
        self.feature_channels = network.feature_channels
        self.in_channels = network.in_channels
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor, mask: Tensor) -> NetworkOutput:
        """Compute logits and features; arguments as for :meth:`GraphNetwork.forward`."""
        batch, people = mask.shape
        slots = len(self.scale)  # one if all people share the input norm
        assert slots == 1 or people <= slots, f"a clip of {people} person slots, but norms for people={slots}"
        x, present = with_placeholder_person(x[:, :, : self.in_channels], mask)
        x = x.masked_fill(~present[..., None, None, None], 0.0).transpose(3, 4)
        rows = (x * self.scale[:people] + self.shift[:people]).flatten(0, 1)
        rows = self.blocks(rows.contiguous(memory_format=torch.channels_last))
        pooled = rows.mean(dim=(2, 3)).unflatten(0, (batch, people))
        pooled = pooled.masked_fill(~present.unsqueeze(2), 0.0).sum(dim=1)
        in_memory_order = rows.permute(0, 2, 3, 1).unflatten(0, (batch, people))
        features = in_memory_order.masked_fill(~mask[..., None, None, None], 0.0)
        return NetworkOutput(
            logits=self.classify(pooled / present.sum(dim=1, keepdim=True)),
            features=features.permute(0, 1, 4, 3, 2),
        )


def deployed(network: GraphNetwork) -> DeployedNetwork:
    """A copy of a network for evaluation, prediction and export."""
    return DeployedNetwork(network)


def to_onnx(
    network: DeployedNetwork,
    shape: tuple[int, int, int, int, int],
    *,
    features: bool = False,
    fixed: bool = False,
) -> bytes:
    """Export a network as an ONNX model with the inputs ``x`` and ``mask`` and the output ``logits``.

    Needs the package onnx.

    Args:
        network: on the CPU, in single precision.
        shape: of ``x``, ``(batch, person, channel, frame, joint)``; any batch size.
        features: whether ``features`` is a second output.
        fixed: whether the batch size of the model is that of the shape, and not any.
    """
    batch = shape[0] if fixed else 2  # of an example; 1 would become a constant
    example = {"x": torch.zeros(batch, *shape[1:]), "mask": torch.ones(batch, shape[1], dtype=torch.bool)}
    names = [*example, "logits", *(["features"] if features else [])]
    module = network if features else LogitsOnly(network)
    return export_to_onnx(module, example, {name: {} if fixed else {0: "batch"} for name in names})


class LogitsOnly(nn.Module):
    """The logits alone of a network."""

    def __init__(self, network: DeployedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        logits: Tensor = self.network(x, mask).logits
        return logits


def input_scale_and_shift(normalise: InputUnchanged | JointNorm | PersonNorm) -> tuple[Tensor, Tensor]:
    """The input norm as ``x * scale + shift``, both ``(person or 1, channel, joint, 1)``."""
    if isinstance(normalise, InputUnchanged):
        return torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    scales: list[Tensor] = []
    shifts: list[Tensor] = []
    for layer in [normalise] if isinstance(normalise, JointNorm) else normalise.norms:
        assert isinstance(layer, JointNorm)
        norm = layer.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
        shift = norm.bias.detach() - norm.running_mean * scale
        for values, parts in ((scale, scales), (shift, shifts)):
            parts.append(values.view(layer.joints, -1, 1).transpose(0, 1))
    return torch.stack(scales), torch.stack(shifts)


def without_norm_and_dropout(module: nn.Module) -> nn.Module:
    """Fuse each convolution of a sequence with the batch norm after it, and remove dropout."""
    for name, child in module.named_children():
        setattr(module, name, without_norm_and_dropout(child))
    if not isinstance(module, nn.Sequential):
        return module
    layers: list[nn.Module] = []
    for layer in module:
        if isinstance(layer, nn.BatchNorm2d) and layers and isinstance(layers[-1], nn.Conv2d):
            layers[-1] = fuse_conv_bn_eval(layers[-1], layer)
        elif not isinstance(layer, nn.Dropout | nn.Dropout2d):
            layers.append(layer)
    return nn.Sequential(*layers)
