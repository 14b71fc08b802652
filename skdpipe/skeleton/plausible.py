"""What a pose sequence can be: bounds that every sequence read from a file or saved must keep."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import DataError, in_brief
from skdpipe.skeleton.sequence import PoseSequence

MOST_FRAMES: Final = 10_000_000
"""Frames of a video: four days at 30 frames per second."""
LOWEST_FPS: Final = 0.001
"""Frames per second: one frame in a quarter of an hour."""
HIGHEST_FPS: Final = 10_000.0
LARGEST_SIDE: Final = 100_000
"""Width or height of a video in pixels."""
FARTHEST: Final = 10
"""Largest x or y of a joint, to either side, as a multiple of the longer side of the picture."""
FARTHEST_IN_SPACE: Final = 1e6
"""Largest coordinate in three dimensions, in the unit of the sensor (a kilometre in millimetres)."""


def require_plausible(sequence: PoseSequence) -> None:
    """Check the values of a sequence; `PoseSequence` itself checks the shapes.

    The frames are integers that rise from 0 or more and are those of the video; times are finite and rise. A
    seen joint has finite coordinates within the bounds of this module and a confidence of at most 1, an
    unseen one has NaN and confidence 0.

    Raises:
        DataError: if it is not so; the message does not name the sequence.
    """
    require_plausible_video(
        sequence.video_frames, sequence.fps, sequence.size, coordinates=sequence.coordinates
    )
    frames = sequence.frame_index
    if frames.dtype.kind not in "iu" or (np.diff(frames) < 1).any():
        raise DataError(f"frame_index of {frames.dtype}; expected integers, each larger than the one before")
    if len(frames) and not 0 <= frames[0] <= frames[-1] < sequence.video_frames:
        raise DataError(
            f"frames {frames[0]} to {frames[-1]} of a video of {sequence.video_frames} frames; expected only "
            "frames of the video"
        )
    if (times := sequence.times) is not None and not (
        np.isfinite(times).all() and (np.diff(times) > 0).all()
    ):
        raise DataError("times that do not rise or are not finite; expected seconds of each frame")
    _require_plausible_joints(sequence)


def require_plausible_video(frames: int, fps: float, size: tuple[int, int], *, coordinates: int) -> None:
    """Check frames, frame rate and picture size of a sequence.

    Raises:
        DataError: if one is out of the bounds of this module, or fps is not finite.
    """
    if not 0 <= frames <= MOST_FRAMES:
        raise DataError(f"a video of {in_brief(frames)} frames; expected at most {MOST_FRAMES}")
    if not (math.isfinite(fps) and LOWEST_FPS <= fps <= HIGHEST_FPS):
        raise DataError(f"{in_brief(fps)} frames per second; expected {LOWEST_FPS:g} to {HIGHEST_FPS:g}")
    smallest = 1 if coordinates == 2 else 0
    if not all(smallest <= side <= LARGEST_SIDE for side in size):
        raise DataError(
            f"a picture of {' x '.join(map(in_brief, size))} pixels; expected sides of {smallest} to "
            f"{LARGEST_SIDE}"
        )


def _require_plausible_joints(sequence: PoseSequence) -> None:
    keypoints, seen = sequence.keypoints, sequence.seen
    confidence, coordinates = keypoints[..., -1], keypoints[..., :-1]
    in_range = (confidence >= 0) & (confidence <= 1)
    if not in_range.all():
        raise DataError(
            f"a confidence of {confidence[~in_range].flat[0]:g}{_place(~in_range)}; expected 0 to 1"
        )
    if not np.isnan(coordinates[~seen]).all():
        unseen = ~seen & ~np.isnan(coordinates).all(axis=-1)
        raise DataError(f"coordinates of a joint with confidence 0{_place(unseen)}; expected NaN")
    if sequence.coordinates == 2:
        farthest, bound = float(FARTHEST * max(sequence.size)), f"{FARTHEST} times the picture's longer side"
    else:
        farthest, bound = FARTHEST_IN_SPACE, f"{FARTHEST_IN_SPACE:g}"
    is_far = seen & ~(np.abs(coordinates) <= farthest).all(axis=-1)
    if is_far.any():
        found = ", ".join(f"{value:g}" for value in coordinates[is_far][0])
        raise DataError(f"a joint at {found}{_place(is_far)}; expected numbers of at most {bound}")


def _place(wrong: NDArray[np.bool_]) -> str:
    frame, person, joint = (int(index[0]) for index in np.nonzero(wrong))
    return f" (row {frame}, person {person}, joint {joint})"
