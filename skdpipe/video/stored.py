"""How a video is stored, and what is therefore done to its frames."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from skdpipe.video.container import decode, open_container, packet_times
from skdpipe.video.picture import Orientation
from skdpipe.video.promise import is_short, stated_duration


@dataclass(frozen=True)
class StoredVideo:
    """What a file of a video states, and its first frame.

    Attributes:
        container, codec: FFmpeg's names.
        size: width and height of the stored frames in pixels.
        aspect: width of a pixel divided by its height; None if it is not stated.
        orientation: how the stored frames are displayed.
        interlaced: whether the first frame is interlaced.
        sound: number of streams of sound.
        packets: number of packets of the video, usually one for each frame; None if they have no times.
        missing: seconds that the header states and the file does not contain; 0 if it is whole.
    """

    container: str
    codec: str
    size: tuple[int, int]
    aspect: Fraction | None
    orientation: Orientation
    interlaced: bool
    sound: int
    packets: int | None
    missing: float

    @property
    def changes(self) -> tuple[str, ...]:
        """What is done to a frame so that it looks as in a player."""
        found = {
            self.orientation.in_words: self.orientation != Orientation(),
            "scaled to square pixels": self.aspect not in (None, 0, 1),
            "deinterlaced": self.interlaced,
        }
        return tuple(name for name, is_done in found.items() if is_done)


def read_stored(path: Path) -> StoredVideo:
    """Read how a file of a video is stored; one frame is decoded, and the packets of all are read.

    Raises:
        VideoError: if the file cannot be opened, has no video stream, or its first frame cannot be decoded.
    """
    with open_container(path) as (container, stream):
        with closing(decode(path, container, stream, warn=False)) as decoded:
            first = next(decoded)
        found = StoredVideo(
            container=container.format.name,
            codec=stream.codec_context.name,
            size=(first.frame.width, first.frame.height),
            aspect=stream.sample_aspect_ratio,
            orientation=first.orientation,
            interlaced=first.frame.interlaced_frame,
            sound=len(container.streams.audio),
            packets=None,
            missing=0.0,
        )
    with open_container(path) as (container, stream):
        stated, times = stated_duration(path, container), packet_times(container, stream)
    return _with_packets(found, stated, times)


def _with_packets(stored: StoredVideo, stated: float, times: list[float] | None) -> StoredVideo:
    if not times:
        return stored
    seconds = times[-1] - min(0.0, times[0])
    missing = stated - seconds if len(times) > 1 and is_short(seconds, stated) else 0.0
    return replace(stored, packets=len(times), missing=missing)
