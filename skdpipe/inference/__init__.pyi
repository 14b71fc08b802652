from .exported import load_export
from .live import LivePredictor
from .metadata import BundleMetadata, TrainingClips, read_metadata
from .model_input import batch_input, model_input
from .prediction import Prediction, rank_classes
from .predictor import Predictor
from .runtimes import ExportedRuntime, Runtime
from .timeline import Segment, Timeline
from .window_settings import FootageSettings

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
    "load_export",
    "model_input",
    "rank_classes",
    "read_metadata",
]
