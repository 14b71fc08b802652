"""OpenPifPaf's networks in ONNX Runtime or OpenVINO."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from skdpipe.config import Precision
from skdpipe.pose.openpifpaf.estimator import Floats, NetworkDescription
from skdpipe.runtimes import open_session


class ExportedFields:
    """A `FieldNetwork` that was exported.

    Args:
        model: as exported by `skdpipe.pose.openpifpaf.export.to_onnx`.
        description: which network it is.
        runtime: what runs it, on the processor.
        threads: number of calls at once, each on one thread.
        precision: number format in which it computes.

    Raises:
        MissingDependencyError: if the runtime is not installed.
    """

    def __init__(
        self,
        model: bytes,
        description: NetworkDescription,
        runtime: Literal["onnx", "openvino"],
        *,
        threads: int,
        precision: Precision = "float32",
    ) -> None:
        self.description = description
        self.runtime: str = runtime
        self.precision: Precision = precision
        self.calls = threads
        self._session = open_session(model, runtime, calls=threads, precision=precision)

    def __call__(self, images: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """See `FieldNetwork`."""
        cif, caf = self._session({"images": images})
        return cif, caf
