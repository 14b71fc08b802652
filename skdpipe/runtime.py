"""Opens the runtime of a trained network."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from skdpipe.inference import Runtime
from skdpipe.networks import GraphNetwork, deployed

RuntimeChoice = Literal["auto", "torch", "onnx", "openvino"]


class TorchRuntime:
    """Runs a network in PyTorch."""

    name = "torch"

    def __init__(self, network: GraphNetwork, device: torch.device) -> None:
        self._network = deployed(network.to(device))
        self._device = device

    def __call__(self, x: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """See :class:`Runtime`."""
        with torch.inference_mode():
            clips, masks = torch.from_numpy(x).to(self._device), torch.from_numpy(mask).to(self._device)
            logits = self._network(clips, masks).logits.float().cpu()
        return np.asarray(logits.numpy(), np.float32)


def open_runtime(
    network: GraphNetwork, shape: tuple[int, int, int, int, int], choice: RuntimeChoice, device: torch.device
) -> Runtime:
    """The runtime of a network for inputs of a shape ``(batch, person, channel, frame, joint)``."""
    return TorchRuntime(network, device)
