"""The pose cache: one safetensors file for each video, estimator and sampling."""

from skdpipe.cache.pose_cache import FORMAT, Entry, PoseCache, Quality, settings_slug

__all__ = ["FORMAT", "Entry", "PoseCache", "Quality", "settings_slug"]
