"""The output of every network, and the protocol of a network."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor


class NetworkOutput(NamedTuple):
    """The output of a network for a batch of clips.

    Attributes:
        logits: ``(batch, class)``, before the softmax.
        features: ``(batch, person, channel, frame, joint)``, the last feature map; zero for padded people. It
            has fewer frames than the input if the network strides.
    """

    logits: Tensor
    features: Tensor


class Network(Protocol):
    """A function from clips and masks to logits and features.

    Attributes:
        feature_channels: channels of the feature map.
    """

    feature_channels: int

    def __call__(self, x: Tensor, mask: Tensor) -> NetworkOutput: ...
