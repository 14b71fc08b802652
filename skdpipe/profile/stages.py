"""The stages from a video to a pose sequence, each as a call that does its part for the whole clip."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from skdpipe.pose import PoseEstimator
from skdpipe.pose.estimate import SampledEstimator, estimate_frames, estimate_video
from skdpipe.profile.clip import Clip
from skdpipe.skeleton import Keypoints, Layout, Origin, PoseSequence
from skdpipe.skeleton.timing import FrameSampler
from skdpipe.video import read_timed_frames

if TYPE_CHECKING:
    from skdpipe.video import Frame

DECODING: Final = "video decoding"
PREPARATION: Final = "preparation"
NETWORK: Final = "network"
POSES: Final = "pose decoding"
ESTIMATOR: Final = "estimator"
TRACKING: Final = "tracking"
WHOLE: Final = "whole"


@runtime_checkable
class StagedEstimator(PoseEstimator, Protocol):
    """An estimator whose parts can be called one after the other; its call does the same."""

    def prepare(self, frames: Sequence[Frame]) -> Any:
        """The network's input."""
        ...

    def run(self, prepared: Any) -> Any:
        """The network's output, in the main memory."""
        ...

    def decode(self, output: Any) -> list[Keypoints]:
        """The people in each frame."""
        ...


@dataclass(frozen=True, eq=False)
class StagedClip:
    """A clip and an estimator.

    Attributes:
        calls: by stage, in their order, the last of them `WHOLE`: all of them, as `estimate_video` does it.
        sequence: the people found.
    """

    calls: dict[str, Callable[[], object]]
    sequence: PoseSequence


def open_stages(estimator: PoseEstimator, every: int, clip: Clip, *, people: int, batch: int) -> StagedClip:
    """The stages of an estimator on one frame in ``every`` of a clip.

    An estimator that is not a `StagedEstimator` is one stage, from frames to people.

    Raises:
        PoseError: if the estimator fails.
        VideoError: if the video cannot be decoded.
    """
    sampled, origin = SampledEstimator(estimator, every), Origin(clip.name)

    def whole() -> PoseSequence:
        return estimate_video(clip.path, [sampled], origin, people=people, batch=batch)[0]

    sequence = whole()
    frames = [clip.frames[number] for number in sequence.frame_index]
    batches = [frames[first : first + batch] for first in range(0, len(frames), batch)]
    calls: dict[str, Callable[[], object]] = {DECODING: lambda: _decode_video(clip, every)}
    if isinstance(estimator, StagedEstimator):
        staged = estimator
        prepared = [staged.prepare(each) for each in batches]
        outputs = [staged.run(each) for each in prepared]
        found = [staged.decode(each) for each in outputs]
        calls |= {
            PREPARATION: lambda: [staged.prepare(each) for each in batches],
            NETWORK: lambda: [staged.run(each) for each in prepared],
            POSES: lambda: [staged.decode(each) for each in outputs],
        }
    else:
        found = [estimator(each) for each in batches]
        calls[ESTIMATOR] = lambda: [estimator(each) for each in batches]

    def track() -> PoseSequence:
        known = SampledEstimator(_Known(estimator.layout, estimator.fingerprint, found))
        return estimate_frames(frames, clip.fps, [known], origin, people=people, batch=batch)[0]

    return StagedClip({**calls, TRACKING: track, WHOLE: whole}, sequence)


def _decode_video(clip: Clip, every: int) -> None:
    wanted = None if every == 1 else FrameSampler(every).chooses
    deque(read_timed_frames(clip.path, wanted), maxlen=0)


class _Known:
    """An estimator that has found the people of each batch before."""

    def __init__(self, layout: Layout, fingerprint: str, found: Sequence[list[Keypoints]]) -> None:
        self.layout, self.fingerprint = layout, fingerprint
        self._left = iter(found)

    def __call__(self, frames: Sequence[Frame]) -> list[Keypoints]:
        return next(self._left)
