"""Pose estimation: the estimator protocol, tracking, and one folder for each backend."""

from skdpipe.pose.protocol import PoseEstimator

__all__ = ["PoseEstimator"]
