"""From clips of several people to rows of one person, and back.

A clip has a fixed number of places for people; a place that nobody fills is padding. A network
looks at the rows of real people alone, so padding reaches neither its batch normalisation nor
its loss.
"""

from __future__ import annotations

import torch
from torch import Tensor


def with_stand_in(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The clips with one all-zero person in each clip that has nobody.

    Args:
        x: ``(batch, person, channel, frame, joint)``.
        mask: ``(batch, person)`` bool, true for real people.

    Returns:
        The clips, and a mask that is true at least once in each clip.
    """
    nobody = ~mask.any(dim=1)
    stand_in = torch.zeros_like(mask)
    stand_in[:, 0] = nobody
    return x.masked_fill(nobody[:, None, None, None, None], 0.0), mask | stand_in


def scatter_people(rows: Tensor, mask: Tensor) -> Tensor:
    """Puts rows back to their clip and place; the inverse of ``x[mask]``.

    Args:
        rows: ``(row, ...)``, in the order in which ``mask`` is true.
        mask: ``(batch, person)`` bool.

    Returns:
        ``(batch, person, ...)``, zero where ``mask`` is false.
    """
    return rows.new_zeros(*mask.shape, *rows.shape[1:]).index_put((mask,), rows)


def mean_over_people(rows: Tensor, mask: Tensor) -> Tensor:
    """Averages the rows of each clip: ``(row, channel)`` to ``(batch, channel)``."""
    return scatter_people(rows, mask).sum(dim=1) / mask.sum(dim=1, keepdim=True)
