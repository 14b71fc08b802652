"""The network of an estimator in the runtime of its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from skdpipe.config import OpenPifPafSettings
from skdpipe.pose.openpifpaf.estimator import FieldNetwork
from skdpipe.pose.openpifpaf.exported_fields import ExportedFields
from skdpipe.pose.openpifpaf.weights_file import describe_weights, weights_file
from skdpipe.runtimes import choose_runtime, exported_network, open_session

if TYPE_CHECKING:
    from skdpipe.pose.openpifpaf.networks import PoseNetwork

_EXPORT_VERSION: Final = 2  # changes when the exported models do


def open_network(settings: OpenPifPafSettings, device: str, threads: int) -> FieldNetwork:
    """Open a network from images to fields; torch is imported only if it is needed.

    A network for ONNX Runtime or OpenVINO is exported once, which needs torch, and kept in the user's cache.

    Args:
        settings: backbone, weights, runtime and precision.
        device: of PyTorch.
        threads: number of threads of the other runtimes.

    Raises:
        PoseError: if the weights cannot be loaded, or belong to another backbone.
        MissingDependencyError: if the runtime is not installed.
        ConfigError: if the runtime does not have the precision.
    """
    runtime = choose_runtime(settings.runtime, settings.precision, device)
    if runtime == "torch":
        from skdpipe.pose.openpifpaf.torch_fields import TorchFields

        return TorchFields(_load(settings), device, settings.precision)
    if (file := weights_file(settings.weights)) is not None:
        description, network = describe_weights(file, settings.backbone), None
    else:
        network = _load(settings)
        description = network.description
    key = f"{settings.backbone}-{description.checksum[:32]}-{_EXPORT_VERSION}"
    model = exported_network(key, lambda: _export(network or _load(settings)))
    session = open_session(model, runtime, calls=threads, precision=settings.precision)
    return ExportedFields(session, description, calls=threads, precision=settings.precision)


def _load(settings: OpenPifPafSettings) -> PoseNetwork:
    from skdpipe.pose.openpifpaf.weights import load_weights

    return load_weights(settings.backbone, settings.weights)


def _export(network: PoseNetwork) -> bytes:
    from skdpipe.pose.openpifpaf.export import to_onnx

    return to_onnx(network)
