"""What a pose sequence can be: bounds that every sequence read from a file or saved must keep."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import DataError, in_brief
from skdpipe.skeleton.sequence import Keypoints, PoseSequence, is_seen

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


class ImplausibleJoints(NamedTuple):
    """Which joints ``(...)`` break a rule.

    Attributes:
        confidence: their confidence is not in [0, 1].
        unseen: their confidence is 0, and they have coordinates.
        far: they are seen, and a coordinate is not finite or too large.
    """

    confidence: NDArray[np.bool_]
    unseen: NDArray[np.bool_]
    far: NDArray[np.bool_]


def find_implausible_joints(keypoints: Keypoints, farthest: float) -> ImplausibleJoints:
    """The joints of ``(..., coordinates + confidence)`` that no detection can have.

    Args:
        keypoints: the joints.
        farthest: largest coordinate, to either side.
    """
    confidence, coordinates, seen = keypoints[..., -1], keypoints[..., :-1], is_seen(keypoints)
    return ImplausibleJoints(
        ~((confidence >= 0) & (confidence <= 1)),
        ~seen & ~np.isnan(coordinates).all(axis=-1),
        seen & ~(np.abs(coordinates) <= farthest).all(axis=-1),
    )


def _require_plausible_joints(sequence: PoseSequence) -> None:
    if sequence.coordinates == 2:
        farthest, bound = float(FARTHEST * max(sequence.size)), f"{FARTHEST} times the picture's longer side"
    else:
        farthest, bound = FARTHEST_IN_SPACE, f"{FARTHEST_IN_SPACE:g}"
    keypoints = sequence.keypoints
    wrong = find_implausible_joints(keypoints, farthest)
    if wrong.confidence.any():
        found = f"{keypoints[wrong.confidence][0, -1]:g}"
        raise DataError(f"a confidence of {found}{_place(wrong.confidence)}; expected 0 to 1")
    if wrong.unseen.any():
        raise DataError(f"coordinates of a joint with confidence 0{_place(wrong.unseen)}; expected NaN")
    if wrong.far.any():
        found = ", ".join(f"{value:g}" for value in keypoints[wrong.far][0, :-1])
        raise DataError(f"a joint at {found}{_place(wrong.far)}; expected numbers of at most {bound}")


def _place(wrong: NDArray[np.bool_]) -> str:
    frame, person, joint = (int(index[0]) for index in np.nonzero(wrong))
    return f" (row {frame}, person {person}, joint {joint})"
