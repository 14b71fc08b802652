"""Times of frames: whether the frames of a video are evenly spaced, and sampling of one frame in several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import DataError

_WRONG_RATE: Final = 0.02  # share by which the stated rate may differ from the measured one
_RESOLUTION: Final = 1e-3  # seconds, the coarsest resolution of times in a video (Matroska, Flash)


@dataclass(frozen=True)
class Timing:
    """When the frames of a video were taken.

    Attributes:
        fps: frames per second, the mean if the rate varies.
        times: ``(frame,)`` float64, increasing: seconds since the first frame; None if the frames are evenly
            spaced.
    """

    fps: float
    times: NDArray[np.float64] | None = None

    @property
    def varying_fps(self) -> float | None:
        """The mean rate if the rate varies, otherwise None."""
        return None if self.times is None else self.fps


def timing_of(seconds: Sequence[float], stated_fps: float) -> Timing:
    """The timing of frames.

    The frames are evenly spaced if no time differs by more than half a frame from an even grid at the
    measured mean rate. The rate of evenly spaced frames is the stated one, unless it differs by more than
    2 % from the measured one.

    Args:
        seconds: time of each frame, increasing; one or more.
        stated_fps: frames per second according to the container.
    """
    times = np.asarray(seconds, np.float64) - seconds[0]
    intervals = len(times) - 1
    if not intervals:
        return Timing(stated_fps)
    measured = float(intervals / times[-1])
    if np.abs(times * measured - np.arange(len(times))).max() > 0.5:
        return Timing(measured, times)
    wrong = abs(measured / stated_fps - 1) > _WRONG_RATE
    return Timing(measured if wrong and abs(times[-1] - intervals / stated_fps) > _RESOLUTION else stated_fps)


class FrameSampler:
    """Chooses one frame in ``every``, the first one included.

    Of evenly spaced frames these are the frames 0, ``every``, 2 ``every``... If the rate varies, it is each
    frame that is ``every - 0.5`` mean frame periods or more after the last chosen one, which is the same for
    even spacing.

    Args:
        every: 1 for all frames; also an attribute.
        varying_fps: mean frames per second if the rate varies; None if the frames are evenly spaced.

    Raises:
        DataError: if every is less than 1.
    """

    def __init__(self, every: int, varying_fps: float | None = None) -> None:
        if every < 1:
            raise DataError(f"sampling every {every} frames; expected 1 (all) or more")
        self.every = every
        self._pause = None if varying_fps is None or every == 1 else (every - 0.5) / varying_fps
        self._number, self._chosen = 0, -math.inf

    def chooses(self, seconds: float) -> bool:
        """Whether the next frame, taken at that time, is chosen."""
        if self._pause is None:
            chosen = self._number % self.every == 0
        else:
            chosen = seconds - self._chosen >= self._pause
        self._number += 1
        if chosen:
            self._chosen = seconds
        return chosen
