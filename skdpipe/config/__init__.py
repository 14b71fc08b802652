"""Settings: frozen dataclasses checked by pydantic, read from YAML, changed by ``key.path=value``.

Networks and losses take plain arguments, never a config.
"""

from skdpipe.config.comparison import Comparison
from skdpipe.config.describe import describe_config
from skdpipe.config.estimator import (
    Estimator,
    OpenPifPafSettings,
    PluginSettings,
    Precision,
    RtmlibSettings,
    RuntimeChoice,
    Thresholds,
    load_estimator_settings,
    parse_estimator_settings,
)
from skdpipe.config.experiment import (
    Augmentation,
    ClipFormat,
    Degradation,
    Distillation,
    EstimatorNoise,
    Experiment,
    Fold,
    LabelShares,
    MethodName,
    NetworkChoice,
    Recipe,
    Stream,
    Subset,
)
from skdpipe.config.files import ConfigFile, config_path, list_configs
from skdpipe.config.layout import LayoutDescription, read_layout
from skdpipe.config.load import change_config, load_config, load_section, parse_config, to_plain
from skdpipe.config.pose import (
    Actors,
    CocoFile,
    Demonstration,
    Extraction,
    PoseTraining,
)
from skdpipe.config.report import Report, Robustness, TSne
from skdpipe.config.schema import config_schema

__all__ = [
    "Actors",
    "Augmentation",
    "ClipFormat",
    "CocoFile",
    "Comparison",
    "ConfigFile",
    "Degradation",
    "Demonstration",
    "Distillation",
    "Estimator",
    "EstimatorNoise",
    "Experiment",
    "Extraction",
    "Fold",
    "LabelShares",
    "LayoutDescription",
    "MethodName",
    "NetworkChoice",
    "OpenPifPafSettings",
    "PluginSettings",
    "PoseTraining",
    "Precision",
    "Recipe",
    "Report",
    "Robustness",
    "RtmlibSettings",
    "RuntimeChoice",
    "Stream",
    "Subset",
    "TSne",
    "Thresholds",
    "change_config",
    "config_path",
    "config_schema",
    "describe_config",
    "list_configs",
    "load_config",
    "load_estimator_settings",
    "load_section",
    "parse_config",
    "parse_estimator_settings",
    "read_layout",
    "to_plain",
]
