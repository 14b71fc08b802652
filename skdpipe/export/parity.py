"""The comparison of an exported network with the bundle in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from skdpipe.bundle import Bundle
from skdpipe.errors import BundleError
from skdpipe.export.skeletons import Skeletons
from skdpipe.inference.export_format import Parity
from skdpipe.inference.model_input import Floats, Mask
from skdpipe.inference.runtimes import finite_logits
from skdpipe.runtime import TorchRuntime

TOLERANCE: Final = 1e-4
"""Largest difference of two logits, relative to the largest logit of all clips.

Two orders of the same sums in float32 differ by up to 1e-5 in the networks of skdpipe; weights in half
precision by 3e-4, bfloat16 by 4e-3. With logits of about 10, a probability changes by less than 0.001.
"""

BATCH: Final = 16
"""The larger batch that is compared; the last one may be smaller."""

Run = Callable[[Floats, Mask], Floats]
"""From clips and masks to logits, as `skdpipe.inference.Runtime`."""


@dataclass(frozen=True)
class Compared:
    """One comparison of an exported file with the bundle.

    Attributes:
        file: its path below the folder.
        runtime: what ran it.
        batch: number of clips at once.
        parity: the result.
    """

    file: str
    runtime: str
    batch: int
    parity: Parity


@dataclass(frozen=True)
class Reference:
    """The logits of a bundle in PyTorch.

    Attributes:
        clips: the clips.
        logits: ``(clip, class)``.
    """

    clips: Skeletons
    logits: Floats

    @property
    def largest(self) -> float:
        """The largest absolute logit."""
        return float(np.abs(self.logits).max())

    @property
    def bound(self) -> float:
        """The largest difference that is accepted."""
        return TOLERANCE * self.largest


def reference_of(bundle: Bundle, clips: Skeletons) -> Reference:
    """The logits of clips.

    Raises:
        BundleError: if one is not finite.
    """
    runtime = TorchRuntime(bundle.network, "cpu")
    parts = [finite_logits(runtime, *each, clips.origin) for each in in_batches(clips, BATCH)]
    return Reference(clips, np.concatenate(parts))


def compare(run: Run, reference: Reference, file: str, runtime: str, batch: int) -> Compared:
    """Compare a network with the bundle on all clips."""
    found = np.concatenate([run(*each) for each in in_batches(reference.clips, batch)])
    return Compared(file, runtime, batch, parity_of(found, reference))


def parity_of(found: Floats, reference: Reference) -> Parity:
    """How close logits ``(clip, class)`` are to those of the bundle."""
    difference = np.abs(found - reference.logits).max()
    equal = (found.argmax(axis=1) == reference.logits.argmax(axis=1)).mean()
    return Parity(len(found), float(np.nan_to_num(difference, nan=np.inf)), float(equal))


def worst(compared: Sequence[Compared]) -> Parity:
    """The parity of a file that was compared several times."""
    every = [each.parity for each in compared]
    return Parity(
        every[0].clips, max(each.largest_difference for each in every), min(each.equal for each in every)
    )


def require_parity(compared: Sequence[Compared], reference: Reference) -> None:
    """Check that all differences are those of rounding.

    Raises:
        BundleError: if one is larger.
    """
    for each in compared:
        difference = each.parity.largest_difference
        if difference > reference.bound:
            raise BundleError(
                f"{each.file} in {each.runtime} differs from the bundle by {difference:.2g} in logits of up "
                f"to {reference.largest:.3g}; expected at most {reference.bound:.1g}, which is rounding: "
                "nothing was written; update torch and the packages of the format, or choose others with "
                "--format"
            )


def in_batches(clips: Skeletons, size: int) -> list[tuple[Floats, Mask]]:
    """The clips in their order."""
    starts = range(0, len(clips.x), size)
    return [(clips.x[start : start + size], clips.mask[start : start + size]) for start in starts]
