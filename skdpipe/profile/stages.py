"""The stages from a video to a pose sequence, each as a call that does its part for the whole clip."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, runtime_checkable

from skdpipe.pose import PoseEstimator
from skdpipe.pose.decoding import SampledEstimator, read_needed_frames, samplers_of
from skdpipe.pose.estimate import estimate_frames, estimate_video
from skdpipe.pose.protocol import concurrent_calls
from skdpipe.profile.clip import Clip
from skdpipe.skeleton import Keypoints, Layout, Origin, PoseSequence

if TYPE_CHECKING:
    from skdpipe.video import Frame

DECODING: Final = "video decoding"
PREPARATION: Final = "preparation"
NETWORK: Final = "network"
POSES: Final = "pose decoding"
ESTIMATOR: Final = "estimator"
TRACKING: Final = "tracking"
WHOLE: Final = "whole"

T = TypeVar("T")


@runtime_checkable
class StagedEstimator(PoseEstimator, Protocol):
    """An estimator whose parts can be called one after the other, as its call does."""

    def prepare(self, frames: Sequence[Frame]) -> Any:
        """The network's input."""
        ...

    def run(self, images: Any) -> Any:
        """The network's output, in main memory."""
        ...

    def decode(self, fields: Any) -> list[Keypoints]:
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

    An estimator that is not a `StagedEstimator` is one stage, from frames to people. As in the whole, an
    estimator that allows it works on several batches at once, and so does each of its stages.

    Raises:
        PoseError: if the estimator fails.
        VideoError: if the video cannot be decoded.
    """
    sampled, origin = SampledEstimator(estimator, every), Origin(clip.name)

    def whole() -> PoseSequence:
        return estimate_video(clip.path, [sampled], origin, people=people, batch=batch)[0]

    sequence = whole()
    frames = [clip.frames[number] for number in sequence.frame_index]
    at_once = min(concurrent_calls(estimator), batch)
    length = batch // at_once
    batches = [frames[first : first + length] for first in range(0, len(frames), length)]
    calls: dict[str, Callable[[], object]] = {DECODING: lambda: _decode_video(clip, every)}
    if isinstance(estimator, StagedEstimator):
        staged = estimator
        images = _each(staged.prepare, batches, at_once)
        fields = _each(staged.run, images, at_once)
        found = _each(staged.decode, fields, at_once)
        calls |= {
            PREPARATION: lambda: _each(staged.prepare, batches, at_once),
            NETWORK: lambda: _each(staged.run, images, at_once),
            POSES: lambda: _each(staged.decode, fields, at_once),
        }
    else:
        found = _each(estimator, batches, at_once)
        calls[ESTIMATOR] = lambda: _each(estimator, batches, at_once)

    def track() -> PoseSequence:
        known = SampledEstimator(_Known(estimator.layout, estimator.fingerprint, found))
        return estimate_frames(frames, clip.fps, [known], origin, people=people, batch=length)[0]

    return StagedClip({**calls, TRACKING: track, WHOLE: whole}, sequence)


def _each(call: Callable[[Any], T], batches: Sequence[Any], at_once: int) -> list[T]:
    """The results for all batches, of which so many run at once."""
    if at_once == 1:
        return [call(each) for each in batches]
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(call, batches))


def _decode_video(clip: Clip, every: int) -> None:
    """Decode what an estimator with this sampling needs."""
    deque(read_needed_frames(clip.path, samplers_of(clip.path, [every])), maxlen=0)


class _Known:
    """An estimator that has found the people of each batch before."""

    def __init__(self, layout: Layout, fingerprint: str, found: Sequence[list[Keypoints]]) -> None:
        self.layout, self.fingerprint = layout, fingerprint
        self._left = iter(found)

    def __call__(self, frames: Sequence[Frame]) -> list[Keypoints]:
        return next(self._left)
