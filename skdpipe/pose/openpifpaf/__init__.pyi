from .estimator import OpenPifPaf
from .networks import BACKBONES, PoseNetwork, build, save_weights
from .open_network import open_network
from .torch_fields import TorchFields
from .weights import load_weights

__all__ = [
    "BACKBONES",
    "OpenPifPaf",
    "PoseNetwork",
    "TorchFields",
    "build",
    "load_weights",
    "open_network",
    "save_weights",
]
