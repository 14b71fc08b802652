"""Inference: from pose sequences to labels with numpy alone; this package never imports torch."""

from skdpipe.inference.live import LivePredictor
from skdpipe.inference.metadata import BundleMetadata, TrainingClips, read_metadata
from skdpipe.inference.model_input import batch_input, model_input
from skdpipe.inference.prediction import Prediction, rank_classes
from skdpipe.inference.predictor import Predictor
from skdpipe.inference.runtimes import ExportedRuntime, Runtime
from skdpipe.inference.timeline import Segment, Timeline
from skdpipe.inference.window_settings import FootageSettings

__all__ = [
    "BundleMetadata",
    "ExportedRuntime",
    "FootageSettings",
    "LivePredictor",
    "Prediction",
    "Predictor",
    "Runtime",
    "Segment",
    "Timeline",
    "TrainingClips",
    "batch_input",
    "model_input",
    "rank_classes",
    "read_metadata",
]
