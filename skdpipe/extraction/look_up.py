"""Looking up videos: those that the video index does not know are read, many of them by workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from skdpipe.cache.video_index import KnownVideo, ReadVideo, VideoIndex, read_video
from skdpipe.engines import Ended, Engine, Report, Worker
from skdpipe.extraction.report import reason_of
from skdpipe.extraction.video_list import VideoItem
from skdpipe.storage import Place
from skdpipe.video import copied, probe

_FEW: Final = 50  # videos that are read sooner than workers start


def look_up_videos(
    items: Sequence[VideoItem], index: VideoIndex, engine: Engine | None
) -> Iterator[tuple[VideoItem, KnownVideo | str]]:
    """What is known of each video, or why it cannot be read, in the given order.

    What was read is added to the index at once.

    Args:
        items: the videos.
        index: the video index.
        engine: its workers read the videos that the index does not know; None: this process reads them.
    """
    found: dict[Place, KnownVideo | str] = {}
    unknown: list[Place] = []
    for path, state in {item.path: item.state for item in items}.items():
        try:
            if (known := index.find(path, state)) is None:
                unknown.append(path)
            else:
                found[path] = known
        except Exception as error:
            found[path] = reason_of(path, error)
    if engine is None or len(unknown) < _FEW:
        read = VideoReader()
        ended: Iterator[Ended[Place, ReadVideo | str]] = (Ended(path, read(path)) for path in unknown)
    else:
        ended = engine.run(unknown, open_reader)
    for item in items:
        while item.path not in found:
            each = next(ended)
            if isinstance(each.result, ReadVideo):
                index.add(each.result)
                found[each.job] = each.result.known
            else:
                found[each.job] = each.result or f"{each.job}: {each.reason}; leave it out"
        yield item, found[item.path]


@dataclass(frozen=True)
class VideoReader:
    """Reads videos for the index.

    Attributes:
        machine: as for `Worker`.
    """

    machine: str = ""

    def __call__(self, path: Place, _: Report | None = None) -> ReadVideo | str:
        """Read a video; whatever its error, it is the reason for which it cannot be read."""
        try:
            return read_video(path, count_frames)  # what is no video is not read to its end
        except Exception as error:
            return reason_of(path, error, self.machine)


def open_reader(worker: Worker) -> VideoReader:
    """Prepare a worker of an engine for reading videos."""
    return VideoReader(worker.machine)


def count_frames(video: Place) -> int:
    """Number of frames according to the container, 0 if unknown; errors as `probe`."""
    with copied(video) as path:
        return probe(path).frames
