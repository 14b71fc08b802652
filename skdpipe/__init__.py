"""skdpipe: from raw video to action labels, with structural knowledge distillation.

What each command of the command line does can be called from here; a name is imported when it is first
used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skdpipe.bundle import Bundle, load_bundle, save_bundle
    from skdpipe.cache import PoseCache
    from skdpipe.config import Estimator, Experiment, Extraction, Report, config_path, load_config
    from skdpipe.distill import distill as distill_student
    from skdpipe.errors import PoseError, SkdpipeError
    from skdpipe.evaluate import Ensemble, evaluate_bundles
    from skdpipe.extract import extract as extract_videos
    from skdpipe.extract import open_sources
    from skdpipe.listing import find_videos
    from skdpipe.pose import Frame, PoseEstimator
    from skdpipe.predict import Prediction, Predictor
    from skdpipe.progress import Progress
    from skdpipe.report import write_report
    from skdpipe.skeleton import COCO_17, Keypoints, Layout, PoseSequence, map_layout

_HOME = {
    "Bundle": "bundle.Bundle",
    "COCO_17": "skeleton.COCO_17",
    "Ensemble": "evaluate.Ensemble",
    "Estimator": "config.Estimator",
    "Experiment": "config.Experiment",
    "Extraction": "config.Extraction",
    "Frame": "pose.Frame",
    "Keypoints": "skeleton.Keypoints",
    "Layout": "skeleton.Layout",
    "PoseCache": "cache.PoseCache",
    "PoseError": "errors.PoseError",
    "PoseEstimator": "pose.PoseEstimator",
    "PoseSequence": "skeleton.PoseSequence",
    "Prediction": "predict.Prediction",
    "Predictor": "predict.Predictor",
    "Progress": "progress.Progress",
    "Report": "config.Report",
    "SkdpipeError": "errors.SkdpipeError",
    "config_path": "config.config_path",
    "distill_student": "distill.distill",
    "evaluate_bundles": "evaluate.evaluate_bundles",
    "extract_videos": "extract.extract",
    "find_videos": "listing.find_videos",
    "load_bundle": "bundle.load_bundle",
    "load_config": "config.load_config",
    "map_layout": "skeleton.map_layout",
    "open_sources": "extract.open_sources",
    "save_bundle": "bundle.save_bundle",
    "write_report": "report.write_report",
}

__all__ = [
    "COCO_17",
    "Bundle",
    "Ensemble",
    "Estimator",
    "Experiment",
    "Extraction",
    "Frame",
    "Keypoints",
    "Layout",
    "PoseCache",
    "PoseError",
    "PoseEstimator",
    "PoseSequence",
    "Prediction",
    "Predictor",
    "Progress",
    "Report",
    "SkdpipeError",
    "config_path",
    "distill_student",
    "evaluate_bundles",
    "extract_videos",
    "find_videos",
    "load_bundle",
    "load_config",
    "map_layout",
    "open_sources",
    "save_bundle",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'skdpipe' has no attribute '{name}'")
    module, _, attribute = _HOME[name].rpartition(".")
    return getattr(import_module(f"skdpipe.{module}"), attribute)
