from .bundle import Bundle, load_bundle, save_bundle
from .cache import PoseCache
from .check import CheckReport, Finding, check_data
from .compare import ComparisonResult, run_comparison
from .config import (
    ClipFormat,
    Comparison,
    ConfigFile,
    Degradation,
    Estimator,
    EstimatorNoise,
    Experiment,
    Extraction,
    LayoutDescription,
    OpenPifPafSettings,
    PluginSettings,
    PoseTraining,
    Report,
    RtmlibSettings,
    config_path,
    config_schema,
    describe_config,
    list_configs,
    load_config,
    load_estimator_settings,
)
from .degradation import fit_noise, fit_noise_of_cache, save_noise
from .demo import DemoResult, run_demo
from .distill import DistillationResult, cross_validate, distill_student, finetune_student
from .ensemble import Ensemble, evaluate_bundles
from .errors import (
    BundleError,
    CacheError,
    ConfigError,
    DataError,
    FormatError,
    MissingDependencyError,
    PoseError,
    SkdpipeError,
    VideoError,
)
from .evaluate import Figures
from .extraction import (
    ExtractionReport,
    Source,
    VideoItem,
    VideoList,
    extract_videos,
    find_videos,
    open_sources,
)
from .formats.convert import convert_poses
from .formats.importing import import_poses
from .formats.poses import load_poses, save_poses
from .inference import BundleMetadata, Prediction, Predictor, TrainingClips, read_metadata
from .pose import PoseEstimator
from .pose.load import load_estimator
from .pose.openpifpaf.weights import fetch_pose_weights
from .pose.openpifpaf.weights_file import list_pose_weights
from .pose_training import measure_pose, train_pose
from .predict import load_predictor, newest_bundle
from .profile import Profile, Variant, profile_estimators
from .progress import Progress
from .report import write_report
from .skeleton import (
    COCO_17,
    LAYOUTS,
    Keypoints,
    Layout,
    Origin,
    PoseSequence,
    describe_layout,
    layout_named,
    map_layout,
)
from .skeleton.mean_pose import PoseSummary, summarise_poses
from .video import Frame, read_frames

__all__ = [
    "COCO_17",
    "LAYOUTS",
    "Bundle",
    "BundleError",
    "BundleMetadata",
    "CacheError",
    "CheckReport",
    "ClipFormat",
    "Comparison",
    "ComparisonResult",
    "ConfigError",
    "ConfigFile",
    "DataError",
    "Degradation",
    "DemoResult",
    "DistillationResult",
    "Ensemble",
    "Estimator",
    "EstimatorNoise",
    "Experiment",
    "Extraction",
    "ExtractionReport",
    "Figures",
    "Finding",
    "FormatError",
    "Frame",
    "Keypoints",
    "Layout",
    "LayoutDescription",
    "MissingDependencyError",
    "OpenPifPafSettings",
    "Origin",
    "PluginSettings",
    "PoseCache",
    "PoseError",
    "PoseEstimator",
    "PoseSequence",
    "PoseSummary",
    "PoseTraining",
    "Prediction",
    "Predictor",
    "Profile",
    "Progress",
    "Report",
    "RtmlibSettings",
    "SkdpipeError",
    "Source",
    "TrainingClips",
    "Variant",
    "VideoError",
    "VideoItem",
    "VideoList",
    "check_data",
    "config_path",
    "config_schema",
    "convert_poses",
    "cross_validate",
    "describe_config",
    "describe_layout",
    "distill_student",
    "evaluate_bundles",
    "extract_videos",
    "fetch_pose_weights",
    "find_videos",
    "finetune_student",
    "fit_noise",
    "fit_noise_of_cache",
    "import_poses",
    "layout_named",
    "list_configs",
    "list_pose_weights",
    "load_bundle",
    "load_config",
    "load_estimator",
    "load_estimator_settings",
    "load_poses",
    "load_predictor",
    "map_layout",
    "measure_pose",
    "newest_bundle",
    "open_sources",
    "profile_estimators",
    "read_frames",
    "read_metadata",
    "run_comparison",
    "run_demo",
    "save_bundle",
    "save_noise",
    "save_poses",
    "summarise_poses",
    "train_pose",
    "write_report",
]
