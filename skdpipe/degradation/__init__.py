"""Degradations: low quality derived from high quality, and fitting an estimator's errors."""

from skdpipe.degradation.degrade import degrade, generator_for

__all__ = ["degrade", "generator_for"]
