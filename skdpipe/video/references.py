"""Which frames the decoding of other frames needs, as the packets state it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import av.packet
from av.video.stream import VideoStream

_INTRA_ONLY: Final = frozenset({"mjpeg", "prores", "dnxhd"})  # codecs whose frames depend on no other
_JPEG_TABLES: Final = b"\xff\xdb", b"\xff\xc4"  # quantisation and Huffman tables
_JPEG_HEADER: Final = 4096  # bytes in which the tables stand

# Types of NAL units: table 7-1 of H.264, and of H.265. In H.265, no frame of its temporal layer refers to a
# leading or trailing picture of an even type.
_H264_SLICE, _H264_IDR = 1, 5
_H264_REFUSED: Final = frozenset({2, 3, 4})  # data partitions
_H264_PARAMETERS: Final = frozenset({7, 8, 13, 15})
_HEVC_LEADING_AND_TRAILING, _HEVC_INTRA = range(10), range(16, 22)
_HEVC_IDR: Final = frozenset({19, 20})
_HEVC_REFUSED: Final = frozenset({*range(10, 16), *range(22, 32), 36, 37})  # reserved, ends of sequences
_HEVC_PARAMETERS: Final = frozenset({32, 33, 34})
_HEVC_PICTURE_PARAMETERS: Final = 34


@dataclass(frozen=True)
class Role:
    """What a frame is for the frames that are decoded after it.

    Attributes:
        restarts: whether no later frame refers to a frame before this one.
        referenced: whether later frames may refer to it.
    """

    restarts: bool
    referenced: bool


RoleOf = Callable[["av.packet.Packet[Any]"], Role]
"""The role of the frame in a packet; raises ValueError if the packet is not certain to be one whole frame."""


def role_reader(stream: VideoStream) -> RoleOf | None:
    """The function that reads roles from the packets of a stream; None if there is none for its codec."""
    codec = stream.codec_context
    if codec.name == "mjpeg":
        return _jpeg_role
    if codec.name in _INTRA_ONLY:
        return lambda packet: Role(restarts=True, referenced=False)
    header = codec.extradata or b""  # in MP4 it states how the lengths of NAL units are stored
    if codec.name == "h264" and len(header) > 6 and header[0] == 1:
        return lambda packet: _h264_role(memoryview(packet), header)
    if codec.name == "hevc" and len(header) > 22 and header[0] == 1 and _shows_all(header):
        return lambda packet: _hevc_role(memoryview(packet), header)
    return None


def needed_packets(roles: list[Role], wanted: set[int]) -> set[int]:
    """The packets that must be decoded for those that are wanted.

    Args:
        roles: of all packets, in the order of the file.
        wanted: numbers of packets.
    """
    needed = set()
    follows = False  # whether a later frame is needed that may refer to this one
    for number, role in reversed([*enumerate(roles)]):
        if number in wanted or (follows and role.referenced):
            needed.add(number)
            follows = True
        follows = follows and not role.restarts
    return needed


def _jpeg_role(packet: av.packet.Packet[Any]) -> Role:
    start = memoryview(packet)[:_JPEG_HEADER].tobytes()
    if not all(table in start for table in _JPEG_TABLES):
        raise ValueError("the tables may be those of an earlier frame")
    return Role(restarts=True, referenced=False)


def _h264_role(packet: memoryview, header: bytes) -> Role:
    found = set()
    starts = 0
    for unit in _nal_units(packet, 1 + (header[4] & 3)):
        kind = unit[0] & 31
        if kind in _H264_REFUSED or (kind in _H264_PARAMETERS and unit.tobytes() not in header):
            raise ValueError("data partitions, or parameters that the header does not state")
        if kind in (_H264_SLICE, _H264_IDR):
            starts += unit[1] >> 7  # slices with the first macroblock of a picture
            found.add(Role(restarts=kind == _H264_IDR, referenced=unit[0] >> 5 & 3 > 0))
    return _role_of_one(found, starts)


def _hevc_role(packet: memoryview, header: bytes) -> Role:
    highest = (header[21] >> 3 & 7) - 1  # temporal layer; -1 if unknown
    found = set()
    starts = 0
    for unit in _nal_units(packet, 1 + (header[21] & 3)):
        kind, temporal = unit[0] >> 1 & 63, (unit[1] & 7) - 1
        if kind in _HEVC_REFUSED or (kind in _HEVC_PARAMETERS and unit.tobytes() not in header):
            raise ValueError("reserved types, or parameters that the header does not state")
        if kind in _HEVC_LEADING_AND_TRAILING or kind in _HEVC_INTRA:
            if unit[0] & 1 or unit[1] >> 3:
                raise ValueError("several views")
            starts += unit[2] >> 7  # first slices of a picture
            unused = kind in _HEVC_LEADING_AND_TRAILING and kind % 2 == 0 and temporal == highest
            found.add(Role(restarts=kind in _HEVC_IDR, referenced=not unused))
    return _role_of_one(found, starts)


def _role_of_one(found: set[Role], starts: int) -> Role:
    if len(found) != 1 or starts != 1:
        raise ValueError("not one whole frame")
    return found.pop()


def _shows_all(header: bytes) -> bool:
    """Whether no frame of H.265 is decoded without being displayed, as its picture parameters state."""
    shows = []
    at = 23
    for _ in range(header[22]):
        if at + 3 > len(header):
            return False
        kind, count = header[at] & 63, int.from_bytes(header[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            length = int.from_bytes(header[at : at + 2], "big")
            if at + 2 + max(length, 3) > len(header):
                return False
            if (
                kind == _HEVC_PICTURE_PARAMETERS
            ):  # two identifiers of value 0, one flag, output_flag_present_flag
                shows.append(header[at + 4] & 0b11010000 == 0b11000000)
            at += 2 + length
    return bool(shows) and all(shows)


def _nal_units(packet: memoryview, length_bytes: int) -> Iterator[memoryview]:
    at = 0
    while at < len(packet):
        start = at + length_bytes
        at = start + int.from_bytes(packet[at:start], "big")
        if not start + 2 < at <= len(packet):
            raise ValueError("a NAL unit of another length than stated")
        yield packet[start:at]
