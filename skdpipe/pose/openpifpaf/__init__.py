"""OpenPifPaf behind our own protocol; nothing outside this folder imports it.

OpenPifPaf keeps its configuration in class attributes. `networks` and `estimator` set every attribute
they depend on just before use, so that nothing set elsewhere leaks in.
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
