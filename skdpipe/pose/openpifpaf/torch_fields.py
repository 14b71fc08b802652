"""OpenPifPaf's networks in PyTorch."""

from __future__ import annotations

from contextlib import nullcontext
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray

from skdpipe.config import Precision
from skdpipe.pose.openpifpaf.estimator import Floats
from skdpipe.pose.openpifpaf.networks import PoseNetwork, normalise

_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TorchFields:
    """A `FieldNetwork` in PyTorch.

    Two calls overlap: the fields of one batch are decoded while the network computes the next. The network
    itself computes one batch at a time, with PyTorch's threads.

    Args:
        network: the trained network; it is moved to the device.
        device: on a GPU, images are copied from pinned memory, and the layout is channels last.
        precision: number format of convolutions and matrix products.
    """

    runtime = "torch"
    calls = 2

    def __init__(
        self, network: PoseNetwork, device: torch.device | str = "cpu", precision: Precision = "float32"
    ) -> None:
        self.description = network.description
        self.precision: Precision = precision
        self._device = torch.device(device)
        self._on_gpu = self._device.type == "cuda"
        self._module = network.module.to(self._device).eval()
        if self._on_gpu:
            for parameter in self._module.parameters():
                if parameter.ndim == 4:
                    parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self._computing = Lock()

    def __call__(self, images: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """See `FieldNetwork`."""
        pixels = torch.from_numpy(images)
        if self._on_gpu:
            pixels = pixels.pin_memory().to(self._device, non_blocking=True)
        with self._computing, torch.inference_mode(), self._number_format():
            fields = self._module(normalise(pixels.to(self._device)))
            cif, caf = (head.float().cpu().numpy() for head in fields)
        return cif, caf

    def _number_format(self) -> torch.autocast | nullcontext[None]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self._device.type, _TYPES[self.precision])
