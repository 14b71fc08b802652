from .bundle import Bundle, load_bundle, save_bundle
from .cache import PoseCache
from .cache.corrections import (
    Correction,
    LabelChange,
    RelabelReport,
    correct_label,
    relabel_cache,
    rename_label,
    undo_corrections,
)
from .cache.inventory import (
    CacheFinding,
    FolderSummary,
    OtherFile,
    Pairs,
    VerifyReport,
    count_pairs,
    list_other_files,
    summarise_cache,
    verify_cache,
)
from .cache.prune import PruneReport, Removal, prune_cache
from .check import CheckReport, check_data
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
from .doctor import Diagnosis, diagnose
from .engines import LocalEngine, RayEngine
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
from .export import ExportReport, export_student
from .extraction import (
    ExtractionReport,
    Source,
    VideoItem,
    VideoList,
    extract_videos,
    find_videos,
    open_sources,
)
from .extraction.label_corrections import LabelList, read_corrections
from .extraction.orphans import find_orphans
from .finding import Finding
from .formats.convert import convert_poses
from .formats.importing import import_poses
from .formats.poses import load_poses, save_poses
from .inference import (
    BundleMetadata,
    FootageSettings,
    LivePredictor,
    Prediction,
    Predictor,
    Segment,
    Timeline,
    TrainingClips,
    read_metadata,
)
from .info import Description, Fact, describe_path
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
from .webapp import AppSettings, create_app

__all__ = [
    "COCO_17",
    "LAYOUTS",
    "AppSettings",
    "Bundle",
    "BundleError",
    "BundleMetadata",
    "CacheError",
    "CacheFinding",
    "CheckReport",
    "ClipFormat",
    "Comparison",
    "ComparisonResult",
    "ConfigError",
    "ConfigFile",
    "Correction",
    "DataError",
    "Degradation",
    "DemoResult",
    "Description",
    "Diagnosis",
    "DistillationResult",
    "Ensemble",
    "Estimator",
    "EstimatorNoise",
    "Experiment",
    "ExportReport",
    "Extraction",
    "ExtractionReport",
    "Fact",
    "Figures",
    "Finding",
    "FolderSummary",
    "FootageSettings",
    "FormatError",
    "Frame",
    "Keypoints",
    "LabelChange",
    "LabelList",
    "Layout",
    "LayoutDescription",
    "LivePredictor",
    "LocalEngine",
    "MissingDependencyError",
    "OpenPifPafSettings",
    "Origin",
    "OtherFile",
    "Pairs",
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
    "PruneReport",
    "RayEngine",
    "RelabelReport",
    "Removal",
    "Report",
    "RtmlibSettings",
    "Segment",
    "SkdpipeError",
    "Source",
    "Timeline",
    "TrainingClips",
    "Variant",
    "VerifyReport",
    "VideoError",
    "VideoItem",
    "VideoList",
    "check_data",
    "config_path",
    "config_schema",
    "convert_poses",
    "correct_label",
    "count_pairs",
    "create_app",
    "cross_validate",
    "describe_config",
    "describe_layout",
    "describe_path",
    "diagnose",
    "distill_student",
    "evaluate_bundles",
    "export_student",
    "extract_videos",
    "fetch_pose_weights",
    "find_orphans",
    "find_videos",
    "finetune_student",
    "fit_noise",
    "fit_noise_of_cache",
    "import_poses",
    "layout_named",
    "list_configs",
    "list_other_files",
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
    "prune_cache",
    "read_corrections",
    "read_frames",
    "read_metadata",
    "relabel_cache",
    "rename_label",
    "run_comparison",
    "run_demo",
    "save_bundle",
    "save_noise",
    "save_poses",
    "summarise_cache",
    "summarise_poses",
    "train_pose",
    "undo_corrections",
    "verify_cache",
    "write_report",
]
