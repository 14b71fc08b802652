"""Which estimator produces which quality, and where its sequences are cached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skdpipe.cache import Quality, settings_slug
from skdpipe.config import Estimator, Extraction
from skdpipe.pose import PoseEstimator
from skdpipe.pose.estimate import SampledEstimator
from skdpipe.pose.load import load_estimator

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Source:
    """The estimator of one quality, run on one frame in ``every``.

    ``config``, if given, is saved beside the sequences, so that a bundle can name its estimator.
    """

    quality: Quality
    estimator: PoseEstimator
    every: int = 1
    config: Estimator | None = None

    @property
    def sampled(self) -> SampledEstimator:
        """The estimator with its sampling."""
        return SampledEstimator(self.estimator, self.every)

    @property
    def settings(self) -> str:
        """The cache folder of this estimator and sampling."""
        name = self.estimator.fingerprint.removeprefix("openpifpaf ").split(" ")[0]
        return settings_slug(f"{name}-k{self.every}", f"{self.estimator.fingerprint} every {self.every}")


def open_sources(settings: Extraction, device: torch.device) -> list[Source]:
    """The estimators of both qualities, high first.

    Raises:
        PoseError: if an estimator or its weights are not available.
    """
    chosen: tuple[tuple[Quality, Estimator], ...] = (("high", settings.high), ("low", settings.low))
    return [Source(name, load_estimator(each, device), each.every, each) for name, each in chosen]
