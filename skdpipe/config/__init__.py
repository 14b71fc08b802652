"""Settings: frozen dataclasses checked by pydantic, read from YAML, changed by ``key.path=value``.

Nothing below `cli` and the public functions sees a config: networks and losses take plain arguments.
"""

from skdpipe.config.comparison import Comparison
from skdpipe.config.experiment import (
    Augmentation,
    ClipFormat,
    Degradation,
    Distillation,
    EstimatorNoise,
    Experiment,
    LabelShares,
    MethodName,
    NetworkChoice,
    Recipe,
    Stream,
)
from skdpipe.config.load import change_config, config_path, load_config, load_section, parse_config, to_plain
from skdpipe.config.pose import (
    Actors,
    CocoFile,
    Demonstration,
    Estimator,
    Extraction,
    PoseTraining,
    Thresholds,
)
from skdpipe.config.report import Report, Robustness, TSne

__all__ = [
    "Actors",
    "Augmentation",
    "ClipFormat",
    "CocoFile",
    "Comparison",
    "Degradation",
    "Demonstration",
    "Distillation",
    "Estimator",
    "EstimatorNoise",
    "Experiment",
    "Extraction",
    "LabelShares",
    "MethodName",
    "NetworkChoice",
    "PoseTraining",
    "Recipe",
    "Report",
    "Robustness",
    "Stream",
    "TSne",
    "Thresholds",
    "change_config",
    "config_path",
    "load_config",
    "load_section",
    "parse_config",
    "to_plain",
]
