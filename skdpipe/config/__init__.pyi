from .comparison import Comparison
from .describe import describe_config
from .estimator import (
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
from .experiment import (
    Augmentation,
    Degradation,
    Distillation,
    EstimatorNoise,
    Experiment,
    Fold,
    LabelShares,
    MethodName,
    Recipe,
    Subset,
)
from .files import ConfigFile, config_path, list_configs
from .layout import LayoutDescription, read_layout
from .load import change_config, load_config, load_section, parse_config, to_plain
from .network import ClipFormat, NetworkChoice, Stream
from .pose import (
    Actors,
    CocoFile,
    Demonstration,
    Extraction,
    PoseTraining,
)
from .report import Report, Robustness, TSne, WrongClips
from .schema import config_schema

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
    "WrongClips",
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
