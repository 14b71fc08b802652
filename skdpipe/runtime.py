"""The runtime of a trained network; torch is imported only if it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.config import ClipFormat, RuntimeChoice
from skdpipe.file_digest import sha256_of
from skdpipe.inference.continual import Arrays, ContinualFormat, Floats
from skdpipe.inference.metadata import errors_of
from skdpipe.inference.model_input import clip_shape
from skdpipe.inference.runtimes import ExportedRuntime, Runtime
from skdpipe.runtimes import available_threads, choose_runtime, exported_network

if TYPE_CHECKING:
    import torch

    from skdpipe.bundle import Bundle
    from skdpipe.networks import GraphNetwork

Shape = tuple[int, int, int, int, int]

_FASTEST: Final = ("onnx", "openvino")  # for graph networks: configs/RESULTS.md
_EXPORT_VERSION: Final = 2  # changes when the exported models do


class TorchRuntime:
    """Runs a network in PyTorch.

    Args:
        network: is copied.
        device: that runs it.
    """

    name = "torch"

    def __init__(self, network: GraphNetwork, device: torch.device | str) -> None:
        from skdpipe.networks import deployed

        self._network = deployed(network).to(device)
        self._device = device

    def __call__(self, x: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """See :class:`skdpipe.inference.Runtime`."""
        import torch

        with torch.inference_mode():
            clips, masks = torch.from_numpy(x).to(self._device), torch.from_numpy(mask).to(self._device)
            logits = self._network(clips, masks).logits.float().cpu()
        return np.asarray(logits.numpy(), np.float32)


class TorchContinualRuntime:
    """Runs a network of the ST-GCN family frame by frame in PyTorch.

    Args:
        network: is copied.
        frames: length of the clips that it was trained on.
        device: that runs it.

    Raises:
        ConfigError: if the network is not of that family.
    """

    name = "torch"

    def __init__(self, network: GraphNetwork, frames: int, device: torch.device | str) -> None:
        from skdpipe.networks import ContinualNetwork

        self._network = ContinualNetwork(network, frames).to(device)
        self._device = device
        self.format = ContinualFormat(self._network.stride, self._network.delay, self._network.state_shapes)

    def __call__(self, x: Floats, state: Arrays) -> tuple[Floats, Arrays]:
        """See :class:`skdpipe.inference.continual.ContinualRuntime`."""
        import torch

        with torch.inference_mode():
            tensors = tuple(torch.from_numpy(each).to(self._device) for each in state)
            output, following = self._network(torch.from_numpy(x).to(self._device), tensors)
        return output.logits.cpu().numpy(), tuple(each.cpu().numpy() for each in following)


def open_runtime(bundle: Path | Bundle, clip: ClipFormat, choice: RuntimeChoice, device: str) -> Runtime:
    """The runtime of a trained network.

    A network for ONNX Runtime or OpenVINO is exported once, which needs torch, and kept in the user's cache
    under the checksum of the bundle; that of a bundle in memory is not kept.

    Args:
        bundle: its path, or the bundle itself.
        clip: the format of its input.
        choice: what runs the network; see `choose_runtime`. auto takes PyTorch for a bundle in memory.
        device: of PyTorch.

    Raises:
        BundleError: if the bundle cannot be read.
        MissingDependencyError: if the runtime is not installed.
    """
    if choice == "auto" and not isinstance(bundle, Path):
        choice = "torch"
    runtime = choose_runtime(choice, "float32", device, fastest=_FASTEST)
    if runtime == "torch":
        return TorchRuntime(_network_of(bundle), device)
    one_clip = runtime == "openvino"  # with batches of any size, some networks take 30 times as long
    if isinstance(bundle, Path):
        with errors_of(bundle):
            digest = sha256_of(bundle)
        key = f"bundle-{'one-' if one_clip else ''}{digest[:32]}-{_EXPORT_VERSION}"
        model = exported_network(key, lambda: _export(bundle, clip, one_clip))
    else:
        model = _export(bundle, clip, one_clip)
    return ExportedRuntime(model, runtime, threads=available_threads())


def open_continual_runtime(bundle: Path | Bundle, clip: ClipFormat, device: str) -> TorchContinualRuntime:
    """What runs a trained network frame by frame, which needs torch.

    Raises:
        BundleError: if the bundle cannot be read.
        ConfigError: if its network is not of the ST-GCN family.
    """
    return TorchContinualRuntime(_network_of(bundle), clip.frames, device)


def _network_of(bundle: Path | Bundle) -> GraphNetwork:
    from skdpipe.bundle import load_bundle

    return (load_bundle(bundle) if isinstance(bundle, Path) else bundle).network


def _export(bundle: Path | Bundle, clip: ClipFormat, one_clip: bool) -> bytes:
    from skdpipe.networks import deployed, to_onnx

    return to_onnx(deployed(_network_of(bundle)).cpu(), input_shape(clip), fixed=one_clip)


def input_shape(clip: ClipFormat) -> Shape:
    """Shape of one clip ``(1, person, channel, frame, joint)``."""
    return 1, *clip_shape(clip)
