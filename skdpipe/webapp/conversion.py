"""Clips that a browser does not play, in a form that all browsers play."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Final

import cv2
import numpy as np

from skdpipe.errors import VideoError
from skdpipe.video import Frame, read_timed_frames, write_timed_video
from skdpipe.webapp.uploads import Clip
from skdpipe.webapp.worker import Job

_LONGEST: Final = 854  # pixels of the longer side
_QUALITY: Final = 23


def convert_clip(clip: Clip, job: Job) -> None:
    """Write a clip as small H.264 with the same times.

    Raises:
        VideoError: if the clip cannot be decoded or written.
        CancelledError: if the job was cancelled.
    """
    width, height = clip.size
    scale = min(1.0, _LONGEST / max(width, height))
    size = max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)

    def frames() -> Iterator[tuple[Frame, float]]:
        with closing(read_timed_frames(clip.path)) as decoded:
            for number, (image, seconds) in enumerate(decoded):
                job.advance_to(number, clip.frames)
                yield np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), seconds

    try:
        write_timed_video(clip.playable, frames(), clip.fps, quality=_QUALITY)
    except VideoError as error:
        raise VideoError(clip.hide_path(str(error))) from error
