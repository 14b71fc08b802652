"""Half precision, in which sums of many values lose digits or overflow."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_single(x: Tensor) -> Tensor:
    """Half precision converted to single; other precisions unchanged."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
