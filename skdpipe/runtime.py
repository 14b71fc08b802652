"""Opens the runtime of a trained network."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from skdpipe.errors import require_extra
from skdpipe.inference.runtimes import OnnxRuntime, OpenVinoRuntime, Runtime
from skdpipe.networks import GraphNetwork, deployed, to_onnx

RuntimeChoice = Literal["auto", "torch", "onnx", "openvino"]
Shape = tuple[int, int, int, int, int]
_PACKAGES: Final = {
    "onnx": ("onnxruntime", "onnx", "onnxscript"),
    "openvino": ("openvino", "onnx", "onnxscript"),
}


class TorchRuntime:
    """Runs a network in PyTorch.

    Args:
        network: is copied.
        device: that runs it.
    """

    name = "torch"

    def __init__(self, network: GraphNetwork, device: torch.device) -> None:
        self._network = deployed(network).to(device)
        self._device = device

    def __call__(self, x: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """See :class:`skdpipe.inference.Runtime`."""
        with torch.inference_mode():
            clips, masks = torch.from_numpy(x).to(self._device), torch.from_numpy(mask).to(self._device)
            logits = self._network(clips, masks).logits.float().cpu()
        return np.asarray(logits.numpy(), np.float32)


def open_runtime(network: GraphNetwork, shape: Shape, choice: RuntimeChoice, device: torch.device) -> Runtime:
    """The runtime of a network.

    Args:
        network: is copied.
        shape: of the input, ``(batch, person, channel, frame, joint)``; the batch size may vary.
        choice: ``onnx`` and ``openvino`` run on the CPU with PyTorch's number of threads.
        device: for PyTorch.

    Raises:
        MissingDependencyError: if the packages of the runtime are not installed.
    """
    if choice in ("auto", "torch"):
        return TorchRuntime(network, device)
    require_extra(choice, *_PACKAGES[choice])  # before the export, which takes seconds
    model, threads = to_onnx(deployed(network).cpu(), shape), torch.get_num_threads()
    return OnnxRuntime(model, threads) if choice == "onnx" else OpenVinoRuntime(model, threads)
