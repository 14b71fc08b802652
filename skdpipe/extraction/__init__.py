"""Extraction: from videos to cached pose sequences of both qualities."""

from skdpipe.extraction.report import ExtractionReport
from skdpipe.extraction.run import choose_workers, extract_videos
from skdpipe.extraction.sources import Source, open_sources
from skdpipe.extraction.video_list import VideoItem, VideoList, find_videos

__all__ = [
    "ExtractionReport",
    "Source",
    "VideoItem",
    "VideoList",
    "choose_workers",
    "extract_videos",
    "find_videos",
    "open_sources",
]
