"""The frames of a video that estimators need, decoded once, a few frames ahead."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from skdpipe.pose.prefetch import prefetch
from skdpipe.pose.protocol import PoseEstimator
from skdpipe.skeleton.timing import FrameSampler

if TYPE_CHECKING:
    from skdpipe.video import Frame, VideoInfo


_PREFETCHED_FRAMES = 64  # at most, and only as many as fit into _PREFETCHED_BYTES
_LONGEST_RUN = 64  # frames that are not chosen, between two steps of the progress
_PREFETCHED_BYTES = 256 * 2**20
_BATCH_BYTES = 384 * 2**20  # sixteen frames of 4K, three of 8K


@dataclass(frozen=True)
class SampledEstimator:
    """An estimator that runs on one frame in ``every``, chosen by a `FrameSampler`."""

    estimator: PoseEstimator
    every: int = 1

    def __post_init__(self) -> None:
        assert self.every > 0


class Decoding(NamedTuple):
    """A video that is being decoded.

    Attributes:
        info: its size and stated rate.
        samplers: one for each sampling step.
        frames: all frames with their times; None for those that no sampler chooses.
    """

    info: VideoInfo
    samplers: list[FrameSampler]
    frames: Iterable[tuple[Frame | None, float]]

    def most_in_batch(self, batch: int) -> int:
        """The size of a batch, fewer frames if they are larger than 4K."""
        return max(1, min(batch, _BATCH_BYTES // _bytes_of_frame(self.info)))


@contextmanager
def decoding(path: Path, every: Sequence[int]) -> Iterator[Decoding]:
    """Decode the needed frames in a thread, a few frames ahead; the end of the context ends the thread.

    Raises:
        VideoError: if the video cannot be decoded.
    """
    from skdpipe.video import probe

    info = probe(path)
    samplers = samplers_of(path, every)
    limit = max(1, min(_PREFETCHED_FRAMES, _PREFETCHED_BYTES // _bytes_of_frame(info)))
    with closing(prefetch(_runs(read_needed_frames(path, samplers)), limit)) as runs:
        yield Decoding(info, samplers(), chain.from_iterable(runs))


def samplers_of(path: Path, every: Sequence[int]) -> Callable[[], list[FrameSampler]]:
    """What makes new samplers for a video, one for each sampling step.

    Raises:
        VideoError: if the video cannot be decoded.
    """
    from skdpipe.video import measure_timing

    varying_fps = measure_timing(path).varying_fps if max(every, default=1) > 1 else None
    return lambda: [FrameSampler(each, varying_fps) for each in every]


def read_needed_frames(
    path: Path, samplers: Callable[[], list[FrameSampler]]
) -> Generator[tuple[Frame | None, float]]:
    """The frames of a video with their times, and None for those that no sampler chooses.

    Raises:
        VideoError: if the video cannot be decoded.
    """
    from skdpipe.video import read_timed_frames

    all_frames = any(sampler.every == 1 for sampler in samplers())
    return read_timed_frames(path, None if all_frames else lambda: _any_of(samplers()))


def _any_of(samplers: Sequence[FrameSampler]) -> Callable[[float], bool]:
    """Whether one of the samplers, or several, choose the next frame; each counts all frames."""
    return lambda seconds: sum(sampler.chooses(seconds) for sampler in samplers) > 0


def _runs(
    frames: Generator[tuple[Frame | None, float]],
) -> Generator[list[tuple[Frame | None, float]]]:
    """Pieces of a video that contain one frame each, the last of the piece, or none.

    The queue between decoder and estimators counts pieces: frames that no estimator needs do not fill it.
    """
    run: list[tuple[Frame | None, float]] = []
    with closing(frames):
        for frame, seconds in frames:
            run.append((frame, seconds))
            if frame is not None or len(run) == _LONGEST_RUN:
                yield run
                run = []
    yield run


def _bytes_of_frame(info: VideoInfo) -> int:
    return 3 * info.size[0] * info.size[1]
