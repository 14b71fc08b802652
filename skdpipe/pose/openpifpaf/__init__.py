"""OpenPifPaf as a `PoseEstimator`; nothing outside this folder imports OpenPifPaf.

OpenPifPaf keeps its configuration in class attributes. `networks` and `estimator` set every attribute that
they depend on directly before use, so values set elsewhere have no effect.
"""

from skdpipe.pose.openpifpaf.estimator import OpenPifPaf
from skdpipe.pose.openpifpaf.networks import (
    BACKBONES,
    PoseNetwork,
    build,
    save_weights,
)
from skdpipe.pose.openpifpaf.weights import load_weights

__all__ = ["BACKBONES", "OpenPifPaf", "PoseNetwork", "build", "load_weights", "save_weights"]
