"""The classical baseline: a random forest on summary features of a clip."""

from skdpipe.classical.features import summary_features
from skdpipe.classical.forest import forest_probabilities

__all__ = ["forest_probabilities", "summary_features"]
