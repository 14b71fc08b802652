"""Parameters and multiply-adds of a pose network."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from skdpipe.config import Estimator, OpenPifPafSettings
from skdpipe.networks import count_parameters, multiply_adds_in


@dataclass(frozen=True)
class NetworkCost:
    """The size of a network.

    Attributes:
        parameters: their number.
        multiply_adds: of one image, in convolutions and matrix products.
    """

    parameters: int
    multiply_adds: int


def count_cost(settings: Estimator, size: tuple[int, int]) -> NetworkCost | None:
    """The cost of an estimator's network for frames of a size; None of a kind whose network is not known.

    Raises:
        PoseError: if the weights cannot be loaded.
    """
    if not isinstance(settings, OpenPifPafSettings):
        return None
    from skdpipe.pose.openpifpaf import load_weights
    from skdpipe.pose.openpifpaf.letterbox import Letterbox

    module = load_weights(settings.backbone, settings.weights).module.eval()
    width, height = Letterbox.fit(size, settings.long_edge).outer
    image = torch.zeros(1, 3, height, width)
    return NetworkCost(count_parameters(module), multiply_adds_in(lambda: module(image)))
