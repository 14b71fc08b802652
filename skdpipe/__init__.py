"""skdpipe: from raw video to action labels, with structural knowledge distillation.

What each command of the command line does can be called from here; a name is imported when it is first
used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skdpipe.bundle import Bundle, load_bundle, save_bundle
    from skdpipe.cache import PoseCache
    from skdpipe.config import Estimator, Experiment, Extraction, config_path, load_config
    from skdpipe.distill import distill
    from skdpipe.errors import SkdpipeError
    from skdpipe.extract import extract, find_videos, open_sources
    from skdpipe.pose import PoseEstimator
    from skdpipe.predict import Prediction, Predictor
    from skdpipe.skeleton import Layout, PoseSequence, map_layout

_HOME = {
    "Bundle": "bundle",
    "Estimator": "config",
    "Experiment": "config",
    "Extraction": "config",
    "Layout": "skeleton",
    "PoseCache": "cache",
    "PoseEstimator": "pose",
    "PoseSequence": "skeleton",
    "Prediction": "predict",
    "Predictor": "predict",
    "SkdpipeError": "errors",
    "config_path": "config",
    "distill": "distill",
    "extract": "extract",
    "find_videos": "extract",
    "load_bundle": "bundle",
    "load_config": "config",
    "map_layout": "skeleton",
    "open_sources": "extract",
    "save_bundle": "bundle",
}

__all__ = [
    "Bundle",
    "Estimator",
    "Experiment",
    "Extraction",
    "Layout",
    "PoseCache",
    "PoseEstimator",
    "PoseSequence",
    "Prediction",
    "Predictor",
    "SkdpipeError",
    "config_path",
    "distill",
    "extract",
    "find_videos",
    "load_bundle",
    "load_config",
    "map_layout",
    "open_sources",
    "save_bundle",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'skdpipe' has no attribute '{name}'")
    return getattr(import_module(f"skdpipe.{_HOME[name]}"), name)
