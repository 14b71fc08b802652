"""Decoding of the frames that are wanted, and of those that they need, without the others.

That is done only where it is certain to give the frames of a full decoding: in a container with an index,
with packets that are one frame each, of a codec whose packets state which frames others refer to.
"""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from skdpipe.video.container import LONGEST, empty_content, has_index, oriented
from skdpipe.video.content import Content
from skdpipe.video.picture import Decoded
from skdpipe.video.references import Role, needed_packets, role_reader


class UnforeseenFrameError(Exception):
    """The decoder returned something else than its packets promised: the file must be decoded in full."""


@dataclass(frozen=True)
class Outline:
    """The frames of a file as its packets announce them, before one is decoded.

    Attributes:
        stamps: presentation timestamps of the packets, in the order of the file; no two are equal.
        roles: of the packets.
        seconds: times of the frames, in the order in which they are displayed.
        content: of the file.
    """

    stamps: list[int]
    roles: list[Role]
    seconds: list[float]
    content: Content


def outline_of(container: InputContainer, stream: VideoStream) -> Outline | None:
    """Read the packets of a file; None if they are not certain to be one whole frame each.

    Interlaced files are left out: a packet may be one field. The decoder must not drop frames either, as it
    does with frames of H.264 that come later than it expects. The first frame is decoded to know its kind.
    """
    role_of = role_reader(stream)
    if role_of is None or not has_index(container):
        return None
    content = empty_content(container, stream)
    stamps: list[int] = []
    roles: list[Role] = []
    bases: set[Fraction] = set()
    first: list[av.VideoFrame] = []
    try:
        for packet in container.demux(stream):
            first = first or packet.decode()
            if packet.dts is None and not packet.size:  # the end
                continue
            if packet.pts is None or not packet.size or not _is_plain(packet):
                return None
            content.add_video(packet)
            stamps.append(packet.pts)
            roles.append(role_of(packet))
            bases.add(packet.time_base)
    except (av.error.FFmpegError, ValueError):
        return None
    if not (
        first
        and first[0].pts == min(stamps)
        and not first[0].interlaced_frame
        and roles[0].restarts
        and len(bases) == 1
        and len({*stamps}) == len(stamps)
        and _reordering(stamps) <= stream.codec_context.reorder_depth
    ):
        return None
    seconds = [content.seconds_at(stamp, *bases) for stamp in sorted(stamps)]
    return Outline(stamps, roles, seconds, content) if seconds[-1] <= LONGEST else None


def _is_plain(packet: av.Packet[Any]) -> bool:
    """Whether a packet is complete, displayed, and of the codec and size that the header states."""
    changes = packet.has_sidedata("new_extradata") or packet.has_sidedata("param_change")
    return not (packet.is_corrupt or packet.is_discard or changes)


def _reordering(stamps: list[int]) -> int:
    """The largest number of frames that are decoded before another and displayed after it."""
    most = 0
    before: list[int] = []
    for stamp in stamps:
        most = max(most, len(before) - bisect(before, stamp))
        insort(before, stamp)
    return most


def decode_wanted(
    path: Path, container: InputContainer, stream: VideoStream, outline: Outline, wanted: list[bool]
) -> Generator[Decoded | None]:
    """The wanted frames of a file in the order in which they are displayed, and None for each other frame.

    A warning states what is missing. Frames that are not decoded are not known to be damaged.

    Args:
        path: of the file, for messages.
        container, stream: the file, opened a second time.
        outline: of the file.
        wanted: for each frame, in the order in which they are displayed.

    Raises:
        UnforeseenFrameError: if the frames are not those of the outline.
        VideoError: if the display matrix is none of the eight of players.
    """
    stamps = outline.stamps
    shown = sorted(range(len(stamps)), key=stamps.__getitem__)  # the packets in the order of display
    chosen = {packet for packet, each in zip(shown, wanted, strict=True) if each}
    needed = needed_packets(outline.roles, chosen | {0})  # the first states how to decode the others
    frames = _frames(container, stream, stamps, needed)
    for packet, seconds in zip(shown, outline.seconds, strict=True):
        frame = _whole_frame(next(frames, None), stamps[packet]) if packet in needed else None
        yield None if frame is None or packet not in chosen else oriented(path, frame, seconds)
    if next(frames, None) is not None:
        raise UnforeseenFrameError
    outline.content.warn(path, container)


def _frames(
    container: InputContainer, stream: VideoStream, stamps: list[int], needed: set[int]
) -> Iterator[av.VideoFrame]:
    """The frames of the needed packets."""
    try:
        for number, packet in enumerate(container.demux(stream)):
            if packet.size and packet.pts != next(iter(stamps[number : number + 1]), None):
                raise UnforeseenFrameError  # the file was changed
            if number in needed or not packet.size:
                yield from packet.decode()
    except av.error.FFmpegError as error:
        raise UnforeseenFrameError from error


def _whole_frame(frame: av.VideoFrame | None, stamp: int) -> av.VideoFrame:
    if frame is None or frame.pts != stamp or frame.is_corrupt or frame.interlaced_frame:
        raise UnforeseenFrameError
    return frame
