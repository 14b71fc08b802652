"""An estimator that leaves a line for each video, may take its time, and may end its process."""

import ctypes
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from squares import SquareFinder, square_frames

from skdpipe.config import Extraction, PluginSettings
from skdpipe.extraction import Source, open_sources
from skdpipe.extraction.video_list import VideoItem
from skdpipe.skeleton import Keypoints
from skdpipe.video import write_video

FRAMES = 6  # of a video, in one call of the estimator


class WatchedFinder(SquareFinder):
    """A `SquareFinder` for videos of one square, each in another row.

    Args:
        threshold: as for `SquareFinder`.
        log: a file that gets a line with the row and this process, once for each call.
        seconds: delay of every call.
        crash_at: the row of a video that crashes the process.
    """

    def __init__(self, threshold: int, log: str = "", seconds: float = 0.0, crash_at: int = -1) -> None:
        super().__init__(threshold)
        self._log, self._delay, self._crash_at = log, seconds, crash_at

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> list[Keypoints]:
        row = int(np.nonzero((frames[0] > 128).any(axis=(1, 2)))[0][0])
        if self._log:
            with Path(self._log).open("a") as file:
                file.write(f"{row} {os.getpid()}\n")
        if row == self._crash_at:
            ctypes.string_at(0)
        time.sleep(self._delay)
        return super().__call__(frames)


def watched_videos(folder: Path, count: int) -> list[VideoItem]:
    """Videos of a square in row 0, 1, ..."""
    items = [VideoItem(folder / f"{row}.mp4", "wave", "train") for row in range(count)]
    for row, item in enumerate(items):
        item.path.parent.mkdir(parents=True, exist_ok=True)
        write_video(item.path, list(square_frames(frames=FRAMES, start=(4, row))), 12.0)
        os.utime(item.path, (1e9, 1e9))
    return items


def watched_sources(log: Path, **options: float) -> list[Source]:
    """The sources of both qualities, of which the high one is watched."""
    plugin = f"{__file__}:WatchedFinder"
    high = PluginSettings(plugin, {"threshold": 128, "log": str(log), **options})
    return open_sources(Extraction(high, PluginSettings(plugin, {"threshold": 127}, every=2)))


def seen(log: Path) -> list[tuple[int, int]]:
    """The row and the process of each line of a log."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [(int(row), int(process)) for row, process in map(str.split, lines)]
