"""Sources: the estimator of each quality, and the cache folder of its sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skdpipe.cache import Quality, settings_slug
from skdpipe.config import Estimator, Extraction
from skdpipe.pose import PoseEstimator
from skdpipe.pose.decoding import SampledEstimator
from skdpipe.pose.load import load_estimator

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Source:
    """The estimator of one quality.

    Attributes:
        quality: high or low.
        estimator: the pose estimator.
        every: the estimator runs on every ``every``-th frame.
        config: the estimator's settings; if given, they are saved beside the sequences and later in bundles.
        device: of a network in PyTorch.
    """

    quality: Quality
    estimator: PoseEstimator
    every: int = 1
    config: Estimator | None = None
    device: str = "cpu"

    @property
    def sampled(self) -> SampledEstimator:
        """The estimator with its sampling."""
        return SampledEstimator(self.estimator, self.every)

    @property
    def settings(self) -> str:
        """The cache folder of this estimator and sampling."""
        name = self.estimator.fingerprint.removeprefix("openpifpaf ").split(" ")[0][:100]
        return settings_slug(f"{name}-k{self.every}", f"{self.estimator.fingerprint} every {self.every}")


def open_sources(
    settings: Extraction, device: torch.device | str = "cpu", *, threads: int | None = None
) -> list[Source]:
    """Load the estimators of both qualities, high first.

    Args:
        settings: of the estimators.
        device, threads: as for `load_estimator`.

    Raises:
        PoseError: if an estimator or its weights are not available.
    """
    chosen: tuple[tuple[Quality, Estimator], ...] = (("high", settings.high), ("low", settings.low))
    return [open_source(quality, each, str(device), threads) for quality, each in chosen]


def open_source(quality: Quality, settings: Estimator, device: str, threads: int | None = None) -> Source:
    """Load the estimator of one quality; arguments and errors as for `load_estimator`."""
    estimator = load_estimator(settings, device, threads=threads)
    return Source(quality, estimator, settings.every, settings, device)
