"""The interface of a pose estimator.

The pipeline depends on `PoseEstimator` alone: any object with a layout, a fingerprint and a call from frames
to people can be used, from this package or from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from skdpipe.errors import PoseError, SkdpipeError, in_brief, in_one_line
from skdpipe.skeleton import Keypoints, Layout
from skdpipe.skeleton.plausible import FARTHEST, find_implausible_joints

if TYPE_CHECKING:
    from skdpipe.video import Frame


@runtime_checkable
class PoseEstimator(Protocol):
    """Frames in, people out.

    An estimator that several threads may call at once has an attribute ``calls``, the number of calls that
    should run at once. One without it is called from one thread. One with an attribute ``runtime`` says what
    runs its network.
    """

    @property
    def layout(self) -> Layout:
        """Layout of the joint axis of the output."""
        ...

    @property
    def fingerprint(self) -> str:
        """Name, checksum of the weights and settings: half of the cache key."""
        ...

    def __call__(self, frames: Sequence[Frame]) -> list[Keypoints]:
        """Detect the people in each frame.

        Args:
            frames: RGB images ``(height, width, 3)``, uint8, all of one size.

        Returns:
            For each frame ``(person, joint, 3)`` floats in pixels of that frame, the most confident person
            first; unseen joints are NaN, NaN, 0. A frame without people gives ``(0, joint, 3)``.
        """
        ...


def detect_people(estimator: PoseEstimator, frames: Sequence[Frame]) -> list[Keypoints]:
    """Call an estimator, and check what it returns.

    Raises:
        PoseError: if the estimator fails, or does not return what `PoseEstimator` describes.
    """
    try:
        found = estimator(frames)
    except SkdpipeError:
        raise
    except Exception as error:
        raise _unusable(estimator, f"failed ({in_one_line(error)}); correct or replace it") from error
    if not isinstance(found, list | tuple) or len(found) != len(frames):
        what = f"{len(found)} items" if isinstance(found, list | tuple) else f"a {type(found).__name__}"
        raise _unusable(estimator, f"returned {what} for {len(frames)} frames; expected an array for each")
    expected = f"expected floats of shape (people, {len(estimator.layout)}, 3)"
    for each in found:
        if not isinstance(each, np.ndarray):
            raise _unusable(estimator, f"returned a {type(each).__name__} for a frame; {expected}")
        if each.dtype.kind != "f" or each.ndim != 3 or each.shape[1:] != (len(estimator.layout), 3):
            raise _unusable(estimator, f"returned {each.dtype} of shape {each.shape}; {expected}")
    people = [np.asarray(each, np.float32) for each in found]
    _require_plausible(estimator, np.concatenate(people), max(frames[0].shape[:2]))
    return people


def concurrent_calls(estimator: PoseEstimator) -> int:
    """Number of calls of an estimator that should run at once."""
    return int(getattr(estimator, "calls", 1))


def runtime_of(estimator: PoseEstimator) -> str:
    """What runs the network of an estimator; empty if it does not say."""
    return str(getattr(estimator, "runtime", ""))


def _require_plausible(estimator: PoseEstimator, people: Keypoints, side: int) -> None:
    """Check the people of a batch of frames, whose longer side is given."""
    wrong = find_implausible_joints(people, FARTHEST * side)
    if wrong.confidence.any():
        raise _unusable(estimator, "returned a confidence that is not between 0 and 1; correct the estimator")
    if wrong.far.any():
        raise _unusable(
            estimator, f"returned a seen joint that is NaN or beyond {FARTHEST} times the frame; correct it"
        )
    if wrong.unseen.any():
        raise _unusable(
            estimator, "returned a joint with confidence 0 and coordinates; expected NaN, NaN, 0 if unseen"
        )


def _unusable(estimator: PoseEstimator, found: str) -> PoseError:
    return PoseError(f"the estimator {in_brief(estimator.fingerprint, 80)} {found}")
