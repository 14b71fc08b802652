"""Runtimes: a trained network as a function from numpy arrays to numpy arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import BundleError
from skdpipe.runtimes import open_session

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Runtime(Protocol):
    """Runs a network.

    Attributes:
        name: of the runtime, for messages and reports.
    """

    name: str

    def __call__(self, x: Floats, mask: Mask) -> Floats:
        """Compute logits.

        Args:
            x: clips ``(batch, person, channel, frame, joint)``.
            mask: ``(batch, person)``, true for real people.

        Returns:
            Logits ``(batch, class)``.
        """
        ...


class ExportedRuntime:
    """Runs a network that was exported to ONNX, on the CPU in single precision.

    Args:
        model: as exported by :func:`skdpipe.networks.to_onnx`, or the path of a file.
        name: of the runtime.
        threads: number of threads.

    Attributes:
        session: runs the model.

    Raises:
        MissingDependencyError: if the runtime is not installed.
    """

    def __init__(self, model: bytes | Path, name: Literal["onnx", "openvino"], threads: int) -> None:
        self.name: str = name
        self.session = open_session(model, name, threads=threads)

    def __call__(self, x: Floats, mask: Mask) -> Floats:
        """See :class:`Runtime`; a model for one clip is called for each."""
        if self.session.inputs["x"][0] == 1 < len(x):
            return np.concatenate([self(x[i : i + 1], mask[i : i + 1]) for i in range(len(x))])
        (logits,) = self.session({"x": x, "mask": mask})
        return logits


def finite_logits(runtime: Runtime, x: Floats, mask: Mask, of: str) -> Floats:
    """The logits of clips.

    Args:
        runtime: runs the network.
        x, mask: as for :class:`Runtime`.
        of: what is labelled, for the message.

    Raises:
        BundleError: if a logit is not finite.
    """
    logits = runtime(x, mask)
    if not np.isfinite(logits).all():
        raise BundleError(f"the network's output for {of} is not finite; train it again")
    return logits
