"""What every network returns, and what a caller may ask of one."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor


class NetworkOutput(NamedTuple):
    """The answer of a network to a batch of clips.

    Attributes:
        logits: ``(batch, class)``, before the softmax.
        features: ``(batch, person, channel, frame, joint)``, the last feature map; zero for
            people who are only padding. The frame axis is shorter than the input's where the
            network strides.
    """

    logits: Tensor
    features: Tensor


class Network(Protocol):
    """Anything that names an action and shows its last feature map.

    Attributes:
        feature_channels: how many channels the feature map has.
    """

    feature_channels: int

    def __call__(self, x: Tensor, mask: Tensor) -> NetworkOutput: ...
