"""rtmlib as a `PoseEstimator`; nothing outside this folder imports rtmlib."""

from skdpipe.pose.rtmlib.estimator import Rtmlib

__all__ = ["Rtmlib"]
