"""The pose cache: one safetensors file for each video, estimator and sampling."""

from skdpipe.cache.pose_cache import PoseCache, settings_slug
from skdpipe.cache.sequence_file import FORMAT, Entry, Quality

__all__ = ["FORMAT", "Entry", "PoseCache", "Quality", "settings_slug"]
