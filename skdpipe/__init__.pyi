from .bundle import Bundle, load_bundle, save_bundle
from .cache import PoseCache
from .compare import run_comparison
from .config import Estimator, Experiment, Extraction, Report, config_path, load_config
from .degradation import fit_noise
from .demo import run_demo
from .distill import distill_student, finetune_student
from .ensemble import Ensemble, evaluate_bundles
from .errors import PoseError, SkdpipeError
from .extraction import Source, VideoItem, extract_videos, find_videos, open_sources
from .formats.convert import convert_poses
from .formats.importing import import_poses
from .inference import Prediction, Predictor
from .pose import PoseEstimator
from .pose_training import measure_pose, train_pose
from .predict import load_predictor
from .progress import Progress
from .report import write_report
from .skeleton import COCO_17, Keypoints, Layout, Origin, PoseSequence, map_layout
from .video import Frame

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
    "Origin",
    "PoseCache",
    "PoseError",
    "PoseEstimator",
    "PoseSequence",
    "Prediction",
    "Predictor",
    "Progress",
    "Report",
    "SkdpipeError",
    "Source",
    "VideoItem",
    "config_path",
    "convert_poses",
    "distill_student",
    "evaluate_bundles",
    "extract_videos",
    "find_videos",
    "finetune_student",
    "fit_noise",
    "import_poses",
    "load_bundle",
    "load_config",
    "load_predictor",
    "map_layout",
    "measure_pose",
    "open_sources",
    "run_comparison",
    "run_demo",
    "save_bundle",
    "train_pose",
    "write_report",
]
