"""The result of an extraction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skdpipe.errors import SkdpipeError, in_one_line
from skdpipe.skeleton.people import PairReport
from skdpipe.storage import Place


@dataclass(frozen=True)
class ExtractionReport:
    """What an extraction did.

    Attributes:
        done: number of videos extracted now.
        skipped: number of videos that were already in the cache, or more than once in the list.
        failed: path and reason for each video that could not be extracted.
        without_people: videos in which an estimator detected no person.
        pairs: how the people of both qualities match, for each video extracted now.
        frames: number of frames decoded.
        relabelled: number of videos in the cache whose label, split or subject changed.
        corrected: number of videos whose label, split or subject was corrected by hand and kept.
    """

    done: int = 0
    skipped: int = 0
    failed: tuple[tuple[Place, str], ...] = ()
    without_people: tuple[Place, ...] = ()
    pairs: tuple[PairReport, ...] = ()
    frames: int = 0
    relabelled: int = 0
    corrected: int = 0

    @property
    def oks(self) -> float:
        """Mean keypoint similarity of the matched people; NaN if there are none."""
        values = [pair.oks for pair in self.pairs if pair.matched]
        return float(np.mean(values)) if values else float("nan")


def reason_of(path: Place, error: Exception, machine: str = "") -> str:
    """Why a video could not be extracted, in one line, whatever the error.

    Args:
        path: the video.
        error: the error.
        machine: as for `Worker`.
    """
    if machine and isinstance(path, Path) and not path.exists():
        return (
            f"{path}: not found on {machine}; expected a file system that all machines of the cluster share"
        )
    if isinstance(error, SkdpipeError):
        return str(error) if str(path) in str(error) else f"{path}: {error}"
    found = in_one_line(error).removesuffix(": ")
    return f"{path}: cannot be extracted ({found}); convert the video, or leave it out"
