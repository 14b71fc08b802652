"""Reading and writing of videos; the only package that imports the decoder (PyAV, the libraries of FFmpeg).

A video is a file, or a series of numbered images: a folder of them, or a pattern such as ``img_%05d.jpg``.
A live source is a camera, a stream from an address, or standard input.
"""

from skdpipe.video.copy import copied
from skdpipe.video.endings import EXTENSIONS, IMAGE_EXTENSIONS
from skdpipe.video.feed import LiveFrame
from skdpipe.video.images import is_image_series
from skdpipe.video.live import LiveEvent, LiveSource, is_live, open_live
from skdpipe.video.picture import Frame
from skdpipe.video.reading import (
    VideoInfo,
    content_key,
    measure_duration,
    measure_timing,
    probe,
    read_frames,
    read_timed_frames,
)
from skdpipe.video.standard_input import RawVideo
from skdpipe.video.stored import StoredVideo, read_stored
from skdpipe.video.writing import require_timed_ending, write_timed_video, write_video

__all__ = [
    "EXTENSIONS",
    "IMAGE_EXTENSIONS",
    "Frame",
    "LiveEvent",
    "LiveFrame",
    "LiveSource",
    "RawVideo",
    "StoredVideo",
    "VideoInfo",
    "content_key",
    "copied",
    "is_image_series",
    "is_live",
    "measure_duration",
    "measure_timing",
    "open_live",
    "probe",
    "read_frames",
    "read_stored",
    "read_timed_frames",
    "require_timed_ending",
    "write_timed_video",
    "write_video",
]
