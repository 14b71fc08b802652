"""Runtimes: a trained network as a function from numpy arrays to numpy arrays."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Runtime(Protocol):
    """Runs a network.

    Attributes:
        name: what runs it, for messages and reports.
    """

    name: str

    def __call__(self, x: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Compute logits.

        Args:
            x: clips ``(batch, person, channel, frame, joint)``.
            mask: ``(batch, person)``, True for people who are seen.

        Returns:
            Logits ``(batch, class)``.
        """
        ...
