"""A batch of clips in both qualities."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from skdpipe.cache import Quality


class Batch(NamedTuple):
    """A batch of clips; an item of a data set is the same without the batch axis.

    Attributes:
        high, low: inputs of teacher and student, ``(batch, person, channel, frame, joint)`` float32; zero
            with an all-False mask if the quality is missing.
        high_mask, low_mask: ``(batch, person)`` bool, True for people who are seen.
        paired: ``(batch, person)`` bool, True if both qualities show the same person; features are compared
            only there.
        label: ``(batch,)`` class index, -1 for unlabelled clips.
        labelled: ``(batch,)`` bool, whether the label is used in training on low quality.
        number: ``(batch,)`` index of the clip in its data set.
    """

    high: Tensor
    high_mask: Tensor
    low: Tensor
    low_mask: Tensor
    paired: Tensor
    label: Tensor
    labelled: Tensor
    number: Tensor

    def of_quality(self, quality: Quality) -> tuple[Tensor, Tensor]:
        """The input and the mask of one quality."""
        return (self.high, self.high_mask) if quality == "high" else (self.low, self.low_mask)
